"""A running service with tokens: every route of its document against every kind of caller."""

import json

import httpx
import pytest

from fx_serving.access import roles, tokens
from fx_serving.client.home import Stores
from fx_serving.state.open import open_state
from tests.servers.serving import start_service

OWN = "the operator of this test"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """(service, a token by role, a revoked token)."""
    home = tmp_path_factory.mktemp("guarded")
    stores = Stores(home)
    stores.serving.mkdir(parents=True)
    state = open_state(stores)
    made = {role: tokens.create(state, f"{role}r", role)[1] for role in roles.ROLES}
    ended = tokens.create(state, "ended", "operate")[1]
    tokens.revoke(state, "ended")
    state.close()
    with start_service(home, environment={"FX_SERVING_TOKEN": OWN}) as service:
        yield service, made, ended


def operations(url: str) -> list[tuple[str, str]]:
    """(method, path filled in) of every operation."""
    paths = httpx.get(f"{url}/openapi.json").json()["paths"]
    return [
        (m.upper(), "/".join("x" if "{" in p else p for p in path.split("/"))) for path in paths for m in paths[path]
    ]


def ask(client: httpx.Client, method: str, path: str, authorization: str | None) -> int:
    """The status; a stream is not read to its end."""
    headers = {"Authorization": authorization} if authorization is not None else {}
    content = b"{}" if method in ("POST", "PUT") else None
    with client.stream(method, path, headers=headers, content=content) as answer:
        return answer.status_code


def test_every_route_against_every_caller(guarded):
    service, made, ended = guarded
    wrong = [
        None,
        "",
        "Bearer",
        f"Bearer {ended}",
        f"Bearer {made['operate'][:-1]}~",
        f"Basic {made['operate']}",
        made["operate"],
        "Bearer " + "a" * 10_000,
    ]
    with httpx.Client(base_url=service.url, timeout=30) as client:
        for method, path in operations(service.url):
            rule = roles.needed(method, path)
            for authorization in wrong:
                status = ask(client, method, path, authorization)
                assert (status != 401) == rule.open, (method, path, authorization, status)
                assert status < 500 or status == 503, (method, path, status)
            for role, token in made.items():
                status = ask(client, method, path, f"Bearer {token}")
                assert (status == 403) == (role not in rule.roles), (method, path, role, status)
                assert status != 401, (method, path, role)
                assert status < 500 or status == 503, (method, path, status)


def test_one_text_for_every_missing_and_wrong_token(guarded):
    """It does not tell which tokens exist."""
    service, made, ended = guarded
    given = [{}, {"Authorization": f"Bearer {ended}"}, {"Authorization": f"Bearer {made['observe'][:-2]}"}]
    answers = [httpx.get(f"{service.url}/traffic", headers=headers) for headers in given]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert len({answer.headers["www-authenticate"] for answer in answers}) == 1


def test_the_controller_itself_takes_nothing_without_its_key(guarded):
    """Another user of this machine can reach its port, and learns and changes nothing."""
    service, made, _ = guarded
    controller = json.loads(service.stores.controller.read_bytes())["url"]
    for headers in ({}, {"Authorization": f"Bearer {made['operate']}"}, {"Authorization": f"Bearer {OWN}"}):
        for method, path in (("GET", "/rollouts"), ("POST", "/rollouts"), ("PUT", "/traffic"), ("GET", "/audit")):
            answer = httpx.request(method, controller + path, headers=headers)
            assert answer.status_code == 401, (method, path, answer.text)
