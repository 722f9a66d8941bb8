"""Reading the workers' metric files: totals per model, version and slot.

Used by the gates and by GET /traffic.
"""

from __future__ import annotations

import glob
import os
from pathlib import Path

import msgspec


class SlotCounts(msgspec.Struct):
    """Totals since the service started.

    `buckets`: upper bound in seconds -> observations up to it (cumulative).
    """

    outcomes: dict[str, float] = {}
    buckets: dict[float, float] = {}

    @property
    def requests(self) -> float:
        """Predictions routed here, whatever came of them."""
        return sum(self.outcomes.values())

    @property
    def errors(self) -> float:
        """Predictions this slot could not answer."""
        return self.requests - self.outcomes.get("ok", 0.0)

    def since(self, base: SlotCounts) -> SlotCounts:
        """The difference to earlier totals."""
        return SlotCounts(
            {k: v - base.outcomes.get(k, 0.0) for k, v in self.outcomes.items()},
            {k: v - base.buckets.get(k, 0.0) for k, v in self.buckets.items()},
        )

    def quantile_ms(self, q: float) -> float | None:
        """The q-quantile of the answer time in ms, interpolated inside its bucket; None if there is none."""
        total = max(self.buckets.values(), default=0.0)
        if total <= 0:
            return None
        rank, below, lower = q * total, 0.0, 0.0
        for bound in sorted(self.buckets):
            count = self.buckets[bound]
            if count >= rank:
                if bound == float("inf"):
                    return lower * 1000
                share = (rank - below) / (count - below) if count > below else 1.0
                return (lower + (bound - lower) * share) * 1000
            below, lower = count, bound
        return lower * 1000


def read_counts(folder: Path) -> dict[tuple[str, str, str], SlotCounts]:
    """(model, version, slot) -> totals over all workers, dead ones included.

    A missing folder gives nothing.
    """
    from prometheus_client.multiprocess import MultiProcessCollector

    files = glob.glob(os.path.join(folder, "counter_*.db")) + glob.glob(os.path.join(folder, "histogram_*.db"))
    found: dict[tuple[str, str, str], SlotCounts] = {}
    if not files:
        return found
    for metric in MultiProcessCollector.merge(files, accumulate=True):
        for sample in metric.samples:
            labels = sample.labels
            if sample.name == "fx_predictions_total":
                _slot(found, labels).outcomes[labels["outcome"]] = sample.value
            elif sample.name == "fx_prediction_seconds_bucket":
                _slot(found, labels).buckets[float(labels["le"])] = sample.value
    return found


def _slot(found: dict[tuple[str, str, str], SlotCounts], labels: dict[str, str]) -> SlotCounts:
    return found.setdefault((labels["model"], labels["version"], labels["slot"]), SlotCounts({}, {}))
