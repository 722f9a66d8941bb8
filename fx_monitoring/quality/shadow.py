"""The candidates' unseen scores as a frame, beside the answers that were served to the same requests."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import pandas as pd

from fx_assets.errors import StoreError
from fx_monitoring.quality.outcomes import ADDED, UTC_TIME
from fx_serving.client.prediction_log import PredictionLogError, ShadowRecord, read_shadows

_OWN = {
    "prediction_id": "string",
    "rollout_id": "string",
    "instrument": "string",
    "timestamp": UTC_TIME,
    "model": "string",
    "version": "string",
    "prediction": "float64",
    "failed": "string",
    "service_us": "float64",
}
#: Of the served answer to the same request.
_SERVED = {"version": "served_version", "slot": "served_slot", "prediction": "served_prediction"}


def shadow_frame(
    directory: Path, predictions: pd.DataFrame, start: datetime | None = None, end: datetime | None = None
) -> pd.DataFrame:
    """One row per unseen score with start <= decision time < end (aware), by timestamp.

    predictions: of the same time, with outcomes. Columns: prediction_id (of the served answer), rollout_id, instrument,
    timestamp, model, version, prediction (NaN where the candidate failed), failed (how, else missing), service_us;
    served_version, served_slot, served_prediction, and the served answer's decision_time, outcome, outcome_source,
    label_end and forward_return, all missing where that answer is not among `predictions`.
    Raises StoreError where the ingested log cannot be read.
    """
    try:
        frame = _frame(record for record in read_shadows(directory, start, end) if record.instrument)
    except PredictionLogError as error:
        raise StoreError(str(error)) from None
    served = predictions[["prediction_id", *_SERVED, *ADDED]].rename(columns=_SERVED)
    joined = frame.merge(served.drop_duplicates("prediction_id"), on="prediction_id", how="left")
    return joined.sort_values(["timestamp", "prediction_id", "rollout_id"], kind="stable", ignore_index=True)


def _frame(records: Iterable[ShadowRecord]) -> pd.DataFrame:
    rows = [
        (
            r.prediction_id,
            r.rollout_id,
            r.instrument,
            r.timestamp,
            r.model,
            r.version,
            r.prediction,
            r.failed,
            r.service_us,
        )
        for r in records
    ]
    return pd.DataFrame(rows, columns=pd.Index(list(_OWN))).astype(_OWN)
