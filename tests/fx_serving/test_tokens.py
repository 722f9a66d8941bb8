"""The life of a token: made, kept as a hash, recognised, revoked; by the store, by the guard and by `fx token`."""

import hashlib
import json
import stat

import pytest
from typer.testing import CliRunner

from fx_serving.access import guard as guard_module
from fx_serving.access import tokens
from fx_serving.access.guard import Guard
from fx_serving.access.tokens import TokenError
from fx_serving.cli_access import token_app
from fx_serving.config import ServingConfig
from fx_serving.state.base import StateStore
from fx_serving.state.open import open_state
from fx_serving.state.rows import AuditRecord


@pytest.fixture
def state(stores):
    opened = open_state(stores)
    yield opened
    opened.close()


@pytest.fixture
def guard(stores):
    """A guard on loopback; `publish` first, or poll() it."""
    return lambda **settings: Guard(stores, ServingConfig.model_validate(settings))


def made(stores, state: StateStore, name: str = "desk", role: str = "predict") -> str:
    token = tokens.create(state, name, role)[1]
    tokens.publish(stores.tokens, state.tokens())
    return token


def header(token: str) -> bytes:
    return f"Bearer {token}".encode()


def test_only_the_hash_is_kept(stores, state):
    row, token = tokens.create(state, "desk", "operate", 5)
    tokens.publish(stores.tokens, state.tokens())
    assert tokens.id_of(token) == row.id
    assert row.hash == hashlib.sha256(token.encode()).hexdigest()
    assert stat.S_IMODE(stores.tokens.stat().st_mode) == 0o600
    secret = token[17:].encode()
    for path in stores.home.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes(), path


def test_no_two_tokens_are_alike(state):
    found = {tokens.create(state, f"t{i}", "observe")[1] for i in range(20)}
    assert len({token[17:] for token in found}) == 20


@pytest.mark.parametrize(
    ("name", "role", "rate", "words"),
    [
        ("", "predict", None, "name"),
        ("a b", "predict", None, "name"),
        ("a" * 65, "predict", None, "name"),
        ("environment", "predict", None, "service's own"),
        ("desk", "admin", None, "predict, observe, operate"),
        ("desk", "predict", 0, "rate"),
        ("desk", "predict", float("nan"), "rate"),
    ],
)
def test_what_no_token_is_made_for(state, name, role, rate, words):
    with pytest.raises(TokenError, match=words):
        tokens.create(state, name, role, rate)
    assert state.tokens() == []


def test_a_name_is_free_again_once_its_token_is_revoked(stores, state):
    first = made(stores, state)
    with pytest.raises(TokenError, match="in use"):
        tokens.create(state, "desk", "predict")
    tokens.revoke(state, "desk")
    second = tokens.create(state, "desk", "observe")[1]
    assert first != second
    assert [row.revoked_at is None for row in state.tokens()] == [False, True]
    with pytest.raises(TokenError, match="In force: desk"):
        tokens.revoke(state, "other")
    old = state.tokens()[0]
    assert tokens.revoke(state, old.id) == old, "by its id, and again: nothing changes"


def test_both_are_in_the_audit_trail(stores, state):
    made(stores, state)
    tokens.revoke(state, "desk")
    records: list[AuditRecord] = state.audit()
    assert [r.what for r in records] == ["token_created", "token_revoked"]
    assert records[0].detail["name"] == "desk"
    assert records[0].detail["role"] == "predict"
    assert "hash" not in records[0].detail
    assert state.verify_audit(None).whole


def test_the_guard_knows_the_token_and_nothing_like_it(stores, state, guard):
    token = made(stores, state)
    known = guard()
    assert known.identify(header(token)) == ("desk", "predict", None)
    assert known.identify(b"bearer " + token.encode()) == ("desk", "predict", None), "the scheme has no case"
    wrong = [
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        token.upper(),
        token + "A",
        token[:17],
        "fxp_000000000000_" + token[17:],
        "",
        "x" * 100_000,
    ]
    for other in wrong:
        assert known.identify(header(other)) is None, other[:80]
    for raw in (None, b"", token.encode(), b"Basic " + token.encode(), b"Bearer  " + token.encode(), b"\xff\xfe"):
        assert known.identify(raw) is None


