"""What a model says of one bar: the deployment service's answer, or the champions' batch prediction of that bar.

Nothing is made up: whoever has no answer for exactly this bar says why, and paper trading records that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from fx_assets.lake import Lake
from fx_assets.sessions import running_session
from fx_serving.client.clock import parse_utc, to_iso
from fx_serving.client.errors import ServiceError, ServiceUnreachable
from fx_serving.client.http import ServingClient

LAST_MOVE = "log_return_1"


class NoForecast(Exception):
    """There is no forecast of this bar; the message says why."""


@dataclass(frozen=True)
class Forecast:
    """A model's probability for one bar. source: service or batch. move: the last bar's log return, None where the
    answer does not hold it.
    """

    prediction: float
    version: str
    source: str
    prediction_id: str | None = None
    move: float | None = None


Ask = Callable[[str, str, datetime], Forecast]


class Service:
    """The deployment service. Once it did not answer at all, it is not asked again in this run."""

    def __init__(self, client: ServingClient) -> None:
        self._client = client
        self._silent: str | None = None

    def __call__(self, model: str, instrument: str, bar: datetime) -> Forecast:
        """The answer for the decision at a bar's close. Raises NoForecast."""
        if self._silent is not None:
            raise NoForecast(self._silent)
        try:
            # The id is the bar's: asked again, after a kill for example, the service logs no second prediction.
            answer = self._client.predict(instrument, bar, model, request_id=request_id(model, instrument, bar))
        except ServiceUnreachable as error:
            self._silent = str(error.detail)
            raise NoForecast(self._silent) from None
        except ServiceError as error:
            raise NoForecast(f"the service refuses (HTTP {error.status}): {error.detail}") from None
        made = answer.get("feature_time")
        if made is None or parse_utc(made) != bar:
            raise NoForecast(
                f"stale features: the newest are of {made or 'no time'}, and the bar closed at {to_iso(bar)}"
            )
        move = answer.get("features_used", {}).get(LAST_MOVE)
        return Forecast(answer["prediction"], answer["model_version"], "service", answer["prediction_id"], move)


class Batch:
    """The champions' batch predictions in the lake."""

    def __init__(self, lake: Lake, now: datetime, all_week: bool = False) -> None:
        self._lake, self._now, self._all_week = lake, now, all_week

    def __call__(self, model: str, instrument: str, bar: datetime) -> Forecast:
        """The row of exactly this decision. Raises NoForecast."""
        from fx_assets.models.batch import table

        key = running_session(bar - timedelta(microseconds=1), self._all_week)
        rows = self._lake.read(table(model), [key]).get(key)
        if rows is not None:
            rows = rows[(rows["instrument"] == instrument) & (rows["predicted_at"] <= pd.Timestamp(self._now))]
        if rows is None or not len(rows):
            raise NoForecast(f"no batch prediction in session {key}")
        newest = rows.sort_values("decision_time").iloc[-1]
        found = rows[rows["decision_time"] == pd.Timestamp(bar)]
        if not len(found):
            told = to_iso(newest["decision_time"].to_pydatetime())
            raise NoForecast(f"stale batch predictions: the newest is of {told}, and the bar closed at {to_iso(bar)}")
        row = found.iloc[0]
        return Forecast(float(row["prediction"]), str(row["version"]), "batch")


def first_of(*sources: Ask) -> Ask:
    """The first source that has a forecast; NoForecast with everybody's reason where none has."""

    def ask(model: str, instrument: str, bar: datetime) -> Forecast:
        reasons = []
        for source in sources:
            try:
                return source(model, instrument, bar)
            except NoForecast as error:
                reasons.append(str(error))
        raise NoForecast("; ".join(reasons))

    return ask


def request_id(model: str, instrument: str, bar: datetime) -> str:
    """The same for every question about one bar."""
    return "paper-" + hashlib.sha256(f"{model}|{instrument}|{to_iso(bar)}".encode()).hexdigest()[:32]


def last_move(lake: Lake, instrument: str, bar: datetime, all_week: bool = False) -> float:
    """The log return of the bar that closed then, from gold/features. Raises NoForecast where there is no row of it."""
    key = running_session(bar - timedelta(microseconds=1), all_week)
    rows = lake.read("gold/features", [key], ["instrument", "available_at", LAST_MOVE]).get(key)
    if rows is not None:
        rows = rows[(rows["instrument"] == instrument) & (rows["available_at"] == pd.Timestamp(bar))]
    if rows is None or not len(rows):
        raise NoForecast(f"stale features: gold/features has no row of {to_iso(bar)}, which says which way to trade")
    return float(np.nan_to_num(rows[LAST_MOVE].iloc[0]))
