"""The body of a prediction's answer, and the record of it in the prediction log."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from fx_serving.client.prediction_log import PredictionRecord
from fx_serving.dataplane.bundles import LoadedBundle
from fx_serving.dataplane.features import Vector
from fx_serving.dataplane.request import PredictRequest

_encode = msgspec.json.Encoder().encode


class PredictionAnswer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One answer.

    `prediction` is P(positive label); `features_used` what was scored, in the model's input order (encoded);
    `outlier_score` the share of training rows less unlike training data than this input.
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
    features_used: msgspec.Raw
    outlier_score: float | None
    feature_time: datetime | None
    feature_age_s: float | None
    prediction_id: str
    timestamp: datetime


class Asked:
    """A question on its way through. `started`: performance counter in ns when it was taken up."""

    __slots__ = ("at", "forced", "historic", "prediction_id", "question", "route", "started")

    def __init__(
        self,
        question: PredictRequest,
        forced: str | None,
        prediction_id: str,
        at: datetime,
        historic: bool,
        route: str,
        started: int,
    ) -> None:
        self.question, self.forced, self.prediction_id = question, forced, prediction_id
        self.at, self.historic, self.route, self.started = at, historic, route, started


class Scored(NamedTuple):
    """A scored question. `rollout_id`: of the rollout whose candidate was asked."""

    bundle: LoadedBundle
    vector: Vector
    score: float
    slot: str
    fell_back: bool
    rollout_id: str | None


def encode_answer(asked: Asked, scored: Scored) -> tuple[bytes, bytes, float]:
    """(the answer's body, its record, the seconds until the answer was made)."""
    bundle, vector, score, slot, fell_back, rollout_id = scored
    manifest, question = bundle.manifest, asked.question
    positive = score >= manifest.threshold
    label = manifest.label.positive if positive else manifest.label.negative
    # Encoded once, for the answer and for the record.
    features: Any = msgspec.Raw(_encode(dict(zip(bundle.names, vector.row[0].tolist(), strict=True))))
    unlike = bundle.outlier.score(vector.row) if bundle.outlier is not None else None
    body = _encode(
        PredictionAnswer(
            prediction=score,
            label=label,
            direction=("up" if positive else "down") if bundle.sided else msgspec.UNSET,
            confidence=max(score, 1.0 - score),
            model=bundle.model,
            model_version=bundle.version,
            slot=slot,
            fell_back=fell_back,
            instrument=question.instrument,
            features_used=features,
            outlier_score=unlike,
            feature_time=vector.time,
            feature_age_s=vector.age_s,
            prediction_id=asked.prediction_id,
            timestamp=asked.at,
        )
    )
    elapsed_ns = time.perf_counter_ns() - asked.started
    record = PredictionRecord(
        prediction_id=asked.prediction_id,
        request_id=question.request_id,
        logged_at=datetime.now(UTC),
        timestamp=asked.at,
        instrument=question.instrument,
        model=bundle.model,
        version=bundle.version,
        slot=slot,
        fell_back=fell_back,
        prediction=score,
        label=label,
        features=features,
        overridden=list(question.features) if question.features else [],
        feature_time=vector.time,
        feature_age_s=vector.age_s,
        latency_us=elapsed_ns / 1000,
        rollout_id=rollout_id,
        key=question.key,
        outlier_score=unlike,
        route=asked.route,
    )
    return body, _encode(record), elapsed_ns / 1e9
