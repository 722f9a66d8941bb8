"""The drift status of a model: one mapping, which is its file, its part of the drift_report record, and what others
read (the retraining sensor, the service's GET /drift/status, alerts, the exporter).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fx_monitoring.configuration.drift import DriftPolicy
from fx_monitoring.drift.decide import Decision, Reading
from fx_monitoring.drift.psi import CRITICAL, METHOD, MINOR, MODERATE
from fx_monitoring.drift.report import DriftReport, FeatureDrift, InstrumentDrift
from fx_serving.client.files import atomic_write

FORMAT = 2


def status_of(
    report: DriftReport,
    decision: Decision,
    reading: Reading,
    model: str,
    policy: DriftPolicy,
    *,
    report_id: str,
    explains: list[dict[str, Any]],
    instruments: Mapping[str, InstrumentDrift],
    window: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Everything that is known of one model in one session, as plain values; docs/drift.md names each."""
    until = decision.cool_down_until
    status = {
        "format": FORMAT,
        "model": model,
        "version": reading.version,
        "session": reading.session,
        "computed_at": datetime.now(UTC).isoformat(),
        "rows": report.rows,
        "window": dict(window),
        "notes": list(notes),
        "level": report.level,
        "max_psi": report.max_psi,
        "report_id": report_id,
        "method": METHOD,
        "thresholds": {
            "minor": MINOR,
            "moderate": MODERATE,
            "critical": CRITICAL,
            "min_rows": report.min_rows,
        },
        "action": decision.action,
        "cause": decision.cause,
        "decision": {
            "band": decision.band,
            "entered": decision.entered,
            "readings": decision.readings,
            "confirmed": decision.confirmed,
            "verdict": f"{model}-{decision.verdict}" if decision.verdict else None,
            "cool_down_until": until.isoformat() if until else None,
            "reasons": list(decision.reasons),
        },
        "limits": policy.retraining.model_dump(),
        "triggers": [asdict(trigger) for trigger in decision.triggers],
        "explains": explains,
        "prediction": asdict(report.prediction) if report.prediction else None,
        "instruments": {symbol: asdict(drift) for symbol, drift in instruments.items()},
        "features": {feature.feature: _of_feature(feature) for feature in report.features},
        "reading": reading.record(),
        "html": None,
        "plot": None,
    }
    return _plain(status)


def write_status(path: Path, status: Mapping[str, Any]) -> None:
    """Replace a status file, atomically."""
    atomic_write(path, json.dumps(status, indent=1, allow_nan=False).encode() + b"\n")


def _of_feature(feature: FeatureDrift) -> dict[str, Any]:
    return {key: value for key, value in asdict(feature).items() if key != "feature"}


def _plain(value: Any) -> Any:
    """Figures that cannot be computed as null: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
