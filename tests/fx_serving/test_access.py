"""The perimeter: roles per route, names and origins, headers of every answer, and limits on heads and bodies."""

import socket

import httpx
import pytest

from fx_serving.access import roles, tokens
from fx_serving.access.internal import accepts, bearer, read_internal_key, write_internal_key
from fx_serving.client.home import Stores
from fx_serving.state.open import open_state
from tests.servers.perimeter import Server, exchange, perimeter_server, read_all, status_of

HOST = b"Host: 127.0.0.1\r\n"


@pytest.fixture
def opened(stores):
    """A server that needs no token."""
    with perimeter_server(stores, limits={"body_bytes": 2048, "body_timeout_s": 0.3}) as server:
        yield server


def make_tokens(stores: Stores) -> dict[str, str]:
    """One token of each role, by role."""
    state = open_state(stores)
    try:
        made = {role: tokens.create(state, f"{role}r", role)[1] for role in roles.ROLES}
        tokens.publish(stores.tokens, state.tokens())
    finally:
        state.close()
    return made


def fill(path: str) -> str:
    """A request's path for a declared one."""
    return "/".join("x" if part.startswith("{") else part for part in path.split("/"))


def app_routes() -> list[tuple[str, str]]:
    """Every (method, path) the application answers, documented or not."""
    from fastapi.routing import APIRoute

    from fx_serving.dataplane.app import build_app

    app = build_app(Stores("/nowhere"), "w0", None, None, None, None)  # type: ignore[arg-type]
    found = [(method, r.path) for r in app.routes if isinstance(r, APIRoute) for method in r.methods or ()]
    documented = [(m.upper(), path) for path, item in app.openapi()["paths"].items() for m in item]
    return sorted(set(found) | set(documented))


def test_every_route_has_a_role():
    missing = [f"{method} {path}" for method, path in app_routes() if roles.rule_for(method, path) is None]
    assert missing == [], "add them to access/roles.py ROUTES"


def test_what_changes_something_needs_more_than_a_look():
    for rule in roles.ROUTES:
        if rule.method != "GET":
            assert not rule.open, rule
            assert "observe" not in rule.roles, rule
            assert "predict" not in rule.roles or rule.path.startswith(("/predict", "/v2", "/feedback")), rule
        assert "operate" in rule.roles, rule


def test_each_route_is_for_its_roles_only(stores):
    made = make_tokens(stores)
    with perimeter_server(stores) as server, httpx.Client(base_url=server.url) as client:
        for rule in roles.ROUTES:
            for role, token in {**made, "": ""}.items():
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                with client.stream(rule.method, fill(rule.path), headers=headers) as answer:
                    text = "" if rule.stream and answer.is_success else answer.read().decode()
                expected = 200 if rule.open or role in rule.roles else 403 if role else 401
                assert answer.status_code == expected, (rule, role, text)
                if expected == 403:
                    assert role in text
                if expected == 401:
                    assert answer.headers["www-authenticate"] == "Bearer"
        unknown = client.get("/nowhere", headers={"Authorization": f"Bearer {made['observe']}"})
        assert unknown.status_code == 403, "a route that is not in the table is for operators"


@pytest.mark.parametrize(
    "path",
    ["//traffic", "/traffic/", "/./traffic", "/predict/../rollouts", "/%72ollouts", "/rollouts%2f", "/health/.."],
)
def test_another_spelling_of_a_path_opens_nothing(stores, path):
    made = make_tokens(stores)
    with perimeter_server(stores) as server:
        for token in (None, made["predict"]):
            line = b"" if token is None else f"Authorization: Bearer {token}\r\n".encode()
            request = b"POST " + path.encode() + b" HTTP/1.1\r\n" + HOST + line + b"Connection: close\r\n\r\n"
            assert status_of(exchange(server.port, request)) in (401, 403)


def test_a_stream_ends_with_its_token(stores):
    made = make_tokens(stores)
    with perimeter_server(stores) as server, httpx.Client(base_url=server.url) as client:
        headers = {"Authorization": f"Bearer {made['observe']}"}
        with client.stream("GET", "/stream/predictions", headers=headers) as answer:
            pieces = answer.iter_raw()
            for _ in range(5):
                next(pieces)
            state = open_state(stores)
            tokens.revoke(state, "observer")
            tokens.publish(stores.tokens, state.tokens())
            state.close()
            server.guard.poll()
            for _ in pieces:
                pass  # what was under way, and then the end
        assert client.get("/traffic", headers=headers).status_code == 401


