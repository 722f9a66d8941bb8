"""The body of a prediction's answer."""

from __future__ import annotations

from datetime import datetime

import msgspec


class PredictionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer.

    `prediction` is P(positive label); `features_used` what was scored, in the model's input order.
    """

    prediction: float
    label: str
    direction: str | msgspec.UnsetType = msgspec.UNSET
    confidence: float
    model: str
    model_version: str
    slot: str
    fell_back: bool
    instrument: str
    features_used: dict[str, float]
    feature_time: datetime | None
    feature_age_s: float | None
    prediction_id: str
    timestamp: datetime
