"""What a model is trained on: labels decided before the session begins, with the features known at each decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fx_assets.configuration import Configuration, Label, Model
from fx_assets.errors import DataError, MissingData
from fx_assets.feature_store.services import service_for
from fx_assets.feature_store.training import training_rows
from fx_assets.labels import uniqueness_weights
from fx_assets.lake import Lake
from fx_assets.schemas import model_features, optional_needs
from fx_assets.sessions import session_bounds

if TYPE_CHECKING:
    from feast import FeatureStore


def features(configuration: Configuration, model: str) -> list[str]:
    """The names of a model's inputs, in order."""
    return [name for name, _ in model_features(configuration, model)]


def decisions(labels: pd.DataFrame, label: Label, before: pd.Timestamp) -> pd.DataFrame:
    """Rows of gold/labels whose label was decided by `before`, under names that do not depend on the label.

    Returns instrument, time, decision_time, label (0 or 1), label_end, forward_return and, for a large move,
    persistence (the naive score).
    """
    horizon = label.horizon_minutes
    names = {
        "available_at": "decision_time",
        label.column: "label",
        f"label_end_{horizon}m": "label_end",
        f"forward_return_{horizon}m": "forward_return",
        f"{label.column}_persistence": "persistence",
    }
    frame = labels.rename(columns=names)
    kept = [c for c in ("instrument", "time", *names.values()) if c in frame.columns]
    frame = frame.loc[frame["label"].notna() & (frame["label_end"] <= before), kept]
    return frame.dropna().reset_index(drop=True)


def build(
    store: FeatureStore, lake: Lake, configuration: Configuration, model: str, session: str, keys: list[str]
) -> pd.DataFrame:
    """The training set of one session: only what was known, and decided, when that session began.

    keys: all sessions, sorted. Returns decisions() plus weight (average uniqueness, (0, 1]) and every feature
    (float64, none missing), sorted by decision time and instrument.
    Raises MissingData for a session of the window that has not been made, DataError for too few rows, one class,
    or a feature that is missing throughout, StoreError when the model's feature service is not registered.
    """
    entry = configuration.models.models[model]
    here = keys.index(session)
    window = keys[max(0, here - entry.training.sessions) : here]
    have = set(lake.keys("gold/labels")) & set(lake.keys("gold/features"))
    if not window or (absent := [key for key in window if key not in have]):
        lost = absent[:3] if window else [session]
        raise MissingData(
            f"{model}, session {session}: gold/features or gold/labels not made for {', '.join(lost)}. "
            f"Run `fx backfill --from {window[0] if window else session} --to {window[-1] if window else session}`."
        )
    inputs = model_features(configuration, model)
    names = [name for name, _ in inputs]
    start = pd.Timestamp(session_bounds(session)[0])
    labels = lake.table("gold/labels", window[0], window[-1], configuration.model_instruments(model))
    rows = training_rows(store, service_for(store, model, inputs), decisions(labels, entry.label, start))
    empty = [name for name in names if rows[name].isna().all()]
    if len(rows) and empty:
        raise DataError(f"{model}, session {session}: {_no_value(model, entry, empty)}")
    rows = rows.dropna(subset=names, ignore_index=True)
    if len(rows) < entry.training.min_rows:
        raise DataError(
            f"{model}, session {session}: {len(rows)} complete rows in {len(window)} sessions, "
            f"training.min_rows is {entry.training.min_rows}. Backfill more history or lower it in models.yaml."
        )
    if rows["label"].nunique() < 2:
        raise DataError(f"{model}, session {session}: every label is {rows['label'].iloc[0]:g}. Widen the window.")
    return rows.assign(weight=_weights(rows))


def _no_value(model: str, entry: Model, empty: list[str]) -> str:
    """What is missing in the whole window, and the remedy."""
    told = f"{', '.join(empty[:5])} ({len(empty)}) has no value in the whole window."
    columns = sorted({column for name in empty for column in optional_needs(name)})
    if not columns:
        return f"{told} Check gold/features, or the source that should supply it."
    left = [column for column in entry.features.candle_columns if column not in columns]
    return (
        f"{told} Its candles have no {', '.join(columns)}: in models.yaml, set models.{model}.features.candle_columns "
        f"to [{', '.join(left)}], and such features are left out."
    )


def _weights(rows: pd.DataFrame) -> np.ndarray:
    weights = pd.Series(1.0, index=rows.index)
    for _, part in rows.groupby("instrument", sort=False):
        weights.loc[part.index] = uniqueness_weights(
            part["decision_time"].to_numpy("datetime64[us]"), part["label_end"].to_numpy("datetime64[us]")
        )
    return weights.to_numpy()
