"""What a worker counts: predictions in memory, written to its evidence file; the rest in Prometheus value files.

Counting a prediction touches nothing but memory: writes to a memory-mapped file cost more than the scoring. The file
is replaced within a tenth of a second, and taken up again by a restarted worker of the same name.
`configure` must run before this process makes any Prometheus metric: it names their files after the worker, not after
the process id, so that the folder never grows.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec

from fx_serving.client.files import atomic_write
from fx_serving.evidence import (
    Key,
    SlotEvidence,
    SlotTotals,
    WorkerEvidence,
    read_worker,
    score_bin,
    time_bin,
)

_FILES = ("counter", "gauge_mostrecent", "gauge_min", "gauge_max", "gauge_sum")
_FILE_BYTES = 1 << 20  # what prometheus_client itself begins with
_WRITE_S = 0.05
_KEPT = 400  # slots of one worker
_LOOK = 50


def configure(folder: Path, worker: str) -> None:
    """Keep Prometheus values in `folder`, in files named after `worker` (unique among running workers).

    The files are allocated now: they are memory-mapped, and a write to a page that a full disk cannot hold would
    kill the process with SIGBUS in the middle of a prediction.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for kind in _FILES:
        path = folder / f"{kind}_{worker}.db"
        with open(path, "ab") as file:
            if file.tell() == 0 and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, _FILE_BYTES)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    from prometheus_client import values

    values.ValueClass = values.MultiProcessValue(lambda: worker)


class Metrics:
    """The counts of this worker, and its gauges."""

    def __init__(self, path: Path) -> None:
        from prometheus_client import Counter, Gauge

        self.path = path
        known = read_worker(path) or WorkerEvidence([])
        self._slots: dict[Key, SlotEvidence] = {(s.model, s.version, s.slot): s.totals for s in known.slots}
        self._refused = dict(known.refused)
        self._changed = False
        self._seen: dict[Key, int] = {}
        self._saving = threading.Lock()
        self._made = self._saved = 0
        slot = ["model", "version", "slot"]
        recent = "mostrecent"
        self.feature_age = Gauge(
            "fx_feature_age_seconds", "Age of the newest feature row", ["view", "instrument"], multiprocess_mode=recent
        )
        self.weight = Gauge("fx_traffic_weight", "Share of traffic", slot, multiprocess_mode=recent)
        self.store_degraded = Gauge(
            "fx_feature_store_degraded", "1: the store of the feature blobs cannot be read", multiprocess_mode="max"
        )
        self.log_degraded = Gauge("fx_prediction_log_degraded", "1: the log cannot be written", multiprocess_mode="max")
        self.log_waiting = Gauge("fx_prediction_log_waiting", "Records not yet on disk", multiprocess_mode="sum")
        self.log_dropped = Counter("fx_prediction_log_dropped", "Records given up while the log was degraded")
        self.shadow_dropped = Counter("fx_shadow_dropped", "Shadow scores left out because too many were waiting")
        self.rollout = Gauge("fx_rollout_running", "1: a candidate is loaded", ["model"], multiprocess_mode=recent)
        self.in_flight = Gauge("fx_requests_in_flight", "Predictions being answered", multiprocess_mode="sum")
        self.lease = Gauge("fx_controller_lease", "1: the controller is seen to live", multiprocess_mode="min")

    def answered(
        self,
        key: Key,
        outcome: str,
        answer_s: float,
        service_s: float | None = None,
        score: float | None = None,
        reason: str | None = None,
    ) -> None:
        """Count one prediction of (model, version, slot): ok with its score, rescored or error with the reason."""
        counts = self._slots.get(key)
        if counts is None:
            counts = self._new(key)
        outcomes = counts.outcomes
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        counts.answer[time_bin(answer_s)] += 1
        counts.seconds += answer_s
        if service_s is not None:
            counts.service[time_bin(service_s)] += 1
        if score is not None:
            counts.scores[score_bin(score)] += 1
        if reason is not None:
            counts.reasons[reason] = counts.reasons.get(reason, 0) + 1
        self._changed = True

    def _new(self, key: Key) -> SlotEvidence:
        if len(self._slots) >= _KEPT:
            # What has not been counted since the last look; versions of long ago, that is.
            idle = [one for one, counts in self._slots.items() if self._seen.get(one) == counts.requests]
            for one in idle or [next(iter(self._slots))]:
                del self._slots[one]
        if len(self._slots) % _LOOK == 0:
            self._seen = {one: counts.requests for one, counts in self._slots.items()}
        made = self._slots[key] = SlotEvidence()
        return made

    def refused(self, status: int, reason: str) -> None:
        """Count one request answered with an error."""
        name = f"{status} {reason}"
        if name in self._refused or len(self._refused) < _KEPT:
            self._refused[name] = self._refused.get(name, 0) + 1
        self._changed = True

    def counts(self) -> Mapping[Key, SlotEvidence]:
        """This worker's totals."""
        return self._slots

    async def run(self) -> None:
        """Write what changed, for ever."""
        while True:
            await asyncio.sleep(_WRITE_S)
            if self._changed:
                self._changed = False
                try:
                    await asyncio.to_thread(self._save, *self._content())
                except OSError:
                    self._changed = True  # a full disk: the counts stay in memory and are written later

    def write(self) -> None:
        """Write now (at the end)."""
        self._save(*self._content())

    def _content(self) -> tuple[int, bytes]:
        slots = [SlotTotals(*key, totals) for key, totals in self._slots.items()]
        self._made += 1
        return self._made, msgspec.json.encode(WorkerEvidence(slots, self._refused))

    def _save(self, number: int, content: bytes) -> None:
        with self._saving:  # a thread that was still at it when the worker ended must not replace the newer counts
            if number > self._saved:
                atomic_write(self.path, content, durable=False)
                self._saved = number