def test_the_inference_protocol_has_its_own_word_for_a_problem(stores):
    make_tokens(stores)
    with perimeter_server(stores) as server:
        assert "Bearer" in httpx.get(f"{server.url}/v2/models/x").json()["error"]
        assert "Bearer" in httpx.get(f"{server.url}/traffic").json()["detail"]


def test_the_document_tells_of_access():
    from fx_serving.dataplane.app import build_app

    app = build_app(Stores("/nowhere"), "w0", None, None, None, None)  # type: ignore[arg-type]
    document = app.openapi()
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for path, item in document["paths"].items():
        for method, operation in item.items():
            rule = roles.rule_for(method.upper(), path)
            assert rule is not None
            assert ("security" in operation) != rule.open, (method, path)
            wanted = {"400", "403", "431"} | (set() if rule.open else {"401", "429"})
            wanted |= {"408", "413"} if "requestBody" in operation else set()
            assert wanted <= set(operation["responses"]), (method, path)
            if not rule.open:
                assert set(operation["x-roles"]) == rule.roles


def test_without_tokens_the_caller_is_the_local_operator(opened):
    assert httpx.put(f"{opened.url}/traffic").json()["name"] == "local"
    assert httpx.get(f"{opened.url}/traffic", headers={"Authorization": "Bearer whatever"}).json()["role"] == "operate"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8700", "[::1]:8700", "LOCALHOST", "127.9.9.9", "localhost."])
def test_names_of_this_machine(opened, host):
    assert httpx.get(f"{opened.url}/traffic", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil.example:80", "[::2]"])
def test_another_name_is_refused_while_no_token_is_needed(opened, host):
    answer = httpx.get(f"{opened.url}/traffic", headers={"Host": host})
    assert answer.status_code == 403
    assert "access.allowed_hosts" in answer.json()["detail"]
    assert (403, "host") in opened.refused


def test_two_host_headers_are_refused(opened):
    request = b"GET /traffic HTTP/1.1\r\n" + HOST + HOST + b"Connection: close\r\n\r\n"
    assert status_of(exchange(opened.port, request)) == 403


def test_a_listed_name_is_known(stores):
    with perimeter_server(stores, access={"allowed_hosts": ["desk.example"]}) as server:
        assert httpx.get(f"{server.url}/health", headers={"Host": "desk.example:443"}).status_code == 200
        assert httpx.get(f"{server.url}/health", headers={"Host": "other.example"}).status_code == 403


def test_a_foreign_origin_is_refused_and_ones_own_is_not(opened):
    own = f"http://127.0.0.1:{opened.port}"
    assert httpx.post(f"{opened.url}/rollouts", headers={"Origin": own}).status_code == 200
    for origin in ("http://evil.example", "null", "", "http://127.0.0.1:1", f"{own}.evil.example"):
        answer = httpx.post(f"{opened.url}/rollouts", headers={"Origin": origin})
        assert answer.status_code == 403, origin
        assert "access-control-allow-origin" not in answer.headers


def test_listed_origins_get_what_a_browser_asks_for(stores):
    page = "https://desk.example"
    with perimeter_server(stores, access={"cors_origins": [page]}) as server:
        preflight = httpx.options(
            f"{server.url}/rollouts", headers={"Origin": page, "Access-Control-Request-Method": "POST"}
        )
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == page
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        answer = httpx.get(f"{server.url}/traffic", headers={"Origin": page})
        assert answer.headers["access-control-allow-origin"] == page
        assert answer.headers["vary"] == "origin"
        assert "access-control-allow-credentials" not in answer.headers
        other = httpx.options(f"{server.url}/rollouts", headers={"Origin": "https://evil.example"})
        assert other.status_code == 403


def test_every_answer_has_the_headers(opened):
    for path in ("/traffic", "/predict", "/docs", "/nowhere"):
        headers = httpx.post(opened.url + path).headers if path == "/predict" else httpx.get(opened.url + path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'self'" in headers["content-security-policy"]
        assert ("unsafe-inline" in headers["content-security-policy"]) == (path == "/docs")
        assert "strict-transport-security" not in headers
    refused = httpx.get(opened.url + "/traffic", headers={"Host": "evil"})
    assert refused.headers["x-content-type-options"] == "nosniff"


def test_a_header_of_the_application_stays(opened):
    assert httpx.get(f"{opened.url}/console/x.css").headers["cache-control"] == "max-age=60"


def test_a_long_body_is_refused_before_it_is_read(opened):
    with opened.connect() as connection:
        connection.sendall(b"POST /feedback HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000000\r\n\r\n")
        assert status_of(connection.recv(65536)) == 413


def test_a_long_body_in_pieces_is_refused(opened):
    piece = b"400\r\n" + b"a" * 1024 + b"\r\n"
    request = b"POST /feedback HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + piece * 4
    with opened.connect() as connection:
        connection.sendall(request)
        answer = connection.recv(65536)
    assert status_of(answer) == 413


def test_a_body_within_the_limit_arrives_whole(opened):
    assert httpx.post(f"{opened.url}/feedback", content=b"a" * 2048).json()["size"] == 2048
    assert httpx.post(f"{opened.url}/feedback", content=iter([b"a" * 1000, b"b" * 1000])).json()["size"] == 2000


def slow(server: Server, request: bytes) -> bytes:
    """What comes back for a request that is not gone on with."""
    with server.connect() as connection:
        connection.sendall(request)
        return read_all(connection)


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /feedback HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\nhalf",
        b"POST /feedback HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n4\r\nha",
        b"POST /feedback HTTP/1.1\r\n" + HOST + b"Content-Len",
        b"POST /fee",
    ],
)
def test_what_does_not_arrive_in_time_is_answered_408(opened, request_):
    answer = slow(opened, request_)
    assert status_of(answer) == 408, answer
    assert b'{"detail":' in answer


