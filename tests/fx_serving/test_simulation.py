"""Simulated rollouts of the real engine: what it lets through, what it takes back, and when it waits."""

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from fx_serving.client.home import Stores
from fx_serving.controller.simulation import Behaviour, Ending, World, drawn, roll_out
from fx_serving.state.sqlite import SqliteState
from tests.counts import count

pytestmark = pytest.mark.slow


def endings(kind, n: int, tmp_path: Path) -> list[Ending]:
    return [asyncio.run(roll_out(drawn(kind, seed), seed, tmp_path / f"{kind}{seed}")) for seed in range(n)]


def share(found: list[Ending], state: str) -> float:
    return Counter(ending.state for ending in found)[state] / len(found)


def test_identical_models_are_not_taken_back(tmp_path):
    found = endings("same", count("rollout_simulations"), tmp_path)
    assert share(found, "rolled_back") <= 0.01
    assert share(found, "succeeded") >= 0.95


@pytest.mark.parametrize("kind", ["failing", "slow"])
def test_five_points_of_errors_and_doubled_latency_are_caught_within_500_canary_requests(kind, tmp_path):
    found = endings(kind, count("rollout_simulations"), tmp_path)
    caught = [ending for ending in found if ending.state == "rolled_back" and ending.served <= 500]
    assert len(caught) / len(found) >= 0.99
    gate = {"failing": "errors", "slow": "latency_ratio"}[kind]
    assert all(gate in ending.gates for ending in caught)


def test_with_too_little_traffic_none_goes_on(tmp_path):
    found = endings("thin", count("rollout_simulations"), tmp_path)
    assert {ending.state for ending in found} == {"canary"}
    assert {route.weight for ending in found for route in ending.routes} <= {5.0}


def test_unseen_scores_find_errors_before_anybody_gets_them(tmp_path):
    world = World(green=Behaviour(errors=0.3), per_s=100, tick_s=0.25)
    ending = asyncio.run(roll_out(world, 1, tmp_path))
    assert ending.state == "rolled_back"
    assert ending.served < 10
    assert ending.shadow > 0


@pytest.mark.parametrize("after", [0, 700, 5000])
def test_a_canary_that_fails_at_everything_is_gone_at_once(after, tmp_path):
    """50 canary requests a second, from the first one on or after long good service: blue well within two seconds."""
    policy = {"steps": [50, 100], "window_s": 300, "min_requests": 500, "shadow": False}
    world = World(per_s=100, tick_s=0.05, policy=policy, breaks_after=after)
    ending = asyncio.run(roll_out(world, 1, tmp_path))
    assert ending.state == "rolled_back"
    assert ending.served >= after
    assert ending.seconds <= 1.5
    assert "exception" in ending.why


def test_a_canary_that_is_asked_little_and_breaks_is_gone_after_a_few_requests(tmp_path):
    world = World(per_s=4, tick_s=0.5, policy={"steps": [50, 100], "shadow": False}, breaks_after=400)
    ending = asyncio.run(roll_out(world, 1, tmp_path))
    assert ending.state == "rolled_back"
    assert ending.served <= 430


def test_the_same_seed_gives_the_same_rollout_and_its_audit_trail_is_whole(tmp_path):
    world = replace(drawn("failing", 4), policy=World().policy)
    one, two = (asyncio.run(roll_out(world, 4, tmp_path / name)) for name in "ab")
    assert replace(one, routes=()) == replace(two, routes=())
    stores = Stores(tmp_path / "a")
    state = SqliteState(stores.state_db, stores.audit_head)
    try:
        assert state.verify_audit(None).whole
        last = [entry for entry in state.audit() if entry.what == "rolled_back"][-1]
        failed = next(gate for gate in last.detail["gates"] if gate["verdict"] == "fail")
        assert failed["gate"] == "errors"
        assert failed["value"] > failed["limit"]
        assert last.why == one.why
    finally:
        state.close()
