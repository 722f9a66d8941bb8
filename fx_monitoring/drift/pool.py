"""Which rows a session is judged by: its own, and where these are too few those of the sessions before it as well.

Hourly bars of four pairs are 96 rows a session: held alone against chance they say nothing, and a week of them does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd

from fx_assets.lake import Lake
from fx_assets.sessions import previous_session
from fx_monitoring.drift.predictions import PREFIX, distinct_rows

TABLE = "monitoring/predictions"
_READ = ("instrument", "timestamp", "model", "version", "prediction")


@dataclass(frozen=True)
class Pool:
    """rows: predictions in time order. sessions: those they are of, the oldest first."""

    rows: pd.DataFrame
    sessions: tuple[str, ...]

    @property
    def since(self) -> str | None:
        """The first session, where there are several."""
        return self.sessions[0] if len(self.sessions) > 1 else None

    @property
    def words(self) -> str:
        """For people: what was judged; nothing where it is the session's own rows."""
        if len(self.sessions) < 2:
            return ""
        return f"judged with the rows of {len(self.sessions)} sessions since {self.sessions[0]}: its own are too few"


def as_scored(predictions: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """Predictions in time order with the model's inputs as it scored them. An input that no record holds is missing."""
    inputs = {PREFIX + name: "float32" for name in features}
    rows = predictions.reindex(columns=[*predictions.columns, *(c for c in inputs if c not in predictions.columns)])
    rows = rows.astype(inputs)
    return rows.sort_values("timestamp", kind="stable", ignore_index=True) if "timestamp" in rows.columns else rows


def pooled(
    lake: Lake,
    own: pd.DataFrame,
    features: Sequence[str],
    session: str,
    *,
    model: str,
    version: str,
    min_rows: int,
    most: int,
    all_week: bool,
    broken: Collection[str] = (),
) -> Pool:
    """The session's rows, with those of as few sessions before it as make `min_rows` distinct ones.

    own: as_scored, of this model and version; only rows of these are added. most: sessions looked through, this one
    included. broken: sessions whose feed was; their rows are left out.
    """
    rows, sessions = own, [session]
    columns = [*_READ, *(PREFIX + name for name in features)]
    before = session
    for _ in range(most - 1):
        if len(distinct_rows(rows, features)) >= min_rows:
            break
        before = previous_session(before, all_week)
        found = None if before in broken else lake.read(TABLE, [before], columns).get(before)
        if found is None or not set(columns) <= set(found.columns):
            continue
        same = found[(found["model"] == model) & (found["version"] == version)]
        if len(same):
            rows = pd.concat([as_scored(same, features), rows], ignore_index=True)
            sessions.insert(0, before)
    return Pool(rows, tuple(sessions))
