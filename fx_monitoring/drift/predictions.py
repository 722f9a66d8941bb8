"""The prediction log as a frame, joined with what really happened.

The log's format and its readers are fx_serving.client's; only the shaping into columns belongs here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from fx_assets.errors import DataError, StoreError
from fx_serving.client.prediction_log import (
    FeedbackRecord,
    PredictionLogError,
    PredictionRecord,
    read_feedback,
    read_predictions,
)

PREFIX = "f_"

_UTC = "datetime64[us, UTC]"
_DTYPES = {
    "prediction_id": "string",
    "instrument": "string",
    "timestamp": _UTC,
    "model": "string",
    "version": "string",
    "slot": "string",
    "prediction": "float64",
    "label": "string",
    "feature_time": _UTC,
    "latency_us": "float64",
    "overridden": "int64",
}
_OUTCOMES = {"realized_direction": "Int64", "realized_value": "float64", "feedback_at": _UTC}
#: Records turned into columns at once: a dict per record is ten times the size of its row.
_CHUNK = 20_000


def predictions_frame(directory: Path, start: datetime | None = None, end: datetime | None = None) -> pd.DataFrame:
    """One row per prediction with start <= decision time < end (aware; None: no limit), by timestamp.

    Columns: prediction_id, instrument, timestamp (decision time, UTC), model, version, slot, prediction
    (P(positive)), label, feature_time (UTC, NaT if unknown), latency_us, overridden (how many features the
    request set itself), f_<feature> for every feature any record holds (NaN where a record has none), and the
    outcome, missing until there is feedback: realized_direction (-1, 0, 1), realized_value, feedback_at.
    Feedback is matched by prediction id, else by instrument and timestamp (and model, if it names one); the
    latest one received counts. Bare rows of numbers, asked without an instrument, are left out. A missing directory,
    or one without records, gives no rows. Raises StoreError where the ingested log cannot be read.
    """
    try:
        named = (record for record in read_predictions(directory, since=start, until=end) if record.instrument)
        frame = _with_outcomes(_frame(named), read_feedback(directory, start, end))
    except PredictionLogError as error:
        raise StoreError(str(error)) from None
    return frame.sort_values(["timestamp", "prediction_id"], kind="stable", ignore_index=True)


def distinct_inputs(frame: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """The distinct feature rows of `frame`, columns named as `features`, in the order first seen.

    frame: has f_<feature> columns (a prediction log frame) or plain <feature> columns. A client that asks a
    hundred times about one bar gives one row: drift is about the market's inputs, not about the number of
    requests.
    An empty frame gives an empty one. Raises DataError if a feature is in neither form.
    """
    return distinct_rows(frame, features)[list(features)]


def distinct_rows(frame: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """As distinct_inputs, with the columns of the log (instrument, prediction and so on) of each row's first time."""
    if frame.empty:
        return pd.DataFrame({feature: pd.Series(dtype="float64") for feature in features})
    columns = {}
    for feature in features:
        source = PREFIX + feature if PREFIX + feature in frame.columns else feature
        if source not in frame.columns:
            raise DataError(
                f"drift: no column {PREFIX}{feature} or {feature} among the predictions. Their model was "
                "made without it: take the predictions of one model version, and its manifest's features."
            )
        columns[feature] = frame[source].to_numpy(dtype="float64", na_value=np.nan)
    inputs = pd.DataFrame(columns)
    kept = ~inputs.duplicated().to_numpy()
    others = [name for name in frame.columns if not name.startswith(PREFIX) and name not in columns]
    whole = pd.concat([inputs, frame[others].reset_index(drop=True)], axis=1)
    return whole[kept].reset_index(drop=True)


def _frame(records: Iterable[PredictionRecord]) -> pd.DataFrame:
    remaining = iter(records)
    chunks = []
    while chunk := list(islice(remaining, _CHUNK)):
        plain = pd.DataFrame(
            {
                "prediction_id": [r.prediction_id for r in chunk],
                "instrument": [r.instrument for r in chunk],
                "timestamp": [r.timestamp for r in chunk],
                "model": [r.model for r in chunk],
                "version": [r.version for r in chunk],
                "slot": [r.slot for r in chunk],
                "prediction": [r.prediction for r in chunk],
                "label": [r.label for r in chunk],
                "feature_time": [r.feature_time for r in chunk],
                "latency_us": [r.latency_us for r in chunk],
                "overridden": [len(r.overridden) for r in chunk],
            }
        ).astype(_DTYPES)
        features = pd.DataFrame.from_records([r.features for r in chunk]).astype("float64")
        chunks.append(pd.concat([plain, features.add_prefix(PREFIX)], axis=1))
    if not chunks:
        return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in _DTYPES.items()})
    return pd.concat(chunks, ignore_index=True)


def _with_outcomes(frame: pd.DataFrame, feedback: Iterable[FeedbackRecord]) -> pd.DataFrame:
    """`frame` with the outcome columns; the latest of several feedbacks wins, by id before by time."""
    by_id: dict[str, FeedbackRecord] = {}
    by_time: dict[tuple[str, datetime, str | None], FeedbackRecord] = {}
    for record in feedback:
        if record.prediction_id is not None:
            by_id[record.prediction_id] = record
        else:
            by_time[(record.instrument, record.timestamp, record.model)] = record

    matched: list[FeedbackRecord | None] = []
    keys = zip(frame["prediction_id"], frame["instrument"], frame["timestamp"], frame["model"], strict=True)
    for prediction_id, instrument, timestamp, model in keys:
        at = timestamp.to_pydatetime()
        matched.append(
            by_id.get(prediction_id) or by_time.get((instrument, at, model)) or by_time.get((instrument, at, None))
        )
    values = {
        "realized_direction": [r.realized_direction if r else None for r in matched],
        "realized_value": [r.realized_value if r else None for r in matched],
        "feedback_at": [r.received_at if r else None for r in matched],
    }
    outcomes = {name: pd.Series(values[name], index=frame.index, dtype=dtype) for name, dtype in _OUTCOMES.items()}
    return pd.concat([frame, pd.DataFrame(outcomes)], axis=1)
