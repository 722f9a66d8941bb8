"""How good the predictions turned out to be: monitoring/quality/<model>.json."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fx_monitoring.exporter.background import Collector
from fx_monitoring.exporter.catalogue import Sample
from fx_monitoring.exporter.collectors.read import figure, state_file
from fx_serving.client.home import Stores

VERDICTS = {"good": 0, "inconclusive": 1, "worse": 2}
WINDOWS = ("session", "5d", "20d")  # by length
ALL = "all"


def build(stores: Stores) -> Collector:
    """A file of some kilobytes for each model."""

    def collect() -> Iterator[Sample]:
        for path in sorted(stores.quality.glob("*.json")):
            status = state_file(path)
            rows = [row for row in (status or {}).get("rows", []) if row.get("instrument") == ALL]
            if rows:
                yield from _model(path.stem, rows)

    return Collector("quality", collect)


def _model(model: str, rows: list[dict[str, Any]]) -> Iterator[Sample]:
    """The figures of the version that is served, else of the newest among the rows."""
    served = [row for row in rows if row.get("serving")] or rows
    newest = max((str(row["version"]) for row in served), key=_order)
    by_window = {row["window"]: row for row in rows if str(row["version"]) == newest}
    for window, row in by_window.items():
        yield from figure("model_accuracy", row.get("accuracy"), model, window)
        yield from figure("fx_model_auc", row.get("auc"), model, window)
        yield from figure("fx_model_ece", row.get("ece"), model, window)
        yield from figure("fx_model_quality_drop_ratio", row.get("drop_relative"), model, window)
        yield from figure("fx_model_quality_verdict", VERDICTS.get(str(row.get("verdict"))), model, window)
        yield from figure("fx_model_outcomes", row.get("n"), model, window)
    judged = [window for window in WINDOWS if window in by_window and by_window[window].get("brier") is not None]
    if not judged:
        return
    longest = by_window[judged[-1]]
    expected = longest.get("expected") or {}
    yield from figure("model_calibration_brier", longest.get("brier"), model)
    yield from figure("fx_model_calibration_brier_low", longest.get("brier_low"), model)
    yield from figure("fx_model_calibration_brier_expected", expected.get("brier"), model)
    yield from figure("fx_model_accuracy_expected", expected.get("accuracy"), model)
    yield from figure("fx_model_auc_expected", expected.get("auc"), model)


def _order(version: str) -> tuple[int, str]:
    """Versions of the registry are numbers; others are ordered as text, before them."""
    return (int(version), "") if version.isdecimal() else (-1, version)
