"""What the controller asks the ingested predictions: how good a version's decisions were, and who asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from fx_serving.client.home import Stores
from fx_serving.client.prediction_db import micros, moment, reading

_SCANNED = 20  # rows looked at for each key wanted


@dataclass(frozen=True)
class Outcome:
    """A decision and what really happened. timestamp: of the newest bar it saw; prediction: P(positive)."""

    timestamp: datetime
    instrument: str
    prediction: float
    direction: int | None
    value: float | None


def outcomes(
    stores: Stores,
    model: str,
    version: str,
    slot: Literal["control", "green", "shadow", "blue"],
    since: datetime,
    until: datetime,
) -> list[Outcome]:
    """A version's decisions made in a time (wall clock, since <= logged < until) that feedback speaks of, by time.

    One for each bar and instrument, however many requests asked: versions are compared where both decided, so
    "control" is the same as "blue". Feedback on one version's prediction counts for the other's at the same bar too.
    Raises PredictionLogError.
    """
    with reading(stores.predictions) as database:
        if database is None:
            return []
        found = database.ask(
            "SELECT d.at, d.instrument, d.prediction, o.direction, o.value FROM decisions d JOIN outcomes o "
            "ON o.model = d.model AND o.instrument = d.instrument AND o.at = d.at "
            "WHERE d.model = ? AND d.version = ? AND d.slot = ? AND d.last_at >= ? AND d.first_at < ? "
            "ORDER BY d.at, d.instrument",
            (model, version, "blue" if slot == "control" else slot, micros(since), micros(until)),
        )
        return [Outcome(moment(at), instrument, *rest) for at, instrument, *rest in found]


def recent_keys(stores: Stores, n: int) -> list[str]:
    """The newest distinct routing keys that requests named, newest first, at most n. Raises PredictionLogError."""
    with reading(stores.predictions) as database:
        if database is None:
            return []
        keys: dict[str, None] = {}
        newest = database.ask("SELECT key FROM predictions ORDER BY logged_at DESC LIMIT ?", (n * _SCANNED,))
        for (key,) in newest:
            if key is not None:
                keys.setdefault(key)
                if len(keys) == n:
                    break
        return list(keys)
