"""One prediction from request to answer: which model, which slot, what happens when the candidate fails."""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from fx_serving.client.prediction_log import PredictionRecord
from fx_serving.config import ServingConfig
from fx_serving.dataplane import request as requests
from fx_serving.dataplane.answer import PredictionAnswer
from fx_serving.dataplane.bundles import LoadedBundle
from fx_serving.dataplane.errors import ApiError
from fx_serving.dataplane.features import Vector, assemble
from fx_serving.dataplane.log import PredictionLogWriter
from fx_serving.dataplane.metrics import Metrics
from fx_serving.dataplane.request import PredictRequest
from fx_serving.dataplane.sidecar_client import CanaryFailure
from fx_serving.dataplane.slots import Deployment, Green, ModelSlots, SlotManager
from fx_serving.dataplane.snapshots import FeatureSnapshots
from fx_serving.routing import goes_green

logger = logging.getLogger("fx_serving.predictor")
_encode = msgspec.json.Encoder().encode
_REMEMBERED = 10_000
# Kinds of label whose outcomes are a rise and a fall.
_SIDED = ("direction", "triple_barrier")


@dataclass(frozen=True, slots=True)
class Answered:
    """What is remembered of a recent answer: for a repeated request id, and for feedback by prediction id."""

    question: PredictRequest
    forced: str | None
    body: bytes
    instrument: str
    model: str
    timestamp: datetime


