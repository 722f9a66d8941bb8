"""Exporting a registered version as the bundle the service loads: ONNX, native model, manifest, golden rows.

The folder is built beside its place and renamed into it when its parity check has passed, so that a bundle is
there whole or not at all.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.errors import StoreError
from fx_assets.feature_store.repository import ttls
from fx_assets.schemas import model_features
from fx_serving.client.bundle import (
    BundleError,
    FeatureRef,
    LabelInfo,
    Manifest,
    bundle_dir,
    read_manifest,
    schema_hash,
    sha256_file,
    verify_files,
    write_manifest,
)
from fx_serving.client.files import atomic_write, fsync_dir

if TYPE_CHECKING:
    import xgboost

GOLDEN_ROWS = 64
REFERENCE_ROWS = 5000
TOLERANCE = 1e-5
OUTCOMES = {"direction": ("up", "down"), "large_move": ("move", "quiet")}


def load_booster(path: Path) -> xgboost.Booster:
    """A native XGBoost model file."""
    from fx_assets.evaluation.training import xgboost_module

    booster = xgboost_module().Booster({"nthread": 1})
    booster.load_model(path)
    return booster


def to_onnx(booster: xgboost.Booster) -> bytes:
    """The booster as ONNX: input "input" float32 [n, features]; outputs label and probabilities [n, 2]."""
    from onnxmltools.convert import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    nameless = booster.copy()
    nameless.feature_names = None  # the converter knows only f0, f1, ...; the manifest keeps the names
    shape = FloatTensorType([None, booster.num_features()])
    # Without a name the converter makes one up, and the same model would have other bytes each time.
    model = convert_xgboost(nameless, name="xgboost", initial_types=[("input", shape)])
    return model.SerializeToString()


def golden_rows(rows: pd.DataFrame, names: Sequence[str], count: int = GOLDEN_ROWS) -> np.ndarray:
    """Rows spread evenly over the training set, its columns `names`, float32 (count, features)."""
    picks = np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)
    return rows[list(names)].to_numpy(np.float32)[picks]


def export(
    bundles: Path,
    configuration: Configuration,
    record: Mapping[str, Any],
    booster: xgboost.Booster,
    rows: pd.DataFrame,
    lineage: Mapping[str, str],
    inputs: Sequence[tuple[str, str]] | None = None,
) -> Path:
    """Write bundles/<model>/<version>; returns the folder. A version that is already there is left as it is.

    record: as fit_and_log returns it. rows: the training set. inputs: (feature, feature view) that the version was
    trained with; those of the configuration by default. Raises StoreError when ONNX and XGBoost disagree, and for a
    view that the configuration has no more.
    """
    model, version = record["model"], record["version"]
    place = bundle_dir(bundles, model, version)
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix=f".{version}.", dir=place.parent))
    try:
        chosen = model_features(configuration, model) if inputs is None else inputs
        _fill(folder, configuration, record, booster, rows, lineage, chosen)
        folder.chmod(0o755)
        folder.rename(place)
        fsync_dir(place.parent)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return place


def problems(
    folder: Path,
    configuration: Configuration,
    record: Mapping[str, Any],
    inputs: Sequence[tuple[str, str]] | None = None,
) -> list[str]:
    """What the service would refuse in a bundle, or what is not this model's; empty when nothing is.

    inputs: see export.
    """
    try:
        manifest = read_manifest(folder)
        verify_files(folder, manifest)
    except BundleError as error:
        return [str(error)]
    wanted = model_features(configuration, record["model"]) if inputs is None else inputs
    found = {
        "model": (manifest.model, record["model"]),
        "version": (manifest.version, record["version"]),
        "features": ([f.name for f in manifest.features], [name for name, _ in wanted]),
        "instruments": (manifest.instruments, list(configuration.model_instruments(record["model"]))),
    }
    return [f"{what} is {has}, expected {wanted}" for what, (has, wanted) in found.items() if has != wanted]


def _fill(folder, configuration, record, booster, rows, lineage, chosen) -> None:
    entry = configuration.models.models[record["model"]]
    features = [FeatureRef(name, view) for name, view in chosen]
    oldest = ttls(configuration)
    gone = sorted({feature.view for feature in features} - oldest.keys())
    if gone:
        raise StoreError(
            f"{record['model']} version {record['version']} (feature service {lineage.get('feature_service', '?')}) "
            f"needs the feature views {', '.join(gone)}, which this configuration has no more. Train a new version."
        )
    inputs = golden_rows(rows, [feature.name for feature in features])
    expected = np.asarray(booster.inplace_predict(inputs), dtype=float)
    onnx = to_onnx(booster)
    _check_parity(onnx, inputs, expected)
    atomic_write(folder / "model.onnx", onnx)
    atomic_write(folder / "model.ubj", bytes(booster.save_raw("ubj")))
    golden = {"rows": inputs.tolist(), "expected": expected.tolist(), "tolerance": TOLERANCE}
    atomic_write(folder / "golden.json", msgspec.json.encode(golden))
    rows.sample(min(REFERENCE_ROWS, len(rows)), random_state=entry.seed).sort_index().to_parquet(
        folder / "reference.parquet", index=False
    )
    positive, negative = OUTCOMES[entry.label.kind]
    names = ("model.onnx", "model.ubj", "golden.json", "reference.parquet")
    write_manifest(
        folder,
        Manifest(
            model=record["model"],
            version=record["version"],
            engine="onnx",
            label=LabelInfo(entry.label.kind, entry.label.horizon_minutes, positive, negative),
            instruments=list(configuration.model_instruments(record["model"])),
            features=features,
            schema_hash=schema_hash(features),
            max_feature_age_s={view: oldest[view].total_seconds() for view in dict.fromkeys(f.view for f in features)},
            files={name: sha256_file(folder / name) for name in names},
            lineage=dict(lineage),
            created_at=datetime.now(UTC),
        ),
    )


def _check_parity(onnx: bytes, inputs: np.ndarray, expected: np.ndarray) -> None:
    import onnxruntime

    answers = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"]).run(None, {"input": inputs})
    worst = float(np.abs(np.asarray(answers[1])[:, 1] - expected).max())
    if not worst <= TOLERANCE:
        raise StoreError(f"ONNX export differs from XGBoost by {worst:.2g} (at most {TOLERANCE:g} allowed).")
