"""What really happened to each prediction: told by feedback, else found in gold/labels by the model's own label.

A prediction speaks of the bar it saw: that of `feature_time`, or, where its features came with the request, the newest
bar that had closed at its decision time. Nothing counts that is not known yet: a label whose end lies after the data
clock's now is left out, whatever the table holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from fx_assets.configuration import Configuration, Label
from fx_assets.features.blocks import MINUTE_US, time_us
from fx_assets.labels.columns import both_sides, everything, gold_names
from fx_serving.client.bundle import BundleError, bundle_dir, read_manifest
from fx_serving.client.home import Stores

UTC_TIME = "datetime64[us, UTC]"
#: The columns that `with_outcomes` adds.
ADDED = {
    "decision_time": UTC_TIME,
    "outcome": "float64",
    "outcome_source": "string",
    "label_end": UTC_TIME,
    "forward_return": "float64",
}


@dataclass(frozen=True)
class Market:
    """What the join needs to know: each model's label, and the length of each instrument's bars in minutes."""

    labels: Mapping[str, Label]
    bar_minutes: Mapping[str, int]

    @classmethod
    def of(cls, configuration: Configuration) -> Market:
        """Of every model whose answers are probabilities."""
        models = configuration.models.models
        return cls(
            {name: entry.label for name, entry in models.items() if entry.label.is_probability},
            {symbol: entry.minutes for symbol, entry in configuration.instruments.instruments.items()},
        )


def foreign_versions(stores: Stores, market: Market, frame: pd.DataFrame) -> dict[tuple[str, str], str]:
    """(model, version) -> why the configured label is not what that version foretells; those that agree lack."""
    found = {}
    for model, version in frame[["model", "version"]].drop_duplicates().itertuples(index=False):
        label = market.labels.get(model)
        if label is None:
            found[model, version] = "models.yaml has no such model with a probability"
            continue
        try:
            manifest = read_manifest(bundle_dir(stores.bundles, model, version))
        except BundleError:
            continue  # retired bundles are deleted: what models.yaml says is the best there is
        length = next((market.bar_minutes[s] for s in manifest.instruments if s in market.bar_minutes), 60)
        told, wanted = (manifest.label.kind, manifest.label.horizon_minutes), (label.kind, label.minutes(length))
        if told != wanted:
            found[model, version] = (
                f"it foretells {told[0]} over {told[1]} minutes, models.yaml {wanted[0]} over {wanted[1]}"
            )
    return found


def with_outcomes(
    frame: pd.DataFrame,
    labels: pd.DataFrame | None,
    market: Market,
    now: datetime,
    foreign: Mapping[tuple[str, str], str] | None = None,
) -> pd.DataFrame:
    """`frame` with the columns ADDED.

    frame: of predictions_frame. labels: rows of gold/labels around it; None where there are none. now: aware, the data
    clock's. foreign: versions that gold/labels says nothing about (see foreign_versions).
    decision_time: close of the bar it speaks of, else the moment itself. outcome: 1.0 where what P(positive) was about
    happened, 0.0 where not. label_end, forward_return: of the label, forward_return only once it is known.
    """
    made = {name: pd.Series(index=frame.index, dtype=dtype) for name, dtype in ADDED.items()}
    moment = frame["feature_time"].fillna(frame["timestamp"])
    made["decision_time"] = moment.astype(UTC_TIME)
    thresholds = pd.Series(np.nan, index=frame.index)
    skipped = _in(frame, foreign or {})
    if labels is not None and len(labels):
        asked = set(frame["model"].unique()) & market.labels.keys()
        # A meta label follows what its primary said, so that is joined first.
        for model in sorted(asked, key=lambda name: (both_sides(market.labels[name]), name)):
            label = market.labels[model]
            sides = _sides(frame, made, label, labels) if both_sides(label) else None
            if lacks(labels, label) or (both_sides(label) and sides is None):
                continue
            rows = frame.index[(frame["model"] == model) & ~skipped]
            _join(frame, made, thresholds, rows, moment, decided(labels, label, now, sides), market.bar_minutes)
    told = _of_feedback(frame, market, thresholds)
    joined = made["outcome"]
    made["outcome_source"] = made["outcome_source"].mask(joined.notna(), "label").mask(told.notna(), "feedback")
    made["outcome"] = told.fillna(joined)
    return pd.concat([frame.drop(columns=[c for c in ADDED if c in frame.columns]), pd.DataFrame(made)], axis=1)


def lacks(labels: pd.DataFrame, label: Label) -> bool:
    """Whether rows of gold/labels were made before this label was asked for."""
    return not set(gold_names(label).values()) <= set(labels.columns)


def decided(labels: pd.DataFrame, label: Label, now: datetime, sides: pd.DataFrame | None = None) -> pd.DataFrame:
    """Rows of gold/labels as of `now`: instrument, decision_time, label_end, outcome, forward_return, threshold.

    outcome and forward_return are missing where the label was not decided by then. label_end is missing where it would
    tell something: when a barrier will be touched is not known before it is.
    """
    found = everything(labels, label, sides)
    known = (found["label_end"] <= pd.Timestamp(now)).to_numpy()
    return pd.DataFrame(
        {
            "instrument": found["instrument"],
            "decision_time": found["decision_time"],
            "label_end": found["label_end"].where(known | (not label.has_barriers)),
            "outcome": found["label"].where(known),
            "forward_return": found["forward_return"].where(known),
            "threshold": found.get("threshold", np.nan),
        }
    )


def _join(
    frame: pd.DataFrame,
    made: dict[str, pd.Series],
    thresholds: pd.Series,
    rows: pd.Index,
    moment: pd.Series,
    known: pd.DataFrame,
    bar_minutes: Mapping[str, int],
) -> None:
    """Fill `made` for `rows` from the newest decision at or before each moment, less than one bar ago."""
    names = frame.loc[rows, "instrument"]
    for symbol, own in known.groupby("instrument"):
        here = names.index[(names == symbol).to_numpy(bool)]
        if not len(here) or symbol not in bar_minutes:
            continue
        own = own.sort_values("decision_time")
        closes, asked = time_us(own["decision_time"]), time_us(moment.loc[here])
        place = np.searchsorted(closes, asked, side="right") - 1
        good = (place >= 0) & (asked - closes[place] < bar_minutes[str(symbol)] * MINUTE_US)
        here, place = here[good], place[good]
        for name in ("decision_time", "label_end", "outcome", "forward_return"):
            made[name].loc[here] = own[name].array[place]
        thresholds.loc[here] = own["threshold"].to_numpy(float)[place]


def _of_feedback(frame: pd.DataFrame, market: Market, thresholds: pd.Series) -> pd.Series:
    """The outcome that feedback states: direction 1 is the positive label; a value alone is held against the label."""
    direction = frame["realized_direction"].astype("float64")
    value = frame["realized_value"].astype("float64")
    large = frame["model"].isin([name for name, label in market.labels.items() if label.kind == "large_move"])
    by_sign = pd.Series(np.where(value > 0, 1.0, np.where(value < 0, 0.0, np.nan)), index=frame.index)
    # Larger than usual, and how much is usual the label knows: the sign of a move says nothing about its size.
    by_size = (value.abs() > thresholds).astype("float64").where(value.notna() & thresholds.notna())
    from_value = by_size.where(large.to_numpy(bool), by_sign)
    return (direction > 0).astype("float64").where(direction.notna(), from_value)


def _in(frame: pd.DataFrame, versions: Mapping[tuple[str, str], str]) -> pd.Series:
    if not versions:
        return pd.Series(False, index=frame.index)
    pairs = pd.MultiIndex.from_frame(frame[["model", "version"]].astype(object))
    return pd.Series(pairs.isin(list(versions)), index=frame.index)


def _sides(
    frame: pd.DataFrame, made: Mapping[str, pd.Series], label: Label, labels: pd.DataFrame
) -> pd.DataFrame | None:
    """What the primary model of a meta label answered: instrument, time (bar open) and prediction, the first answer of
    each bar; None where it was not asked.
    """
    asked = frame["model"] == label.primary
    if not asked.any():
        return None
    said = pd.DataFrame(
        {
            "instrument": frame.loc[asked, "instrument"].astype(object),
            "available_at": made["decision_time"].loc[asked],
            "prediction": frame.loc[asked, "prediction"],
        }
    ).drop_duplicates(["instrument", "available_at"])
    bars = labels[["instrument", "time", "available_at"]]
    return said.merge(bars, on=["instrument", "available_at"])[["instrument", "time", "prediction"]]