def test_a_head_that_trickles_in_is_not_waited_for(opened):
    with opened.connect() as connection:
        connection.settimeout(0.05)
        connection.sendall(b"GET /traffic HTTP/1.1\r\n")
        for _ in range(100):  # each piece is in time, the whole is not
            try:
                answer = connection.recv(65536)
                break
            except TimeoutError:
                connection.sendall(b"X-A: b\r\n")
        assert status_of(answer) == 408


def test_the_rest_of_a_refused_body_is_not_waited_for(opened):
    head = b"POST /feedback HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n"
    answer = slow(opened, head)
    assert status_of(answer) == 413
    with opened.connect() as connection:  # a client that goes on sending gets its answer, too
        connection.sendall(head + b"a" * 1_000_000)
        answer = b""
        while not answer.endswith(b"}"):  # head and body may come by themselves
            answer += connection.recv(65536)
        assert status_of(answer) == 413
        connection.sendall(b"GET /traffic HTTP/1.1\r\n" + HOST + b"\r\n")
        assert status_of(connection.recv(65536)) == 200


@pytest.mark.parametrize(
    "head",
    [
        b"X-Long: " + b"a" * 40_000 + b"\r\n",
        b"".join(b"X-%d: b\r\n" % i for i in range(200)),
        b"X-Long: " + b"a" * 200_000,
    ],
)
def test_long_heads_are_refused(opened, head):
    answer = exchange(opened.port, b"GET /traffic HTTP/1.1\r\n" + HOST + head + b"\r\n")
    assert status_of(answer) == 431, answer


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"GET\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /feedback HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /feedback HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /feedback HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /feedback HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /traffic HTTP/1.1\r\nA\x00b: c\r\n\r\n",
    ],
)
def test_what_is_not_http_is_answered_400(opened, garbage):
    answer = exchange(opened.port, garbage)
    assert status_of(answer) == 400, answer
    assert b'{"detail":' in answer


def test_a_connection_that_says_nothing_costs_nobody_else(opened):
    silent = [opened.connect() for _ in range(50)]
    try:
        assert httpx.get(f"{opened.url}/traffic").status_code == 200
    finally:
        for connection in silent:
            connection.close()


def test_pipelined_requests_are_each_answered(opened):
    one = b"GET /traffic HTTP/1.1\r\n" + HOST + b"\r\n"
    last = b"GET /traffic HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    assert exchange(opened.port, one * 20 + last).count(b"HTTP/1.1 200") == 21


def test_websockets_are_not_spoken(opened):
    request = (
        b"GET /traffic HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", opened.port), timeout=5) as connection:
        connection.sendall(request)
        assert status_of(connection.recv(65536)) == 200


def test_the_internal_key(tmp_path):
    path = tmp_path / "serving" / "internal.key"
    key = write_internal_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_internal_key(path) == key != write_internal_key(path)
    assert accepts(key, bearer(key))
    assert accepts(key, bearer(key).encode())
    for wrong in (None, "", key, "Bearer ", bearer(key) + "x", "Bearer \udcff"):
        assert not accepts(key, wrong)
    assert not accepts("", "Bearer ")
    assert read_internal_key(tmp_path / "none") == ""


def test_the_controller_is_known_by_the_internal_key_and_has_no_rate(stores):
    key = write_internal_key(stores.internal_key)
    make_tokens(stores)
    with perimeter_server(stores, access={"rate_per_s": 1, "rate_burst": 1}) as server:
        answers = [httpx.put(f"{server.url}/traffic", headers={"Authorization": bearer(key)}) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert answers[0].json()["name"] == "controller"
