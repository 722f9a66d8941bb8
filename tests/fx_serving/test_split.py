"""The split of traffic: as even as the weight says, and nobody goes back while it rises."""

import asyncio
from pathlib import Path

import pytest

from fx_serving.controller.gates import REFERENCE_KEYS, choose_salt, reference_keys
from fx_serving.controller.gates.split import deviation
from fx_serving.controller.simulation import INSTRUMENTS, World, roll_out
from fx_serving.routing import GreenRoute, eligible, goes_green
from tests.counts import count

WEIGHTS = (5, 25, 50)


def keys(seed: int) -> list[str]:
    kinds = (
        lambda i: f"{seed}-{i}",
        lambda i: f"{seed * 7919 + i:032x}",
        lambda i: f"order/{i * i + seed}",
        lambda i: f"EUR_USD 2026-01-{seed % 28 + 1:02} {i}",
    )
    return [kinds[seed % 4](i) for i in range(REFERENCE_KEYS)]


def test_any_ten_thousand_keys_are_split_within_half_a_point():
    tried = []
    for seed in range(count("split_key_sets")):
        found = choose_salt(f"r{seed}", keys(seed), WEIGHTS)
        assert found.worst <= 0.5
        assert deviation(found.salt, keys(seed), WEIGHTS) == found.worst
        tried.append(found.tried)
    assert sum(tried) / len(tried) < 6


def test_a_salt_is_the_same_for_every_controller_and_differs_between_rollouts():
    one = choose_salt("r1", keys(0), WEIGHTS)
    assert choose_salt("r1", keys(0), WEIGHTS) == one
    assert one.salt.startswith("r1.")
    assert choose_salt("r2", keys(0), WEIGHTS).salt.startswith("r2.")


def test_too_few_keys_for_an_even_split_take_the_best_of_many_salts():
    found = choose_salt("r1", ["EUR_USD", "GBP_USD", "USD_JPY"], WEIGHTS)
    assert found.worst == pytest.approx(25, abs=9)
    assert choose_salt("r1", [], WEIGHTS).salt == "r1.0"
    assert choose_salt("r1", keys(0), [100]).worst == 0


def test_reference_keys_are_the_known_ones_filled_up():
    found = reference_keys(["b", "a", "b", "7"])
    assert found[:3] == ["b", "a", "7"]
    assert len(found) == len(set(found)) == REFERENCE_KEYS
    assert reference_keys([]) == [str(n) for n in range(REFERENCE_KEYS)]
    assert reference_keys([*keys(1), "late"]) == keys(1)


def taken(route: GreenRoute, known: list[str]) -> set[tuple[str, str]]:
    """The (instrument, key) that this route gives to the candidate."""
    salt = route.salt or route.rollout_id
    mine = [key for key in known if goes_green(salt, key, route.weight)]
    return {(name, key) for name in INSTRUMENTS if eligible(route, name) for key in mine}


def test_a_whole_rollout_keeps_to_the_split_and_takes_nobody_back(tmp_path: Path):
    known = keys(2)
    ending = asyncio.run(roll_out(World(per_s=2000, tick_s=2, keys=tuple(known)), 1, tmp_path))
    assert ending.state == "succeeded"
    live = [route for route in ending.routes if route.weight]
    assert [(route.weight, route.instruments) for route in live] == [
        (5, INSTRUMENTS[:2]), (25, None), (50, None), (100, None),
    ]  # fmt: skip
    before: set[tuple[str, str]] = set()
    for route in live:
        after = taken(route, known)
        open_ = len(route.instruments or INSTRUMENTS) * len(known)
        assert abs(len(after) / open_ * 100 - route.weight) <= 0.5
        assert before <= after
        before = after
