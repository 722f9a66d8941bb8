"""Exporting a registered version as the bundle the service loads: ONNX, native model, manifest, golden rows,
outlier profile.

The folder is built beside its place and renamed into it when its parity check has passed, so that a bundle is
there whole or not at all.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.errors import StoreError
from fx_assets.feature_store.repository import ttls
from fx_assets.models import outlier
from fx_assets.models.onnx_graph import to_onnx
from fx_assets.schemas import content_hash
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
    from fx_assets.evaluation.predictor import Predictor
    from fx_assets.models.champion import Champion

GOLDEN_ROWS = 64
REFERENCE_ROWS = 5000
TOLERANCE = 1e-5
# What P(positive) is the probability of, and its opposite, by kind of label.
OUTCOMES = {
    "direction": ("up", "down"),
    "large_move": ("move", "quiet"),
    "triple_barrier": ("up", "down"),
    "meta": ("take", "skip"),
}
LINEAGE = (
    "session",
    "dagster_run_id",
    "training_set_hash",
    "gold_hash",
    "booster_sha256",
    "model_sha256",
    "spec_sha256",
    "config_hash",
    "feature_service",
    "code_version",
)


def golden_rows(rows: pd.DataFrame, names: Sequence[str], count: int = GOLDEN_ROWS) -> np.ndarray:
    """Rows spread evenly over the training set, its columns `names`, float32 (count, features)."""
    picks = np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)
    return rows[list(names)].to_numpy(np.float32)[picks]


def export(bundles: Path, configuration: Configuration, made: Champion, rows: pd.DataFrame) -> Path:
    """Write bundles/<model>/<version>; returns the folder. A version that is already there is left as it is.

    made: the registered version. rows: its training set. Raises StoreError when the rows are not those that the
    version was trained on, when ONNX and the model disagree, and for a view that the configuration has no more.
    """
    model, version = made.record.model, made.version
    place = bundle_dir(bundles, model, version)
    if place.is_dir():
        return place
    if content_hash(rows) != made.record.training_set_hash:
        raise StoreError(
            f"{model} version {version} was trained on other rows than {model}/training_set of session {made.session} "
            f"has now. Materialize {model}/trained_model and what follows again."
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix=f".{version}.", dir=place.parent))
    try:
        _fill(folder, configuration, made, rows)
        folder.chmod(0o755)
        folder.rename(place)
        fsync_dir(place.parent)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return place


def problems(folder: Path, configuration: Configuration, made: Champion) -> list[str]:
    """What the service would refuse in a bundle, or what is not this version's; empty when nothing is."""
    try:
        manifest = read_manifest(folder)
        verify_files(folder, manifest)
    except BundleError as error:
        return [str(error)]
    model = made.record.model
    found = {
        "model": (manifest.model, model),
        "version": (manifest.version, made.version),
        "features": ([(f.name, f.view) for f in manifest.features], [tuple(pair) for pair in made.spec.features]),
        "instruments": (manifest.instruments, list(configuration.model_instruments(model))),
        "model_sha256": (manifest.lineage.get("model_sha256"), made.record.model_sha256),
    }
    return [f"{what} is {has}, expected {wanted}" for what, (has, wanted) in found.items() if has != wanted]


def _fill(folder: Path, configuration: Configuration, made: Champion, rows: pd.DataFrame) -> None:
    model = made.record.model
    entry = configuration.models.models[model]
    features = [FeatureRef(name, view) for name, view in made.spec.features]
    oldest = ttls(configuration)
    gone = sorted({feature.view for feature in features} - oldest.keys())
    if gone:
        raise StoreError(
            f"{model} version {made.version} (feature service {made.record.feature_service or '?'}) "
            f"needs the feature views {', '.join(gone)}, which this configuration has no more. Train a new version."
        )
    label, predictor = entry.label, made.predictor
    inputs = golden_rows(rows, made.features)
    expected = np.asarray(predictor.predict(inputs), dtype=float)
    onnx = to_onnx(predictor, len(features))
    check_parity(onnx, inputs, expected)
    golden = {"rows": inputs.tolist(), "expected": expected.tolist(), "tolerance": TOLERANCE}
    files = {
        "model.onnx": onnx,
        "golden.json": msgspec.json.encode(golden),
        "outlier.json": msgspec.json.encode(outlier.profile(rows[list(made.features)].to_numpy(np.float32))),
        **_native(predictor),
    }
    for name, content in files.items():
        atomic_write(folder / name, content)
    reference = rows.sample(min(REFERENCE_ROWS, len(rows)), random_state=entry.seed).sort_index()
    answers = np.asarray(predictor.predict(reference[made.features].to_numpy(np.float32)), dtype=float)
    reference.assign(prediction=answers).to_parquet(folder / "reference.parquet", index=False)
    if label.kind == "return":
        raise StoreError(f"{model}: a model of returns states no probability, and has no bundle. Use deploy: false.")
    positive, negative = OUTCOMES[label.kind]
    lineage = {name: made.record.tags[name] for name in LINEAGE if made.record.tags.get(name)}
    lineage |= {"mlflow_run_id": made.record.run_id, "algorithm": predictor.algorithm}
    write_manifest(
        folder,
        Manifest(
            model=model,
            version=made.version,
            engine="onnx",
            label=LabelInfo(label.kind, label.minutes(_bar_minutes(configuration, model)), positive, negative),
            instruments=list(configuration.model_instruments(model)),
            features=features,
            schema_hash=schema_hash(features),
            max_feature_age_s={view: oldest[view].total_seconds() for view in dict.fromkeys(f.view for f in features)},
            files={name: sha256_file(folder / name) for name in sorted((*files, "reference.parquet"))},
            lineage=lineage,
            created_at=datetime.now(UTC),
        ),
    )


def _native(predictor: Predictor) -> dict[str, bytes]:
    """model.ubj, for a predictor that is one XGBoost model and nothing else; the service can be told to use it."""
    plain = predictor.algorithm == "xgboost" and len(predictor.members) == 1 and predictor.calibrator is None
    return {"model.ubj": predictor.members[0].save()} if plain else {}


def _bar_minutes(configuration: Configuration, model: str) -> int:
    """The length of a bar of the model's instruments; a label in bars allows no second one."""
    symbol = configuration.model_instruments(model)[0]
    return configuration.instruments.instruments[symbol].minutes


def check_parity(onnx: bytes, inputs: np.ndarray, expected: np.ndarray) -> None:
    """Compare the graph's answers with the model's own. Raises StoreError where they differ by more than TOLERANCE."""
    import onnxruntime

    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    answers = np.asarray(session.run(["probabilities"], {"input": inputs})[0])[:, 1]
    worst = float(np.abs(answers - expected).max())
    if not worst <= TOLERANCE:
        raise StoreError(
            f"ONNX export differs from the model by {worst:.2g} (at most {TOLERANCE:g} allowed): no bundle is made. "
            "Use another candidate, or calibration: none or platt."
        )
