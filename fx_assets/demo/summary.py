"""summary.json: what the demo did and measured, read back from the stores it left. Its schema is in docs/."""

from __future__ import annotations

import gzip
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow.parquet as pq

from fx_assets.lake import Lake
from fx_assets.runs.steps import TABLES
from fx_assets.schemas import model_features
from fx_assets.stack.memory import MemorySampler
from fx_serving.client.files import atomic_write
from fx_serving.client.home import Stores
from fx_serving.client.http import ServingClient

if TYPE_CHECKING:
    from fx_assets.demo.driver import Demo

FORMAT = 1
PACKAGES = ("dagster", "feast", "mlflow", "xgboost", "onnxruntime", "evidently", "pandas", "numpy")


def collect(demo: Demo, seconds: float, memory: MemorySampler | None) -> dict[str, Any]:
    """Everything the summary holds. Call while the service still runs: rollouts are asked from it."""
    from fx_assets.demo.driver import MODEL, REJECTED

    stores = demo.stores
    with ServingClient(demo.place.predictions) as client:
        rollouts = demo.patiently(lambda: [client.rollout(found["id"]) for found in client.rollouts()])
    return {
        "format": FORMAT,
        "data": {
            "clock": demo.place.clock,
            "instruments": list(demo.configuration.instruments.instruments),
            "sessions_materialized": len(Lake(stores.lake).keys("gold/features")),
            "first_session": demo.sessions[0],
            "last_session": demo.sessions[-1],
            "features_per_row": len(model_features(demo.configuration, MODEL)),
            "rows": rows_by_table(stores),
        },
        "models": {
            f"{model} {session}": model_summary(stores, model, session)
            for model, session in ((MODEL, demo.blue), (MODEL, demo.green), (REJECTED, demo.green))
        },
        "promoted": promoted(stores, MODEL, demo.green),
        "rollouts": [_rollout(found) for found in reversed(rollouts)],
        "traffic": {
            "during_rollout": _traffic(demo.live),
            "replayed": {session: _traffic(counts) for session, counts in demo.replayed.items()},
        },
        "drift": {
            "before": drift_summary(stores, MODEL, demo.calm),
            "after": drift_summary(stores, MODEL, demo.shocked),
        },
        "retraining": demo.retraining,
        "runs": demo.run_ids,
        "seconds": {"total": round(seconds, 1), **demo.phases},
        "peak_memory_mib": None if memory is None else round(memory.peak / 2**20, 1),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }


def write(home: Path, figures: Mapping[str, Any]) -> Path:
    """FX_HOME/demo/summary.json of the demo's home."""
    path = home / "demo" / "summary.json"
    atomic_write(path, msgspec.json.format(msgspec.json.encode(figures), indent=1))
    return path


def rows_by_table(stores: Stores) -> dict[str, int]:
    """Rows of every table: bronze from the headers of its files, the others from the Parquet footers."""
    lake = Lake(stores.lake)
    counts = {}
    for table in TABLES:
        if table.startswith("bronze"):
            files = (stores.lake / table).glob("instrument=*/session=*/*.ndjson.gz")
            counts[table] = sum(_header(path)["rows"] for path in files)
        else:
            counts[table] = sum(pq.read_metadata(lake.path(table, key)).num_rows for key in lake.keys(table))
    return counts


def _header(path: Path) -> dict[str, Any]:
    with gzip.open(path) as file:
        return msgspec.json.decode(file.readline())


def _record(stores: Stores, model: str, step: str, session: str) -> dict[str, Any] | None:
    path = stores.lake / "models" / model / step / f"session={session}" / "record.json"
    return msgspec.json.decode(path.read_bytes()) if path.exists() else None


def model_summary(stores: Stores, model: str, session: str) -> dict[str, Any]:
    """One trained model: its registry version, every figure of its evaluation, and the gates."""
    trained = _record(stores, model, "trained_model", session)
    verdict = _record(stores, model, "promotion_decision", session)
    assert trained is not None
    assert verdict is not None
    return {
        "model": model,
        "session": session,
        "registry_version": trained["version"],
        "mlflow_run_id": trained["mlflow_run_id"],
        "training_rows": trained["rows"],
        "training_set_hash": trained["training_set_hash"],
        "candidate": trained["chosen"]["name"],
        "figures": trained["figures"],
        "gate_profile": verdict["profile"],
        "gates": verdict["gates"],
        "approved": verdict["approved"],
        "missed": verdict["missed"],
    }


def promoted(stores: Stores, model: str, session: str) -> dict[str, Any] | None:
    """The champion that the green session made; None when its gates rejected it."""
    found = _record(stores, model, "promoted_model", session)
    return None if found is None else {key: found[key] for key in ("model", "version", "previous", "session")}


def drift_summary(stores: Stores, model: str, session: str) -> dict[str, Any]:
    """The drift report of one session: level, largest and every feature's index."""
    path = stores.lake / "monitoring" / "drift_report" / f"session={session}" / "record.json"
    found = msgspec.json.decode(path.read_bytes())[model]
    psi = {name: figure["psi"] for name, figure in found["features"].items()}
    return {
        "session": session,
        "level": found["level"],
        "max_psi": found["max_psi"],
        "rows": found["rows"],
        "model_version": found["version"],
        "psi": psi,
        "html": found["html"],
    }


def _rollout(found: Mapping[str, Any]) -> dict[str, Any]:
    keep = ("id", "model", "version", "from_version", "state", "reason", "created_at", "finished_at")
    of_step = ("weight", "started_at", "ended_at", "requests", "errors", "error_rate", "p99_ms", "outcome")
    steps = [{key: step[key] for key in of_step} for step in found["steps"]]
    return {**{key: found[key] for key in keep}, "steps": steps}


def _traffic(counts: Any) -> dict[str, Any]:
    return {
        "requests": counts.sent,
        "failed": counts.failed,
        "resets": counts.resets,
        "late": counts.late,
        "by_version": counts.by_version,
        "p50_ms": round(counts.quantile_ms(0.5), 2) if counts.latencies_ms else None,
        "p99_ms": round(counts.quantile_ms(0.99), 2) if counts.latencies_ms else None,
        "errors": counts.errors,
    }
