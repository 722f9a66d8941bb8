"""The drift status of every model: monitoring/drift/<model>.json."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fx_monitoring.exporter.background import Collector
from fx_monitoring.exporter.catalogue import Sample
from fx_monitoring.exporter.collectors.read import figure, state_file, unix
from fx_serving.client.home import Stores

LEVELS = {"none": 0, "minor": 1, "moderate": 2, "critical": 3, "inconclusive": -1}


def build(stores: Stores) -> Collector:
    """A file of some kilobytes for each model."""

    def collect() -> Iterator[Sample]:
        for path in sorted(stores.drift.glob("*.json")):
            status = state_file(path)
            if status is not None:
                yield from _model(path.stem, status)

    return Collector("drift", collect)


def _model(model: str, status: dict[str, Any]) -> Iterator[Sample]:
    for feature, found in (status.get("features") or {}).items():
        yield from figure("fx_feature_drift_psi", found.get("psi"), model, feature)
        yield from figure("fx_feature_drift_level", LEVELS.get(str(found.get("level"))), model, feature)
    prediction = status.get("prediction") or {}
    # With hysteresis where it was decided; the bare level of the session in files of the first format.
    band = (status.get("decision") or {}).get("band") or status.get("level")
    yield from figure("fx_drift_psi_max", status.get("max_psi"), model)
    yield from figure("fx_drift_level", LEVELS.get(str(band)), model)
    yield from figure("fx_drift_feed_broken", status.get("cause") == "feed", model)
    yield from figure("fx_drift_rows", status.get("rows"), model)
    yield from figure("fx_drift_report_timestamp_seconds", unix(status.get("computed_at")), model)
    yield from figure("prediction_drift_kl_divergence", prediction.get("kl"), model)
    yield from figure("fx_prediction_drift_psi", prediction.get("psi"), model)
