"""The release calendar around a bar: how near releases of the pair's currencies are, how weighty, how surprising.

The decision time of a row is the bar's close. Times and impacts of scheduled releases count as known in advance, an
actual figure only from its available_at on. What is further away than CAP does not count.

A surprise is actual less forecast, over the root mean square of the up to HISTORY surprises of the same event that were
known before it; 0 while there are fewer than FEWEST of these. It is positive for more than expected, except where more
means worse (REVERSED in the event's name). Several figures released at one moment are averaged by impact.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import cast

import numpy as np
import pandas as pd

from fx_assets.errors import DataError
from fx_assets.features.blocks import MINUTE_US, Block, time_us
from fx_assets.features.cross import currencies
from fx_assets.features.reference import Reference
from fx_assets.features.spec import FeatureSpec, declare

CAP = 7 * 1440  # minutes
DAY_US = 1440 * MINUTE_US
HISTORY, FEWEST = 24, 3
LIMIT = 10.0
HIGH = 3
REVERSED = ("unemploy", "jobless", "claimant")
_SURPRISE = "Balduzzi, Elton and Green (2001)"


def _spec(name: str, unit: str, description: str, source: str = "definition") -> FeatureSpec:
    return declare("economic", name, 1, unit, "economic", source, description)


SPECS: tuple[FeatureSpec, ...] = (
    _spec("minutes_to_release", "minutes", "From the close to the next release of either currency, at most 10080"),
    _spec("minutes_since_release", "minutes", "From the last release of either currency to the close, at most 10080"),
    _spec("next_release_impact", "0..3", "Highest impact at the next release's time; 0 if none within 7 days"),
    _spec("last_release_impact", "0..3", "Highest impact at the last release's time; 0 if none within 7 days"),
    _spec(
        "release_surprise",
        "deviations",
        "Last known surprise of the base currency less the quote's; 0 each after 7 days",
        _SURPRISE,
    ),
    _spec("high_impact_24h", "releases", "Releases of high impact in the 24 hours after the close"),
)


def compute(block: Block, instrument: str, reference: Reference, bar_us: int = 0) -> dict[str, np.ndarray]:
    """The economic features of one instrument, each float64 (n,), never NaN.

    bar_us: length of a bar in microseconds; the decision time is the bar's open plus this. With 0 it is the open: late,
    never early. It is not guessed from the bars. An instrument that is no pair has the features of no release at all.
    Raises DataError when the reference has no calendar.
    """
    if reference.economic is None:
        raise DataError("economic features need a release calendar. Pass Reference(economic=...), or leave them out.")
    decision = np.ascontiguousarray(block.time_us) + bar_us
    pair = currencies(instrument) or ()
    times, impacts, high = _releases(reference, pair)
    at = known_by(times, decision)
    ahead, behind = np.full(len(decision), float(CAP)), np.full(len(decision), float(CAP))
    coming, passed = at < len(times), at > 0
    ahead[coming] = (times[at[coming]] - decision[coming]) / MINUTE_US
    behind[passed] = (decision[passed] - times[at[passed] - 1]) / MINUTE_US
    following, last = np.zeros(len(decision)), np.zeros(len(decision))
    following[coming] = impacts[at[coming]]
    last[passed] = impacts[at[passed] - 1]
    surprise = [_last_surprise(reference, currency, decision) for currency in pair]
    return {
        "minutes_to_release": np.minimum(ahead, CAP),
        "minutes_since_release": np.minimum(behind, CAP),
        "next_release_impact": np.where(ahead < CAP, following, 0.0),
        "last_release_impact": np.where(behind < CAP, last, 0.0),
        "release_surprise": surprise[0] - surprise[1] if surprise else np.zeros(len(decision)),
        "high_impact_24h": (known_by(high, decision + DAY_US) - known_by(high, decision)).astype(float),
    }


def known_by(moments: np.ndarray, decision: np.ndarray) -> np.ndarray:
    """How many of `moments` are at or before each decision time; both rise, int64. Returns int64 (n,)."""
    first = np.searchsorted(decision, moments, side="left")
    return np.cumsum(np.bincount(first, minlength=len(decision) + 1)[: len(decision)])


def _releases(reference: Reference, pair: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times of the pair's releases, each once, with the highest impact at each; and all of high impact."""
    key = ("releases", pair)
    if key not in reference.prepared:
        table = cast(pd.DataFrame, reference.economic)
        mine = table[table["currency"].isin(pair)]
        highest = mine.groupby("time", sort=True)["impact"].max()
        high = time_us(mine.loc[mine["impact"] == HIGH, "time"])
        reference.prepared[key] = (time_us(highest.index), highest.to_numpy(float), high)
    return cast(tuple[np.ndarray, np.ndarray, np.ndarray], reference.prepared[key])


def _last_surprise(reference: Reference, currency: str, decision: np.ndarray) -> np.ndarray:
    """The surprise of the currency's newest release whose figure is known, 0 where it is older than CAP."""
    key = ("surprises", currency)
    if key not in reference.prepared:
        table = cast(pd.DataFrame, reference.economic)
        reference.prepared[key] = _surprises(table[table["currency"] == currency])
    known, released, value = cast(tuple[np.ndarray, np.ndarray, np.ndarray], reference.prepared[key])
    out = np.zeros(len(decision))
    at = known_by(known, decision) - 1
    there = at >= 0
    fresh = decision[there] - released[at[there]] < CAP * MINUTE_US
    out[there] = np.where(fresh, value[at[there]], 0.0)
    return out


def _surprises(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One currency's news in the order it became known: when, the newest release's time by then, and its surprise."""
    figures = table[table["actual"].notna() & table["forecast"].notna()]
    figures = figures.sort_values(["available_at", "time", "event"], kind="stable")
    known, released = time_us(figures["available_at"]), time_us(figures["time"])
    difference = (figures["actual"] - figures["forecast"]).to_numpy()
    impact, events = figures["impact"].to_numpy(float), figures["event"].tolist()
    earlier: dict[str, list[tuple[int, float]]] = {}
    out_known, out_released, out_value = [], [], []
    newest, weight, total = -(1 << 62), 0.0, 0.0
    for row, event in enumerate(events):
        history = earlier.setdefault(event, [])
        before = bisect_left(history, (int(known[row]), -np.inf))  # those known at the same moment do not count
        score = _standardised(difference[row], [size for _, size in history[max(0, before - HISTORY) : before]])
        history.append((int(known[row]), float(difference[row])))
        if released[row] < newest:
            continue  # a figure that came later than a newer release's
        if released[row] > newest:
            newest, weight, total = int(released[row]), 0.0, 0.0
        weight += impact[row]
        total += impact[row] * (-score if any(word in event.lower() for word in REVERSED) else score)
        out_known.append(int(known[row]))
        out_released.append(newest)
        out_value.append(total / weight)
    return np.array(out_known, np.int64), np.array(out_released, np.int64), np.array(out_value, float)


def _standardised(surprise: float, earlier: list[float]) -> float:
    if len(earlier) < FEWEST or not (usual := float(np.sqrt(np.mean(np.square(earlier))))):
        return 0.0
    return float(np.clip(surprise / usual, -LIMIT, LIMIT))