def test_a_revoked_token_is_refused_once_the_file_is_read_again(stores, state, guard):
    token, other = made(stores, state), made(stores, state, "other", "operate")
    known = guard()
    tokens.revoke(state, "desk")
    tokens.publish(stores.tokens, state.tokens())
    known.poll()
    assert known.identify(header(token)) is None
    assert known.identify(header(other)) is not None


def test_ending_the_last_token_does_not_open_the_service(stores, state, guard):
    assert guard().open
    made(stores, state)
    tokens.revoke(state, "desk")
    tokens.publish(stores.tokens, state.tokens())
    assert not guard().open
    assert guard().identify(None) is None


def test_open_is_for_loopback_without_any_token(stores, guard, monkeypatch):
    assert guard().identify(None) == ("local", "operate", None)
    assert guard(host="::1").open
    assert not guard(host="0.0.0.0").open
    monkeypatch.setenv("FX_SERVING_TOKEN", "a secret")
    known = guard()
    assert not known.open
    assert known.identify(None) is None
    assert known.identify(b"Bearer a secret") == ("environment", "operate", None)
    assert known.identify(b"Bearer a secreT") is None


def test_a_damaged_file_opens_nothing_and_changes_nothing(stores, state, guard):
    token = made(stores, state)
    known = guard()
    stores.tokens.write_text("{")
    known.poll()
    assert known.identify(header(token)) is not None
    fresh = guard()
    assert not fresh.open
    assert fresh.identify(None) is None
    stores.tokens.unlink()
    known.poll()
    assert known.identify(header(token)) is not None
    assert known.identify(None) is None
    tokens.publish(stores.tokens, state.tokens())
    fresh.poll()
    assert fresh.identify(header(token)) is not None


def test_every_header_costs_the_same_comparisons(stores, state, guard, monkeypatch):
    """Whatever is sent, three digests of one length are compared, by a function whose time does not tell."""
    token = made(stores, state)
    known, compared = guard(), []

    def counted(a: str, b: str) -> bool:
        compared.append((len(a), len(b)))
        return a == b

    monkeypatch.setattr(guard_module.hmac, "compare_digest", counted)
    for raw in (header(token), header("fxp_000000000000_" + "a" * 43), b"Bearer x", b"Basic x"):
        compared.clear()
        known.identify(raw)
        assert compared == [(64, 64)] * 3


def run(*words: str):
    return CliRunner().invoke(token_app, [*words])


def test_the_command(stores, monkeypatch):
    monkeypatch.setenv("FX_HOME", str(stores.home))
    unmade = run("list")
    assert unmade.exit_code == 1
    assert "no token was made here" in unmade.stderr
    assert not stores.serving.exists()
    done = run("create", "desk", "--role", "predict", "--rate", "5")
    assert done.exit_code == 0, done.output
    assert "from now on every request needs a token" in done.stderr
    assert "fx token create operator --role operate" in done.stderr
    token = done.stdout.strip()
    assert tokens.id_of(token)
    assert "not shown again" in done.stderr
    assert Guard(stores, ServingConfig()).identify(header(token)) == ("desk", "predict", 5.0)
    listed = run("list", "--json").stdout
    assert token not in listed
    assert json.loads(listed)[0]["name"] == "desk"
    assert "desk" in run("list").stdout
    again = run("create", "desk", "--role", "operate")
    assert again.exit_code == 1
    assert "in use" in again.stderr
    assert json.loads(run("revoke", "desk", "--json").stdout)["revoked_at"]
    assert Guard(stores, ServingConfig()).identify(header(token)) is None
    missing = run("revoke", "desk")
    assert missing.exit_code == 1
    assert "no such token" in missing.stderr
    assert run("create", "x", "--role", "boss").exit_code == 1
    operator = run("create", "operator", "--role", "operate").stderr
    assert "every request" not in operator
    assert "may operate" not in operator
    made_json = json.loads(run("create", "other", "--role", "observe", "--json").stdout)
    assert tokens.id_of(made_json["token"]) == made_json["id"]
