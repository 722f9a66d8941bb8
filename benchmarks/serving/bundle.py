"""The model that every server of the comparison scores: 50 features, gradient-boosted trees, exported to ONNX."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec
import numpy as np

from fx_serving.client.bundle import FeatureRef, LabelInfo, Manifest, schema_hash, sha256_file, write_manifest
from fx_serving.client.home import Stores
from fx_serving.client.snapshot import FeatureBlob
from tests.servers.serving import CLOCK, outlier_profile, to_onnx

FEATURES, ROUNDS, DEPTH = 50, 160, 2
MODEL, VIEW = "move_60m", "market_features"
INSTRUMENTS = ["EUR_USD", "GBP_USD", "USD_JPY", "AUD_USD"]
NAMES = [f"feature_{n}" for n in range(FEATURES)]


def rows(count: int = 4000) -> np.ndarray:
    """The training rows."""
    return np.random.default_rng(1).normal(size=(count, FEATURES)).astype(np.float32)


@cache
def trained(seed: int = 1) -> Any:
    """The booster; another seed, another model of the same size."""
    import xgboost

    x, rng = rows(), np.random.default_rng(seed)
    y = (x[:, 0] + 0.5 * x[:, 1] * x[:, 2] + rng.normal(size=len(x)) > 0).astype(int)
    params = {"objective": "binary:logistic", "max_depth": DEPTH, "nthread": 2, "seed": seed}
    return xgboost.train(params, xgboost.DMatrix(x, label=y), ROUNDS)


@cache
def onnx_bytes(seed: int = 1) -> bytes:
    """The booster as ONNX: input "input" float32 (n, 50), output "probabilities" (n, 2)."""
    return to_onnx(trained(seed), FEATURES)


def export(stores: Stores, version: str = "1", seed: int = 1, model: str = MODEL) -> None:
    """The bundle of one version."""
    import xgboost

    folder = stores.bundles / model / version
    folder.mkdir(parents=True)
    booster, x = trained(seed), rows()
    expected = booster.predict(xgboost.DMatrix(x[:64])).tolist()
    golden = {"rows": x[:64].tolist(), "expected": expected, "tolerance": 1e-5}
    files = {
        "model.onnx": onnx_bytes(seed),
        "model.ubj": bytes(booster.save_raw("ubj")),
        "golden.json": msgspec.json.encode(golden),
        "outlier.json": msgspec.json.encode(outlier_profile(FEATURES)),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    features = [FeatureRef(name, VIEW) for name in NAMES]
    manifest = Manifest(
        model=model,
        version=version,
        engine="onnx",
        label=LabelInfo("large_move", 60, "move", "quiet"),
        instruments=INSTRUMENTS,
        features=features,
        schema_hash=schema_hash(features),
        max_feature_age_s={VIEW: 7200},
        files={name: sha256_file(folder / name) for name in files},
        lineage={"code_version": "1"},
        created_at=datetime.now(UTC),
    )
    write_manifest(folder, manifest)


def publish(stores: Stores) -> None:
    """The newest features of every instrument."""
    for number, instrument in enumerate(INSTRUMENTS):
        FeatureBlob.build(VIEW, instrument, NAMES, [(CLOCK, rows()[number].tolist())]).write(stores.features)
