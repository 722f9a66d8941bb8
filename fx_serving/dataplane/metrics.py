"""Prometheus metrics of the workers, in files that survive a killed worker.

`configure` must run before this process makes any metric: it names the value files after the worker, not
after the process id, so that a restarted worker goes on counting in the same file and the folder never grows.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

BUCKETS = (
    0.00025, 0.0005, 0.00075, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03,
    0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0,
)  # fmt: skip
log = logging.getLogger("fx_serving.metrics")
PREDICTIONS = "fx_predictions"
SECONDS = "fx_prediction_seconds"


_FILES = ("counter", "histogram", "gauge_mostrecent", "gauge_min", "gauge_max", "gauge_sum")
_FILE_BYTES = 1 << 20  # what prometheus_client itself begins with, enough for about 200 (model, version, slot)


def configure(folder: Path, worker: str) -> None:
    """Keep values in `folder`, in files named after `worker` (unique among running workers).

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
    """The metrics, with bound children for the hot path."""

    def __init__(self) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        slot = ["model", "version", "slot"]
        self._predictions = Counter(PREDICTIONS, "Predictions answered", [*slot, "outcome"])
        self._seconds = Histogram(SECONDS, "Time to answer a prediction", slot, buckets=BUCKETS)
        self._canary = Counter(
            "fx_canary_failures", "Candidate scores replaced by blue", ["model", "version", "reason"]
        )
        self._refused = Counter("fx_predictions_refused", "Predictions refused", ["status", "reason"])
        self.feature_age = Gauge(
            "fx_feature_age_seconds",
            "Age of the newest feature row",
            ["view", "instrument"],
            multiprocess_mode="mostrecent",
        )
        self.weight = Gauge(
            "fx_traffic_weight",
            "Share of traffic",
            ["model", "version", "slot"],
            multiprocess_mode="mostrecent",
        )
        self.store_degraded = Gauge(
            "fx_feature_store_degraded", "1: the store of the feature blobs cannot be read", multiprocess_mode="max"
        )
        self.log_degraded = Gauge("fx_prediction_log_degraded", "1: the log cannot be written", multiprocess_mode="max")
        self.log_waiting = Gauge("fx_prediction_log_waiting", "Records not yet on disk", multiprocess_mode="sum")
        self.log_dropped = Counter("fx_prediction_log_dropped", "Records given up while the log was degraded")
        self.lease = Gauge("fx_controller_lease", "1: the controller is seen to live", multiprocess_mode="min")
        self._bound: dict[tuple[str, str, str, str], tuple[Callable[[], Any], Callable[[float], Any]]] = {}

    def answered(self, model: str, version: str, slot: str, outcome: str, seconds: float) -> None:
        """Count one answered prediction: outcome ok, rescored (on blue, after green failed) or error.

        Never raises: an answer that is ready is worth more than its count.
        """
        try:
            self._answered(model, version, slot, outcome, seconds)
        except (OSError, ValueError):
            log.exception("cannot count a prediction")

    def _answered(self, model: str, version: str, slot: str, outcome: str, seconds: float) -> None:
        bound = self._bound.get((model, version, slot, outcome))
        if bound is None:
            bound = (
                self._predictions.labels(model, version, slot, outcome).inc,
                self._seconds.labels(model, version, slot).observe,
            )
            self._bound[model, version, slot, outcome] = bound
        bound[0]()
        bound[1](seconds)

    def canary_failed(self, model: str, version: str, reason: str) -> None:
        """Count one unusable candidate score."""
        self._canary.labels(model, version, reason).inc()

    def refused(self, status: int, reason: str) -> None:
        """Count one refused prediction."""
        self._refused.labels(str(status), reason).inc()


def exposition(folder: Path) -> bytes:
    """All workers' metrics as Prometheus text."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))
    return generate_latest(registry)
