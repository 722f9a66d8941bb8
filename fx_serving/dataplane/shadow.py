"""Shadow scoring: the candidate also scores what blue answered, unseen. Evidence where its own traffic is thin.

A question waits in a bounded queue until blue's answer is sent, and is dropped when the queue is full: shadow scores
never delay an answer, and a slow candidate only loses evidence.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from fx_serving.client.prediction_log import ShadowRecord
from fx_serving.dataplane.errors import ApiError
from fx_serving.dataplane.features import Limits, assemble
from fx_serving.dataplane.log import PredictionLogWriter
from fx_serving.dataplane.metrics import Metrics
from fx_serving.dataplane.sidecar_client import CanaryFailure
from fx_serving.dataplane.slots import Green
from fx_serving.dataplane.snapshots import FeatureSnapshots

log = logging.getLogger("fx_serving.shadow")
_encode = msgspec.json.Encoder().encode
WAITING = 256


@dataclass(frozen=True, slots=True)
class Shadowed:
    """One answered question. `given`: feature name -> value that the asker gave."""

    green: Green
    prediction_id: str
    instrument: str
    at: datetime
    historic: bool
    given: dict[str, float]


class ShadowScorer:
    """Scores what is put in, one after the other, when the loop has time."""

    def __init__(
        self, snapshots: FeatureSnapshots, prediction_log: PredictionLogWriter, metrics: Metrics, limits: Limits
    ) -> None:
        self.snapshots, self.log, self.metrics, self.limits = snapshots, prediction_log, metrics, limits
        self._waiting: deque[Shadowed] = deque()
        self._wake = asyncio.Event()

    def put(self, question: Shadowed) -> None:
        """Accept a question, or drop it."""
        if len(self._waiting) >= WAITING:
            self.metrics.shadow_dropped.inc()
            return
        self._waiting.append(question)
        self._wake.set()

    async def run(self) -> None:
        """Score for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._score(self._waiting.popleft())
                await asyncio.sleep(0)  # a dead candidate fails without waiting: others get their turn all the same

    async def _score(self, question: Shadowed) -> None:
        green, failed, prediction, seconds, feature_time = question.green, None, None, 0.0, None
        hot = green.hot
        try:
            given = {hot.position[name]: value for name, value in question.given.items() if name in hot.position}
            vector = assemble(
                hot, self.snapshots, question.instrument, question.at, question.historic, given, self.limits
            )
            feature_time = vector.time
            prediction, seconds = await green.sidecar.score(vector.row.tobytes())
        except CanaryFailure as error:
            if error.reason == "stopped":
                return
            failed = error.reason
        except ApiError:
            failed = "features"
        except Exception:
            log.exception("a shadow score was not made")
            failed = "internal"
        key = (hot.model, hot.version, "shadow")
        if failed is None:
            self.metrics.answered(key, "ok", seconds, seconds, prediction)
        else:
            self.metrics.answered(key, "error", seconds, reason=failed)
        record = ShadowRecord(
            prediction_id=question.prediction_id,
            logged_at=datetime.now(UTC),
            timestamp=question.at,
            instrument=question.instrument,
            model=hot.model,
            version=hot.version,
            rollout_id=green.route.rollout_id,
            prediction=prediction,
            failed=failed,
            service_us=seconds * 1e6,
            feature_time=feature_time,
            overridden=bool(question.given),
        )
        self.log.add(_encode(record), "shadow")
