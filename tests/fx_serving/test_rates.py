"""Rates per token: buckets, the split over workers, and what a caller is told."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_serving.access import tokens
from fx_serving.access.rate import Rates
from fx_serving.state.open import open_state
from tests.servers.perimeter import perimeter_server


def test_no_rate_is_no_limit():
    rates = Rates(0, 0)
    assert all(rates.wait_s("a", None, now=0) == 0 for _ in range(10_000))


def test_a_bucket_empties_and_fills():
    rates = Rates(10, 5)
    assert [rates.wait_s("a", None, now=0) for _ in range(6)] == [0, 0, 0, 0, 0, 1]
    assert rates.wait_s("b", None, now=0) == 0, "each caller has its own"
    assert rates.wait_s("a", None, now=0.1) == 0
    assert rates.wait_s("a", None, now=0.1) == 1
    assert [rates.wait_s("a", None, now=99) for _ in range(6)] == [0, 0, 0, 0, 0, 1], "it never holds more"


def test_a_tokens_own_rate_wins():
    rates = Rates(1000, 0)
    assert rates.wait_s("a", 0.5, now=0) == 0
    assert rates.wait_s("a", 0.5, now=0) == 2, "one in two seconds"
    assert rates.wait_s("a", 0.5, now=2) == 0


def test_the_wait_that_is_told_is_enough():
    rates = Rates(0.3, 0)
    assert rates.wait_s("a", None, now=0) == 0
    wait = rates.wait_s("a", None, now=0)
    assert rates.wait_s("a", None, now=wait) == 0


@given(st.lists(st.floats(0, 0.5), max_size=200), st.floats(0.5, 50), st.integers(1, 20), st.integers(1, 4))
def test_no_more_pass_than_rate_and_burst_allow(pauses, rate, burst, workers):
    """Over all workers together, whichever worker a request reaches."""
    each = [Rates(rate, burst, 1 / workers) for _ in range(workers)]
    now, passed = 0.0, 0
    for number, pause in enumerate(pauses):
        now += pause
        passed += each[number % workers].wait_s("a", None, now=now) == 0
    assert passed <= rate * now + max(burst, workers) + 1e-6


def test_buckets_of_revoked_tokens_are_forgotten():
    rates = Rates(1, 1)
    for name in ("a", "b"):
        rates.wait_s(name, None, now=0)
    rates.keep({"b"})
    assert set(rates._buckets) == {"b"}


@pytest.fixture
def limited(stores):
    """A server where one token may ask twice a second, and the other as often as it likes."""
    state = open_state(stores)
    made = {
        "slow": tokens.create(state, "slow", "observe", 2)[1],
        "fast": tokens.create(state, "fast", "observe")[1],
    }
    tokens.publish(stores.tokens, state.tokens())
    state.close()
    with perimeter_server(stores, workers=1) as server:
        yield server, made


def test_asking_too_often_is_answered_429_with_when_to_come_back(limited):
    server, made = limited
    with httpx.Client(base_url=server.url) as client:
        slow = [client.get("/traffic", headers={"Authorization": f"Bearer {made['slow']}"}) for _ in range(20)]
        fast = [client.get("/traffic", headers={"Authorization": f"Bearer {made['fast']}"}) for _ in range(20)]
        open_ = [client.get("/health", headers={"Authorization": f"Bearer {made['slow']}"}) for _ in range(20)]
    refused = [answer for answer in slow if answer.status_code == 429]
    assert refused
    assert slow[0].status_code == 200
    assert int(refused[0].headers["retry-after"]) >= 1
    assert "'slow'" in refused[0].json()["detail"]
    assert {answer.status_code for answer in [*fast, *open_]} == {200}
    assert (429, "rate") in server.refused


def test_a_wrong_token_does_not_use_up_the_right_ones_rate(limited):
    server, made = limited
    with httpx.Client(base_url=server.url) as client:
        for _ in range(20):
            wrong = made["slow"][:-1] + ("A" if made["slow"][-1] != "A" else "B")
            assert client.get("/traffic", headers={"Authorization": f"Bearer {wrong}"}).status_code == 401
        assert client.get("/traffic", headers={"Authorization": f"Bearer {made['slow']}"}).status_code == 200