class Predictor:
    """Answers predictions.

    All state it reads is swapped in one assignment elsewhere, never changed in place.
    """

    def __init__(
        self,
        slots: SlotManager,
        snapshots: FeatureSnapshots,
        log: PredictionLogWriter,
        metrics: Metrics,
        config: ServingConfig,
    ) -> None:
        self.slots, self.snapshots, self.log, self.metrics, self.config = (
            slots,
            snapshots,
            log,
            metrics,
            config,
        )
        self.recent: OrderedDict[str, Answered] = OrderedDict()

    async def predict(self, body: bytes, forced: str | None = None) -> bytes:
        """The JSON answer to the JSON request `body`.

        Raises ApiError. forced: "blue", "green" or None (routed).
        """
        started = time.perf_counter_ns()
        question = requests.decode(body)
        if question.request_id is not None:
            known = self.recent.get(question.request_id)
            if known is not None:
                return _again(known, question, forced)
        model, slots = self._model(self.slots.current, question)
        at, historic = requests.decision_time(question)
        prediction_id = question.request_id or uuid.uuid4().hex
        green = self._green(model, slots, question, prediction_id, forced)
        if green is None:
            blue = _require_blue(model, slots)
            vector = self._vector(blue, question, at, historic)
            score = self._score_blue(blue, vector, started)
            return self._finish(question, forced, prediction_id, at, blue, vector, score, None, None, started)
        return await self._canary(question, forced, prediction_id, at, historic, model, slots, green, started)

    async def _canary(
        self,
        question: PredictRequest,
        forced: str | None,
        prediction_id: str,
        at: datetime,
        historic: bool,
        model: str,
        slots: ModelSlots,
        green: Green,
        started: int,
    ) -> bytes:
        try:
            vector = self._vector(green.hot, question, at, historic)
            score = await green.sidecar.score(vector.row.tobytes())
            if not math.isfinite(score):
                raise CanaryFailure("nan", "the score is not finite")
            scored, failed = green.hot, None
        except Exception as error:  # whatever goes wrong on the way to the candidate, blue answers
            if slots.blue is None:
                raise
            failed = _why(error)
            scored = slots.blue
            # If blue cannot answer either, the request or the store is at fault, and the error is raised
            # uncounted.
            vector = self._vector(scored, question, at, historic)
            score = self._score_blue(scored, vector, started)
            self.metrics.canary_failed(model, green.route.version, failed)
        # The same request id may have been asked again while this one was waiting: the first answer stands.
        known = self.recent.get(prediction_id)
        if known is not None:
            return known.body
        return self._finish(question, forced, prediction_id, at, scored, vector, score, green, failed, started)

    def _model(self, deployment: Deployment, question: PredictRequest) -> tuple[str, ModelSlots]:
        models = deployment.models
        name = question.model
        if name is None:
            name = self.config.default_model
            if name not in models and len(models) == 1:
                name = next(iter(models))
        slots = models.get(name) if name is not None else None
        if name is not None and slots is not None:
            return name, slots
        known = ", ".join(sorted(models)) or "none"
        if not models and question.model is None:
            raise ApiError(503, "no model is deployed yet. Roll one out: fx rollout start MODEL VERSION.", "no_model")
        if question.model is None:
            raise ApiError(422, f"model: is missing and the default is not deployed. Name one of: {known}.")
        raise ApiError(404, f"model: {name!r} is not deployed. Known: {known}.", "unknown_model")

    def _green(
        self, model: str, slots: ModelSlots, question: PredictRequest, prediction_id: str, forced: str | None
    ) -> Green | None:
        """The candidate, if this request is for it; checks that the instrument is one of the model's."""
        green = slots.green
        if forced == "green":
            if green is None:
                raise ApiError(404, f"green: model {model} has no candidate; no rollout is under way.", "no_green")
        elif forced == "blue":
            green = None
        elif green is not None:
            weight = green.route.weight if self.slots.live() else 0.0
            if weight > 0:
                key = question.key or (
                    question.instrument if self.config.routing_key == "instrument" else prediction_id
                )
                green = green if goes_green(green.route.rollout_id, key, weight) else None
            else:
                green = None
        asked = green.hot if green is not None and (forced or slots.blue is None) else slots.blue
        if asked is not None and question.instrument not in asked.instruments:
            known = ", ".join(sorted(asked.instruments))
            raise ApiError(
                404,
                f"instrument: {question.instrument!r} is not served by model {model}. Known: {known}.",
                "unknown_instrument",
            )
        return green

    def _vector(self, bundle: LoadedBundle, question: PredictRequest, at: datetime, historic: bool) -> Vector:
        given: Mapping[int, float] = {}
        if question.features:
            given = requests.overrides(question, bundle.position, bundle.model)
        return assemble(bundle, self.snapshots, question.instrument, at, historic, given)

    def _score_blue(self, blue: LoadedBundle, vector: Vector, started: int) -> float:
        try:
            score = blue.scorer.score(vector.row)
            if not math.isfinite(score):
                raise ValueError("the score is not finite")
        except Exception as error:
            elapsed = (time.perf_counter_ns() - started) / 1e9
            self.metrics.answered(blue.model, blue.version, "blue", "error", elapsed)
            raise ApiError(
                500,
                f"model {blue.model} version {blue.version} cannot score this: {str(error)[:300]}. "
                "Roll out another version.",
                "score_failed",
            ) from error
        return score

    def _finish(
        self,
        question: PredictRequest,
        forced: str | None,
        prediction_id: str,
        at: datetime,
        scored: LoadedBundle,
        vector: Vector,
        score: float,
        green: Green | None,
        failed: str | None,
        started: int,
    ) -> bytes:
        manifest = scored.manifest
        positive = score >= manifest.threshold
        label = manifest.label.positive if positive else manifest.label.negative
        slot = "green" if green is not None and failed is None else "blue"
        features = dict(zip(scored.names, vector.row[0].tolist(), strict=True))
        body = _encode(
            PredictionAnswer(
                prediction=score,
                label=label,
                direction=("up" if positive else "down") if manifest.label.kind in _SIDED else msgspec.UNSET,
                confidence=max(score, 1.0 - score),
                model=scored.model,
                model_version=scored.version,
                slot=slot,
                fell_back=failed is not None,
                instrument=question.instrument,
                features_used=features,
                feature_time=vector.time,
                feature_age_s=vector.age_s,
                prediction_id=prediction_id,
                timestamp=at,
            )
        )
        elapsed_ns = time.perf_counter_ns() - started
        record = PredictionRecord(
            prediction_id=prediction_id,
            request_id=question.request_id,
            logged_at=datetime.now(UTC),
            timestamp=at,
            instrument=question.instrument,
            model=scored.model,
            version=scored.version,
            slot=slot,
            fell_back=failed is not None,
            prediction=score,
            label=label,
            features=features,
            overridden=list(question.features) if question.features else [],
            feature_time=vector.time,
            feature_age_s=vector.age_s,
            latency_us=elapsed_ns / 1000,
            rollout_id=green.route.rollout_id if green is not None else None,
            key=question.key,
        )
        if not self.log.add(_encode(record)):
            self.metrics.log_dropped.inc()
        if green is not None:
            outcome = "ok" if failed is None else "rescored"
            self.metrics.answered(scored.model, green.route.version, "green", outcome, elapsed_ns / 1e9)
        else:
            self.metrics.answered(scored.model, scored.version, "blue", "ok", elapsed_ns / 1e9)
        self.recent[prediction_id] = Answered(question, forced, body, question.instrument, scored.model, at)
        if len(self.recent) > _REMEMBERED:
            self.recent.popitem(last=False)
        return body


def _why(error: Exception) -> str:
    """The reason under which a canary failure is counted."""
    if isinstance(error, CanaryFailure):
        return error.reason
    if isinstance(error, ApiError):
        return "features"
    logger.error("candidate not asked", exc_info=error)
    return "internal"


def _require_blue(model: str, slots: ModelSlots) -> LoadedBundle:
    if slots.blue is None:
        raise ApiError(
            503,
            f"model {model} has no deployed version. Roll one out: fx rollout start {model} VERSION.",
            "no_model",
        )
    return slots.blue


def _again(known: Answered, question: PredictRequest, forced: str | None) -> bytes:
    if (known.question, known.forced) != (question, forced):
        raise ApiError(
            409,
            f"request_id: {question.request_id} was used for another question. Use a new id.",
            "id_reused",
        )
    return known.body
