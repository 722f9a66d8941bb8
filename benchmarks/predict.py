"""What a prediction costs: one worker of the real service, one client, a model as wide as the platform's own."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil

from benchmarks.report import Figure
from fx_serving.client.bundle import FeatureRef, LabelInfo, Manifest, schema_hash, sha256_file, write_manifest
from fx_serving.client.home import Stores
from fx_serving.client.snapshot import FeatureBlob
from tests.servers.serving import CLOCK, outlier_profile, start_service, to_onnx

FEATURES, ROUNDS, DEPTH = 176, 160, 2  # the size of the sample's model
WARM_UP, REQUESTS = 300, 3000
MODEL, INSTRUMENT, VIEW = "move_60m", "GBP_USD", "market_features"
SECTION = "predict"


def export(stores: Stores) -> None:
    """A trained model of that size as a bundle, and the newest features of one instrument."""
    import msgspec
    import xgboost

    rng = np.random.default_rng(1)
    x = rng.normal(size=(4000, FEATURES)).astype(np.float32)
    y = (x[:, 0] + 0.5 * x[:, 1] * x[:, 2] + rng.normal(size=len(x)) > 0).astype(int)
    params = {"objective": "binary:logistic", "max_depth": DEPTH, "nthread": 2, "seed": 1}
    trained = xgboost.train(params, xgboost.DMatrix(x, label=y), ROUNDS)
    folder = stores.bundles / MODEL / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(to_onnx(trained, FEATURES))
    expected = trained.predict(xgboost.DMatrix(x[:8])).tolist()
    golden = {"rows": x[:8].tolist(), "expected": expected, "tolerance": 1e-5}
    (folder / "golden.json").write_bytes(msgspec.json.encode(golden))
    (folder / "outlier.json").write_bytes(msgspec.json.encode(outlier_profile(FEATURES)))
    names = [f"feature_{n}" for n in range(FEATURES)]
    features = [FeatureRef(name, VIEW) for name in names]
    manifest = Manifest(
        model=MODEL,
        version="1",
        engine="onnx",
        label=LabelInfo("large_move", 60, "move", "quiet"),
        instruments=[INSTRUMENT],
        features=features,
        schema_hash=schema_hash(features),
        max_feature_age_s={VIEW: 7200},
        files={name: sha256_file(folder / name) for name in ("model.onnx", "golden.json", "outlier.json")},
        created_at=datetime.now(UTC),
    )
    write_manifest(folder, manifest)
    FeatureBlob.build(VIEW, INSTRUMENT, names, [(CLOCK, x[0].tolist())]).write(stores.features)


def measure() -> Iterator[Figure]:
    """CPU of the worker and latency at the client, one request after another."""
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as folder:
        stores = Stores(Path(folder))
        export(stores)
        with start_service(stores.home, workers=1) as service:
            service.deploy("1")
            for _ in range(WARM_UP):
                service.client.predict(INSTRUMENT)
            worker = psutil.Process(service.worker_pids()["w0"])
            before, latencies = worker.cpu_times(), []
            started = time.perf_counter()
            for _ in range(REQUESTS):
                at = time.perf_counter()
                service.client.predict(INSTRUMENT)
                latencies.append(time.perf_counter() - at)
            wall, after = time.perf_counter() - started, worker.cpu_times()
            memory = worker.memory_full_info()
    cpu = after.user + after.system - before.user - before.system
    how = f"one worker, one client, {REQUESTS:,} requests, {FEATURES} features, {ROUNDS} trees"
    yield Figure(SECTION, "CPU of the worker", cpu / REQUESTS * 1e6, "us/request", how)
    for q in (50, 99):
        yield Figure(
            SECTION, f"latency p{q}", float(np.percentile(latencies, q)) * 1e3, "ms", "at the client, loopback"
        )
    yield Figure(SECTION, "rate", REQUESTS / wall, "requests/s", "bounded by the one client")
    yield Figure(SECTION, "memory of the worker", getattr(memory, "pss", memory.uss) / 2**20, "MiB", "proportional")
