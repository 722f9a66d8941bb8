"""A real prediction service for tests: `fx serve` on a temporary home and a free port, and real small
bundles.

with start_service(home, workers=1, policy={"window_s": 1}) as service:
    service.deploy(make_bundle(service.stores, "1"))
    service.client.predict("GBP_USD")
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import yaml

from fx_serving.client.bundle import FeatureRef, LabelInfo, Manifest, schema_hash, sha256_file, write_manifest
from fx_serving.client.home import Stores
from fx_serving.client.http import ServiceError, ServingClient
from fx_serving.client.snapshot import FeatureBlob

ROOT = Path(__file__).resolve().parents[2]
CLOCK = datetime(2022, 3, 4, 22, 0, tzinfo=UTC)
MARKET = ["rsi_14", "atr_14", "ret_1"]
NEWS = ["sentiment"]
NAMES = [*MARKET, *NEWS]
INSTRUMENTS = ["EUR_USD", "GBP_USD"]
FAST_POLICY = {
    "steps": [50, 100],
    "window_s": 0.5,
    "min_requests": 5,
    "hold_timeout_s": 20,
    "max_p99_ms": 2000,
    # The bundles of tests are different models on a busy machine: what only compares them would end every rollout.
    "max_distribution_shift": None,
    "max_latency_ratio": None,
}


@dataclass
class Service:
    """A running `fx serve`."""

    home: Path
    process: subprocess.Popen
    url: str
    client: ServingClient
    environment: dict[str, str] = field(repr=False)

    @property
    def stores(self) -> Stores:
        return Stores(self.home)

    def deploy(self, version: str, model: str = "move_60m", timeout_s: float = 120) -> dict[str, Any]:
        """Roll a version out to its end; asserts that it succeeded."""
        started = self.client.start_rollout(model, version)
        done = self.client.wait_rollout(started["id"], timeout_s, poll_s=0.1)
        assert done["state"] == "succeeded", done
        return done

    def worker_pids(self) -> dict[str, int]:
        return {p.stem: msgspec.json.decode(p.read_bytes())["pid"] for p in self.stores.workers.glob("*.json")}

    def sidecar_pids(self) -> list[int]:
        found = [msgspec.json.decode(p.read_bytes())["sidecars"] for p in self.stores.workers.glob("*.json")]
        return [pid for pids in found for pid in pids if pid]

    def controller_pid(self) -> int:
        return msgspec.json.decode(self.stores.controller.read_bytes())["pid"]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal the supervisor by its pid and wait; returns its exit code."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(120)


def wait_until(check: Callable[[], Any], timeout_s: float = 120.0, every_s: float = 0.02) -> Any:
    """The first truthy result of check(); AssertionError after timeout_s.

    Errors of the service count as not yet. The time is for what hangs: a test that states how fast something is
    measures it.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            result = check()
            if result:
                return result
        except (OSError, ValueError, KeyError, httpx.HTTPError) as error:
            result = error
        assert time.monotonic() < deadline, f"not within {timeout_s} s; last: {result!r}"
        time.sleep(every_s)


def launch(
    home: Path,
    workers: int = 1,
    policy: Mapping[str, Any] | None = None,
    clock: str | None = "2022-03-04T22:00:00Z",
    settings: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Service:
    """Start `fx serve` on a free port and wait until it listens. The caller stops it."""
    config = {"workers": workers, "port": 0, "rollout": {**FAST_POLICY, **(policy or {})}, **(settings or {})}
    config.setdefault("lease", {"renew_s": 0.2, "expire_s": 2})
    path = home / "config" / "serving.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config))
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("FX_", "PROMETHEUS_"))}
    variables |= {"FX_HOME": str(home), "PYTHONPATH": str(ROOT), **(environment or {})}
    if clock:
        variables["FX_CLOCK"] = clock
    log = open(home / "serve.log", "ab")  # noqa: SIM115  (handed to the process)
    command = [sys.executable, "-m", "fx_serving.cli", "serve"]
    process = subprocess.Popen(command, env=variables, stdout=log, stderr=log, cwd=home)
    log.close()

    def address() -> str | None:
        assert process.poll() is None, (home / "serve.log").read_text()
        found = msgspec.json.decode((home / "serving" / "address.json").read_bytes())
        return found["url"] if found["pid"] == process.pid and found["controller_url"] else None

    try:
        url = wait_until(address)
        client = ServingClient(url, token=variables.get("FX_SERVING_TOKEN"))
        wait_until(lambda: len(list((home / "serving" / "workers").glob("*.json"))) == workers)
        wait_until(lambda: client.health()["components"]["controller"]["status"] == "ok")
    except BaseException:
        process.terminate()
        process.wait(120)
        raise
    return Service(home, process, url, client, variables)


