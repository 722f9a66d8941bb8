"""One prediction from question to answer: which model, which slot, what happens when the candidate fails.

How the answer and its record look is answer.py's business; how questions arrive, asgi.py's.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime

import msgspec

from fx_serving.client import tracing
from fx_serving.config import ServingConfig
from fx_serving.dataplane import request as requests
from fx_serving.dataplane.answer import Asked, Scored, encode_answer
from fx_serving.dataplane.bundles import LoadedBundle
from fx_serving.dataplane.errors import ApiError
from fx_serving.dataplane.features import Vector, assemble
from fx_serving.dataplane.log import PredictionLogWriter
from fx_serving.dataplane.metrics import Metrics
from fx_serving.dataplane.request import PredictRequest
from fx_serving.dataplane.shadow import Shadowed, ShadowScorer
from fx_serving.dataplane.sidecar_client import CanaryFailure
from fx_serving.dataplane.slots import Deployment, Green, ModelSlots, SlotManager
from fx_serving.dataplane.snapshots import FeatureSnapshots
from fx_serving.evidence import Key
from fx_serving.routing import eligible, goes_green

logger = logging.getLogger("fx_serving.predictor")
_REMEMBERED = 10_000
_REMEMBERED_BYTES = 32 * 1024 * 1024
SUITE = "suite"  # the route of the controller's smoke test, which is neither logged nor counted
_RESERVE_S = 0.002  # of a deadline, for scoring on blue what the candidate did not answer in time
_ROW_S, _PAUSE_S = 0.0005, 0.1  # for a row that blue answers; for a moment in which the machine does something else


def kept_for_blue(rows: int, whole_s: float) -> float:
    """Of the `whole_s` of a request with many rows, what no candidate may use up: without it, blue could not answer the
    `rows` still to come either.
    """
    return min(rows * _ROW_S + _PAUSE_S, whole_s / 2) if rows else 0.0


class Answered(msgspec.Struct, frozen=True, gc=False):
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
        self.slots, self.snapshots, self.log, self.metrics, self.config = slots, snapshots, log, metrics, config
        self.limits = {name: dict(model.max_feature_age_s) for name, model in config.models.items()}
        self.shadow = ShadowScorer(snapshots, log, metrics, self.limits)
        self.recent: OrderedDict[str, Answered] = OrderedDict()
        self._recent_bytes = 0
        # A missed deadline is the candidate's fault only where it had nearly all the time that a request can give it.
        self._fair_s = 0.9 * min(config.sidecar.deadline_ms, config.limits.deadline_ms) / 1000

    async def answer(
        self,
        question: PredictRequest,
        forced: str | None = None,
        until: float = math.inf,
        route: str = "predict",
        kept_s: float = 0.0,
    ) -> bytes:
        """The answer's body. `until`: the deadline (monotonic). `kept_s`: how long before it a candidate is not waited
        for any more. Raises ApiError.
        """
        started = time.perf_counter_ns()
        prediction_id = question.request_id
        if prediction_id is None:
            prediction_id = os.urandom(16).hex()
        else:
            known = self.recent.get(prediction_id)
            if known is not None:
                return _again(known, question, forced)
        if tracing.on():
            tracing.note("fx.prediction_id", prediction_id)
        model, slots = self._model(self.slots.current, question)
        at, historic = requests.decision_time(question)
        green, compared = self._split(model, slots, question, prediction_id, forced)
        self._served(model, slots, green, question, forced, route)
        asked = Asked(question, forced, prediction_id, at, historic, route, started)
        if green is not None:
            return await self._canary(asked, model, slots, green, until - (kept_s if slots.blue else 0.0))
        blue = _require_blue(model, slots)
        return self._blue(asked, blue, self._vector(blue, asked), compared)

    def _blue(self, asked: Asked, blue: LoadedBundle, vector: Vector, compared: Green | None) -> bytes:
        """The stable version's answer. `compared`: the candidate that could have been asked instead."""
        score = self._score_blue(blue, vector, asked.started, compared)
        body, seconds = self._finish(asked, Scored(blue, vector, score, "blue", False, None))
        self._count(asked, (blue.model, blue.version, "blue"), "ok", seconds, seconds, score)
        if compared is not None:
            self._count(asked, (blue.model, blue.version, "control"), "ok", seconds, seconds, score)
            if compared.route.shadow:
                question = asked.question
                self.shadow.put(
                    Shadowed(
                        compared,
                        asked.prediction_id,
                        question.instrument,
                        asked.at,
                        asked.historic,
                        question.features or {},
                    )
                )
        return body

    async def _canary(self, asked: Asked, model: str, slots: ModelSlots, green: Green, until: float) -> bytes:
        hot, blue, rollout = green.hot, slots.blue, green.route.rollout_id
        key = (model, hot.version, "green")
        left = until - time.monotonic() - _RESERVE_S
        try:
            if left <= 0 and blue is not None:
                raise CanaryFailure("deadline", "what is left of the deadline is for the stable version")
            vector = self._vector(hot, asked)
            sent = time.perf_counter()
            score, own_s = await green.sidecar.score(vector.row.tobytes(), max(left, 0.0005))
            hop_s = max(0.0, time.perf_counter() - sent - own_s)
        except Exception as error:  # whatever goes wrong on the way to the candidate, blue answers
            failed = _why(error, asked.prediction_id, rollout)
            if blue is None:
                if not isinstance(error, ApiError):
                    self._count(asked, key, "error", _since(asked.started), reason=failed)
                    raise _no_answer(model, hot.version, failed, error) from error
                raise
            # If blue cannot answer either, the request or the store is at fault, and the error is raised
            # uncounted.
            vector = self._vector(blue, asked)
            if known := self.recent.get(asked.prediction_id):
                return _again(known, asked.question, asked.forced)
            if (failed == "deadline" and left < self._fair_s) or failed == "stopped":
                return self._blue(asked, blue, vector, None)  # this says nothing about the candidate
            score = self._score_blue(blue, vector, asked.started, None)
            body, seconds = self._finish(asked, Scored(blue, vector, score, "blue", True, rollout))
            self._count(asked, key, "rescored", seconds, reason=failed)
            return body
        # The same request id may have been asked again while this one was waiting: the first answer stands.
        if known := self.recent.get(asked.prediction_id):
            return _again(known, asked.question, asked.forced)
        body, seconds = self._finish(asked, Scored(hot, vector, score, "green", False, rollout))
        self._count(asked, key, "ok", seconds, max(0.0, seconds - hop_s), score)
        return body

    def _count(
        self,
        asked: Asked,
        key: Key,
        outcome: str,
        answer_s: float,
        service_s: float | None = None,
        score: float | None = None,
        reason: str | None = None,
    ) -> None:
        """Evidence of the slot; the controller's smoke test is none."""
        if asked.route != SUITE:
            self.metrics.answered(key, outcome, answer_s, service_s, score, reason)

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

    def _split(
        self, model: str, slots: ModelSlots, question: PredictRequest, prediction_id: str, forced: str | None
    ) -> tuple[Green | None, Green | None]:
        """(the candidate, if this request is for it; the candidate, if blue answers what could have been for it)."""
        green = slots.green
        if forced is not None:
            if forced == "blue":
                return None, None
            if green is None:
                raise ApiError(404, f"green: model {model} has no candidate; no rollout is under way.", "no_green")
            return green, None
        if green is None or not eligible(green.route, question.instrument) or not self.slots.live():
            return None, None
        weight = green.route.weight
        if weight > 0:
            key = question.key or (question.instrument if self.config.routing_key == "instrument" else prediction_id)
            if goes_green(green.route.hash_salt, key, weight):
                return green, None
        return None, green

    def _served(
        self,
        model: str,
        slots: ModelSlots,
        green: Green | None,
        question: PredictRequest,
        forced: str | None,
        route: str,
    ) -> None:
        """Check that the instrument is one of the model's; a row of tensors may be of none."""
        bundle = green.hot if green is not None and (forced or slots.blue is None) else slots.blue
        name = question.instrument
        if bundle is None or name in bundle.instruments or (route == "v2" and not name):
            return
        known = ", ".join(sorted(bundle.instruments))
        raise ApiError(
            404, f"instrument: {name!r} is not served by model {model}. Known: {known}.", "unknown_instrument"
        )

    def _vector(self, bundle: LoadedBundle, asked: Asked) -> Vector:
        question = asked.question
        given: Mapping[int, float] = {}
        if question.features:
            given = requests.overrides(question, bundle.position, bundle.model)
        return assemble(bundle, self.snapshots, question.instrument, asked.at, asked.historic, given, self.limits)

    def _score_blue(self, blue: LoadedBundle, vector: Vector, started: int, compared: Green | None) -> float:
        try:
            score = blue.scorer.score(vector.row)
            if not math.isfinite(score):
                raise ValueError("the score is not finite")
        except Exception as error:
            for slot in ("blue", "control") if compared is not None else ("blue",):
                self.metrics.answered((blue.model, blue.version, slot), "error", _since(started), reason="exception")
            raise ApiError(
                500,
                f"model {blue.model} version {blue.version} cannot score this: {str(error)[:300]}. "
                "Roll out another version.",
                "score_failed",
            ) from error
        return score

    def _finish(self, asked: Asked, scored: Scored) -> tuple[bytes, float]:
        """The answer's body, logged and remembered, and the seconds it took."""
        question, bundle = asked.question, scored.bundle
        body, record, seconds = encode_answer(asked, scored)
        if asked.route != SUITE and not self.log.add(record):
            self.metrics.log_dropped.inc()
        # Only an id that the asker gave can come again, and then its body is needed.
        kept = body if question.request_id is not None else b""
        recent = self.recent
        recent[asked.prediction_id] = Answered(
            question, asked.forced, kept, question.instrument, bundle.model, asked.at
        )
        self._recent_bytes += len(kept)
        while len(recent) > _REMEMBERED or self._recent_bytes > _REMEMBERED_BYTES:
            _, oldest = recent.popitem(last=False)
            self._recent_bytes -= len(oldest.body)
        return body, seconds


def _since(started: int) -> float:
    return (time.perf_counter_ns() - started) / 1e9


def _why(error: Exception, prediction_id: str, rollout_id: str) -> str:
    """The reason under which a canary failure is counted."""
    if isinstance(error, CanaryFailure):
        return error.reason
    if isinstance(error, ApiError):
        return "features"
    ids = {"prediction_id": prediction_id, "rollout_id": rollout_id}
    logger.error("candidate not asked", exc_info=error, extra=ids)
    return "internal"


def _no_answer(model: str, version: str, reason: str, error: Exception) -> ApiError:
    return ApiError(
        503,
        f"model {model} version {version} gave no score ({reason}: {str(error)[:200]}) and no earlier version is "
        "deployed to answer instead. Ask again, or roll out another version.",
        "no_stable_version",
    )


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
