"""Earlier sessions whose outcomes became known after their predictions were last made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import pandas as pd

from fx_assets.lake import Lake
from fx_assets.sessions import previous_session, session_keys
from fx_monitoring.quality.outcomes import Market, with_outcomes
from fx_monitoring.quality.rolling import ONE_OF, TABLE
from fx_serving.client.prediction_log import FeedbackRecord

_OPEN = [
    "prediction_id",
    "instrument",
    "timestamp",
    "model",
    "version",
    "prediction",
    "feature_time",
    "realized_direction",
    "realized_value",
    "decision_time",
    "outcome",
]
#: The start of a session, to the microsecond, is still the one before it: decisions are taken at a bar's close.
_JUST_BEFORE = pd.Timedelta(microseconds=1)


def answerable(lake: Lake, market: Market, keys: Sequence[str], now: datetime, all_week: bool) -> dict[str, int]:
    """By session of `keys`, how many bars whose answers have no outcome gold/labels can tell by now; only those with
    any. Sessions without predictions are skipped, and so are those made before outcomes were kept.
    """
    found = {}
    for key in keys:
        frame = lake.read(TABLE, [key], _OPEN).get(key)
        if frame is None or not set(_OPEN) <= set(frame.columns):
            continue
        # The label answers by bar: one prediction of each stands for however many asked.
        open_ = frame[frame["outcome"].isna()].drop_duplicates(ONE_OF)
        labels = labels_around(lake, key, all_week)
        if open_.empty or labels is None:
            continue
        known = with_outcomes(open_.reset_index(drop=True), labels, market, now)["outcome"].notna()
        if count := int(known.sum()):
            found[key] = count
    return found


def labels_around(lake: Lake, key: str, all_week: bool) -> pd.DataFrame | None:
    """gold/labels of a session and the one before it, whose last bar the session's first answers speak of; None where
    neither is made.
    """
    parts = lake.read("gold/labels", [previous_session(key, all_week), key]).values()
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else None


def told_late(
    records: Iterable[FeedbackRecord], running: str, all_week: bool
) -> tuple[dict[str, int], datetime | None]:
    """({session: feedback on decisions of sessions before the running one}, when the newest was received)."""
    times, newest = [], None
    for record in records:
        times.append(record.timestamp)
        newest = record.received_at if newest is None else max(newest, record.received_at)
    if not times:
        return {}, None
    keys = pd.Series(session_keys(pd.DatetimeIndex(times) - _JUST_BEFORE, all_week))
    counts = keys[keys < running].value_counts()
    return {str(key): int(count) for key, count in counts.items()}, newest