@contextlib.contextmanager
def start_service(
    home: Path, workers: int = 1, policy: Mapping[str, Any] | None = None, **more: Any
) -> Iterator[Service]:
    """`launch`, stopped at the end."""
    service = launch(home, workers, policy, **more)
    try:
        yield service
    finally:
        service.stop()


def booster(seed: int = 0, width: int = len(NAMES)) -> Any:
    """A small real XGBoost classifier."""
    import xgboost

    rng = np.random.default_rng(seed)
    x = rng.normal(size=(400, width)).astype(np.float32)
    y = (x[:, 0] + 0.5 * x[:, 1] * x[:, 2] + 0.3 * rng.normal(size=400) > 0).astype(int)
    names = NAMES[:width] if width == len(NAMES) else None
    data = xgboost.DMatrix(x, label=y, feature_names=names)
    return xgboost.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1, "seed": seed}, data, 20)


def to_onnx(model: Any, width: int = len(NAMES)) -> bytes:
    """The ONNX form of a booster."""
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    model.feature_names = None
    return convert_xgboost(model, initial_types=[("input", FloatTensorType([None, width]))]).SerializeToString()


def trick_onnx(megabytes_per_unit: float) -> bytes:
    """P = 0.5 for every row, but a row whose first feature is x > 0 makes it fill x * megabytes_per_unit of
    memory.

    So a bundle passes its checks and is slow, or out of memory, on the traffic a test sends.
    """
    from onnx import TensorProto, helper

    def constant(name: str, kind: int, dims: list[int], values: list) -> Any:
        return helper.make_tensor(name, kind, dims, values)

    nodes = [
        helper.make_node("Slice", ["input", "starts", "ends", "axes"], ["first"]),
        helper.make_node("Relu", ["first"], ["positive"]),
        helper.make_node("Mul", ["positive", "scale"], ["wanted"]),
        helper.make_node("Cast", ["wanted"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["whole", "flat"], ["flat_size"]),
        helper.make_node("Add", ["flat_size", "one"], ["size"]),
        helper.make_node("ConstantOfShape", ["size"], ["block"], value=constant("v", TensorProto.FLOAT, [1], [1.0])),
        helper.make_node("ReduceMean", ["block"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["half", "mean"], ["probabilities"]),
    ]
    elements = megabytes_per_unit * 1024 * 1024 / 4
    initial = [
        constant("starts", TensorProto.INT64, [2], [0, 0]),
        constant("ends", TensorProto.INT64, [2], [1, 1]),
        constant("axes", TensorProto.INT64, [2], [0, 1]),
        constant("scale", TensorProto.FLOAT, [], [elements]),
        constant("flat", TensorProto.INT64, [1], [1]),
        constant("one", TensorProto.INT64, [1], [1]),
        constant("half", TensorProto.FLOAT, [1, 2], [0.5, 0.5]),
    ]
    graph = helper.make_graph(
        nodes,
        "trick",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, len(NAMES)])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 2])],
        initial,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


def outlier_profile(width: int = len(NAMES)) -> dict[str, list[float]]:
    """outlier.json of training rows that are standard normal."""
    rows = np.random.default_rng(3).normal(size=(2000, width))
    distance = np.minimum(rows**2, 100).mean(axis=1)
    quantiles = np.quantile(distance, np.linspace(0, 1, 101))
    return {"center": [0.0] * width, "scale": [1.0] * width, "quantiles": quantiles.tolist()}


OUTLIER = outlier_profile()


