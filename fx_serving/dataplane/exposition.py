"""GET /metrics: all workers' evidence and value files as Prometheus text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from fx_serving.dataplane.health import read_ingestion
from fx_serving.evidence import BOUNDS, read_workers, total

PREDICTIONS = "fx_predictions"
SECONDS = "fx_prediction_seconds"


class _Evidence:
    """A Prometheus collector over the evidence files, and over what the ingester says of itself."""

    def __init__(self, folder: Path, ingestion: Path) -> None:
        self.folder, self.ingestion = folder, ingestion

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        slot = ["model", "version", "slot"]
        predictions = CounterMetricFamily(PREDICTIONS, "Predictions answered", labels=[*slot, "outcome"])
        seconds = HistogramMetricFamily(SECONDS, "Time to answer a prediction", labels=slot)
        control = CounterMetricFamily(
            "fx_control_predictions",
            "The part of blue's predictions with which a candidate is compared",
            labels=["model", "version", "outcome"],
        )
        shadow = CounterMetricFamily(
            "fx_shadow_scores", "Scores of a candidate that nobody was given", labels=["model", "version", "outcome"]
        )
        canary = CounterMetricFamily(
            "fx_canary_failures", "Candidate scores replaced by blue", labels=["model", "version", "reason"]
        )
        refused = CounterMetricFamily("fx_predictions_refused", "Predictions refused", labels=["status", "reason"])
        workers = read_workers(self.folder)
        for (model, version, name), totals in sorted(total(workers).items()):
            for outcome, count in totals.outcomes.items():
                if name in ("control", "shadow"):
                    (control if name == "control" else shadow).add_metric([model, version, outcome], count)
                else:
                    predictions.add_metric([model, version, name, outcome], count)
            if name == "green":
                for reason, count in totals.reasons.items():
                    canary.add_metric([model, version, reason], count)
            if name in ("blue", "green"):
                limits = [*(f"{bound:.6g}" for bound in BOUNDS), "+Inf"]
                buckets = list(zip(limits, accumulate(totals.answer), strict=True))
                seconds.add_metric([model, version, name], buckets, sum_value=totals.seconds)
        errors: Counter[str] = Counter()
        for worker in workers:
            errors.update(worker.refused)
        for name, count in sorted(errors.items()):
            refused.add_metric(name.split(" ", 1), count)
        yield from (predictions, seconds, control, shadow, canary, refused)
        if (state := read_ingestion(self.ingestion)) is not None:
            yield GaugeMetricFamily(
                "fx_prediction_log_behind_bytes", "Log that is not in the database yet", state.behind_bytes
            )
            yield GaugeMetricFamily(
                "fx_prediction_log_ingest_degraded", "1: the log cannot be taken in", float(state.problem is not None)
            )


def exposition(values: Path, evidence: Path, ingestion: Path) -> bytes:
    """All workers' metrics as Prometheus text. ingestion: the ingester's file, which may not be there."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(values))
    registry.register(_Evidence(evidence, ingestion))
    return generate_latest(registry)
