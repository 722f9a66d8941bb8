"""How many of the service's answers were errors lately, from its totals since its start, noted at each look.

A burst of a week ago is no burst of now, and a service that was started again has not forgotten one of this morning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec

from fx_serving.client.files import DamagedFile, atomic_write, read_json
from fx_serving.client.home import Stores

Counts = Mapping[str, tuple[int, int]]


class Look(msgspec.Struct, frozen=True):
    """The service's totals as of `at` (wall clock). process: whose they are, where it is known.

    counts: "model version slot" -> requests, errors.
    """

    at: datetime
    process: str | None
    counts: dict[str, tuple[int, int]]


class Errors(msgspec.Struct, frozen=True):
    """Answers and errors among them since a look; since None: since the service's start, nobody looked before."""

    asked: int
    failed: int
    since: datetime | None


def note(stores: Stores, traffic: Mapping[str, Any], at: datetime, hours: float) -> Errors:
    """Keep what GET /traffic says, and return what came in the last `hours`; a damaged file begins anew."""
    path = stores.home / "monitoring" / "service-errors.json"
    try:
        kept = msgspec.convert((read_json(path) or {}).get("looks", []), list[Look])
    except (DamagedFile, msgspec.ValidationError):
        kept = []
    now = Look(at, _process(stores), counts_of(traffic))
    looks = within([*(look for look in kept if look.at < at), now], at - timedelta(hours=hours))
    atomic_write(path, msgspec.json.encode({"looks": looks}))
    return errors(looks)


def counts_of(traffic: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """The totals of each slot in GET /traffic."""
    return {
        f"{model} {slot['version']} {name}": (slot["requests"], slot["errors"])
        for model, slots in traffic["models"].items()
        for name in ("blue", "green")
        if (slot := slots[name])
    }


def within(looks: Sequence[Look], start: datetime) -> list[Look]:
    """The looks after `start`, and the last one before it, which the first of them is held against."""
    before = [look for look in looks if look.at <= start]
    return [*before[-1:], *(look for look in looks if look.at > start)]


def errors(looks: Sequence[Look]) -> Errors:
    """What the totals grew by from look to look; from nothing where the service was started again in between."""
    if len(looks) == 1:
        asked, failed = (sum(count[at] for count in looks[0].counts.values()) for at in (0, 1))
        return Errors(asked, failed, None)
    asked = failed = 0
    for before, after in pairwise(looks):
        fresh = None not in (before.process, after.process) and before.process != after.process
        for key, (requests, wrong) in after.counts.items():
            old = (0, 0) if fresh else before.counts.get(key, (0, 0))
            restarted = requests < old[0] or wrong < old[1]
            asked += requests if restarted else requests - old[0]
            failed += wrong if restarted else wrong - old[1]
    return Errors(asked, failed, looks[0].at)


def _process(stores: Stores) -> str | None:
    """The service's process as it says itself; None where it runs elsewhere."""
    try:
        pid = (read_json(stores.address) or {}).get("pid")
    except (DamagedFile, OSError):
        return None
    return None if pid is None else str(pid)