def make_bundle(
    stores: Stores,
    version: str,
    *,
    model: str = "move_60m",
    content: bytes | None = None,
    trained: Any = None,
    engine: str = "onnx",
    kind: str = "large_move",
    golden: tuple[list[list[float]], list[float]] | None = None,
    instruments: list[str] | None = None,
    native: bool = False,
    outlier: dict[str, list[float]] | None = OUTLIER,
) -> str:
    """Export a bundle as the training side does; returns the version. native: with the booster's own file, too."""
    import xgboost

    folder = stores.bundles / model / version
    folder.mkdir(parents=True, exist_ok=True)
    trained = trained or (booster(int(hashlib.sha256(version.encode()).hexdigest(), 16) % 1000))
    files = {"onnx": "model.onnx", "xgboost": "model.ubj"}
    target = folder / files[engine]
    if content is None and engine == "xgboost":
        trained.save_model(target)
    else:
        target.write_bytes(content or to_onnx(trained))
    names = [target.name, "golden.json"]
    if outlier is not None:
        (folder / "outlier.json").write_bytes(msgspec.json.encode(outlier))
        names.append("outlier.json")
    if native:
        trained.save_model(folder / "model.ubj")
        names.append("model.ubj")
    if golden is None:
        rows = np.random.default_rng(7).normal(size=(8, len(NAMES))).astype(np.float32)
        trained.feature_names = None
        expected = trained.predict(xgboost.DMatrix(rows)).tolist()
        golden = (rows.tolist(), expected)
    (folder / "golden.json").write_bytes(
        msgspec.json.encode({"rows": golden[0], "expected": golden[1], "tolerance": 1e-5})
    )
    features = [FeatureRef(n, "market_features") for n in MARKET] + [FeatureRef(n, "news_signals") for n in NEWS]
    label = (
        LabelInfo("direction", 60, "up", "down")
        if kind == "direction"
        else LabelInfo("large_move", 60, "move", "quiet")
    )
    manifest = Manifest(
        model=model,
        version=version,
        engine=engine,  # type: ignore[arg-type]
        label=label,
        instruments=instruments or INSTRUMENTS,
        features=features,
        schema_hash=schema_hash(features),
        max_feature_age_s={"market_features": 7200, "news_signals": 21600},
        files={name: sha256_file(folder / name) for name in names},
        lineage={"code_version": "1"},
        created_at=datetime.now(UTC),
    )
    write_manifest(folder, manifest)
    return version


def make_trick_bundle(stores: Stores, version: str, megabytes_per_unit: float) -> str:
    """A bundle that behaves on its golden rows and misbehaves where rsi_14 is positive (see trick_onnx)."""
    golden = ([[-1.0] * len(NAMES)], [0.5])
    return make_bundle(stores, version, content=trick_onnx(megabytes_per_unit), golden=golden)


def feature_blobs(
    newest: datetime = CLOCK, rows: int = 5, instruments: list[str] | None = None, **values: float | None
) -> list[FeatureBlob]:
    """Blobs of both views with hourly rows up to `newest`. values: by feature name."""
    blobs = []
    for instrument in instruments or INSTRUMENTS:
        for view, names in (("market_features", MARKET), ("news_signals", NEWS)):
            table = []
            for back in range(rows):
                given = [values.get(n, 0.1 * (i + 1) + 0.01 * back) for i, n in enumerate(names)]
                table.append((newest - timedelta(hours=back), given))
            blobs.append(FeatureBlob.build(view, instrument, names, table))
    return blobs


def publish_features(
    stores: Stores,
    newest: datetime = CLOCK,
    rows: int = 5,
    instruments: list[str] | None = None,
    **values: float | None,
) -> dict[str, float | None]:
    """Write `feature_blobs` into the home's folder; returns the newest row's values."""
    newest_row: dict[str, float | None] = {}
    for blob in feature_blobs(newest, rows, instruments, **values):
        blob.write(stores.features)
        newest_row |= dict(zip(blob.names, blob.rows[-1].values, strict=True))
    return newest_row


class Traffic:
    """Predictions from several threads until the block ends; `failures` are errors a caller would have seen."""

    def __init__(self, url: str, threads: int = 2, pause_s: float = 0.005, token: str | None = None) -> None:
        self.url, self.pause_s, self.token = url, pause_s, token
        self.answers: list[dict[str, Any]] = []
        self.received: list[tuple[str, float]] = []  # prediction id, monotonic time
        self.failures: list[Exception] = []
        self.resets = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with ServingClient(self.url, timeout_s=20, token=self.token) as client:
            while not self._stop.is_set():
                try:
                    answer = client.predict("GBP_USD")
                    self.received.append((answer["prediction_id"], time.monotonic()))
                    self.answers.append(answer)
                except ServiceError as error:
                    self.failures.append(error)
                time.sleep(self.pause_s)
            self.resets += client.resets

    def versions(self, since: int = 0) -> set[str]:
        """The model versions that answered."""
        return {answer["model_version"] for answer in self.answers[since:]}
