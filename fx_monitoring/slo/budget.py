"""Counting good and bad runs by hour, and what is left of an error budget. Pure.

An error budget is the share of runs that a target allows to be bad, 1 - target, over the window. Burn is how fast it
goes: the share of bad runs over the allowed share; 1 uses up exactly the budget in the window. The limits above which
a burn is worth telling are those of the Google SRE Workbook, chapter 5 ("Alerting on SLOs"), for a window of 30 days.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from fx_assets.configuration.automation import Slo
from fx_monitoring.slo.runs import Missed

BURNS = {"1h": (timedelta(hours=1), 14.4), "6h": (timedelta(hours=6), 6.0), "3d": (timedelta(days=3), 1.0)}
# One bad run of a few is a large share and says little.
LEAST_BAD = 2
TOLD = 50

Status = Literal["ok", "burning", "exhausted", "no runs"]
Counts = dict[str, tuple[int, int]]  # hour -> good, bad


class Level(msgspec.Struct, frozen=True):
    """One service level as it stands. Shares are None without runs. budget_left: 1 untouched, 0 used up, or below."""

    name: str
    target: float
    achieved: float | None
    window_days: int
    budget_left: float | None
    runs: int
    burn: dict[str, float | None]
    status: Status
    missed: list[Missed]


def hour_of(moment: datetime) -> str:
    """The key of the hour that a moment lies in; keys sort by time."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H}"


def add(counts: Counts, at: datetime, good: bool) -> None:
    """Count one run."""
    key = hour_of(at)
    before = counts.get(key, (0, 0))
    counts[key] = (before[0] + good, before[1] + (not good))


def between(counts: Mapping[str, tuple[int, int]], since: datetime) -> tuple[int, int]:
    """Good and bad runs in the hours from that of `since` on."""
    first = hour_of(since)
    found = [pair for key, pair in counts.items() if key >= first]
    return sum(good for good, _ in found), sum(bad for _, bad in found)


def forget(counts: Counts, before: datetime) -> None:
    """Drop the hours before that of a moment."""
    first = hour_of(before)
    for key in [key for key in counts if key < first]:
        del counts[key]


def level(name: str, slo: Slo, counts: Mapping[str, tuple[int, int]], missed: list[Missed], now: datetime) -> Level:
    """How a service level stands at a moment."""
    allowed = 1 - slo.target
    good, bad = between(counts, now - timedelta(days=slo.window_days))
    runs = good + bad
    burn: dict[str, float | None] = {}
    fast = False
    for label, (span, limit) in BURNS.items():
        fine, poor = between(counts, now - span)
        burn[label] = poor / (fine + poor) / allowed if fine + poor else None
        fast = fast or (poor >= LEAST_BAD and (burn[label] or 0.0) >= limit)
    left = round(1 - bad / runs / allowed, 9) if runs else None  # the last bits of 1 - target are not the target's
    status: Status = "no runs" if left is None else "exhausted" if left <= 0 else "burning" if fast else "ok"
    newest = sorted(missed, key=lambda found: found.at, reverse=True)[:TOLD]
    return Level(name, slo.target, good / runs if runs else None, slo.window_days, left, runs, burn, status, newest)
