"""python -m benchmarks.serving.compare [--venvs DIR]: the same model behind this service, mlflow, BentoML and MLServer.

One trained model, one worker process each, one client, in one run: the processor time of all processes of a server
divided by its answers. Each runs as its documentation starts it. Ratios are what this is for; the figures themselves
depend on the machine. BentoML and MLServer want other versions than the platform, so each needs an environment of its
own; without it that server is left out, with the command that makes it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil

from benchmarks.report import Figure
from benchmarks.serving import bundle
from benchmarks.serving.client import encode, run_closed
from benchmarks.serving.goals import checked, clients, cpu_seconds, one_worker
from fx_assets.stack.ports import free_port

SECTION = "serving compared"
ROUNDS, WARM_UP, REQUESTS, CONNECTIONS = 3, 200, 1500, 4
START_S = 120.0
NEEDED = {"bentoml": "'bentoml>=1.4' onnxruntime numpy", "mlserver": "'mlserver>=1.7' onnxruntime numpy 'uvloop<0.22'"}

_SESSION = """
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
SESSION = onnxruntime.InferenceSession("model.onnx", options, providers=["CPUExecutionProvider"])
"""
_BENTO = (
    """import bentoml
import numpy as np
"""
    + _SESSION
    + """

@bentoml.service(workers=1, traffic={"timeout": 30})
class Scorer:
    @bentoml.api
    def predict(self, input: np.ndarray) -> list[float]:
        return SESSION.run(["probabilities"], {"input": np.asarray(input, dtype=np.float32)})[0][:, 1].tolist()
"""
)
_MLSERVER = (
    """import numpy as np
from mlserver import MLModel, types
from mlserver.codecs import NumpyCodec
"""
    + _SESSION
    + """

class Scorer(MLModel):
    async def load(self):
        return True

    async def predict(self, payload):
        rows = self.decode(payload.inputs[0], default_codec=NumpyCodec).astype(np.float32)
        found = SESSION.run(["probabilities"], {"input": rows})[0][:, 1]
        outputs = [NumpyCodec.encode_output("probabilities", found)]
        return types.InferenceResponse(id=payload.id, model_name=self.name, outputs=outputs)
"""
)


@dataclass(frozen=True)
class Target:
    """A running server: where and what it is asked, and its processes."""

    name: str
    url: str
    requests: list[bytes]
    processes: Callable[[], list[psutil.Process]]


def _rows() -> list[list[float]]:
    return bundle.rows(16).tolist()


def _v2(row: list[float]) -> dict[str, Any]:
    return {"inputs": [{"name": "input", "shape": [1, bundle.FEATURES], "datatype": "FP32", "data": row}]}


@contextlib.contextmanager
def _ours() -> Iterator[list[Target]]:
    with one_worker() as (service, worker):
        instrument = bundle.INSTRUMENTS[0]
        given = [{"instrument": instrument, "features": dict(zip(bundle.NAMES, row, strict=True))} for row in _rows()]
        v2 = [encode(f"/v2/models/{bundle.MODEL}/infer", _v2(row)) for row in _rows()]

        def of(name: str, requests: list[bytes]) -> Target:
            return Target(name, service.url, requests, lambda: [worker])

        yield [
            of("fx serve, features of the store", [encode("/predict", {"instrument": i}) for i in bundle.INSTRUMENTS]),
            of("fx serve, features in the request", [encode("/predict", body) for body in given]),
            of("fx serve, /v2 infer", v2),
        ]


@contextlib.contextmanager
def _server(command: list[str], url: str, ready: str, folder: Path) -> Iterator[Callable[[], list[psutil.Process]]]:
    """A server's process until the block ends; gives a function that lists it and its children."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("FX_", "PYTHON"))}
    variables |= {"BENTOML_HOME": str(folder), "BENTOML_DO_NOT_TRACK": "True", "MLFLOW_DISABLE_TELEMETRY": "true"}
    variables["PATH"] = f"{Path(command[0]).parent}{os.pathsep}{variables['PATH']}"
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + START_S
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if httpx.get(url + ready, trust_env=False).status_code == 200:
                        break
                if process.poll() is not None or time.monotonic() > deadline:
                    said = (folder / "server.log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"{command[0]} did not start:\n{said}")
                time.sleep(0.2)
            root = psutil.Process(process.pid)
            yield lambda: [root, *root.children(recursive=True)]
        finally:
            found = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            for left in found:
                with contextlib.suppress(psutil.NoSuchProcess):
                    left.kill()


@contextlib.contextmanager
def _mlflow(folder: Path) -> Iterator[list[Target]]:
    """As mlflow registers such a model: named columns, with a signature; and the ONNX file as a bare tensor."""
    import mlflow.onnx
    import mlflow.xgboost
    import onnx
    import pandas as pd
    from mlflow.models import infer_signature

    booster = bundle.trained().copy()
    booster.feature_names = bundle.NAMES
    inputs = pd.DataFrame(bundle.rows(16), columns=pd.Index(bundle.NAMES))
    mlflow.xgboost.save_model(booster, str(folder / "named"), signature=infer_signature(inputs))
    mlflow.onnx.save_model(onnx.load_from_string(bundle.onnx_bytes()), str(folder / "tensor"))
    named = [{"dataframe_split": {"columns": bundle.NAMES, "data": [row]}} for row in _rows()]
    forms = [
        ("mlflow models serve", "named", named),
        ("mlflow models serve, bare tensor", "tensor", [{"inputs": [row]} for row in _rows()]),
    ]
    program = str(Path(sys.executable).parent / "mlflow")
    with contextlib.ExitStack() as opened:
        targets = []
        for name, model, bodies in forms:
            port = free_port()
            url = f"http://127.0.0.1:{port}"
            options = ["--env-manager", "local", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
            command = [program, "models", "serve", "-m", str(folder / model), *options]
            processes = opened.enter_context(_server(command, url, "/ping", folder / model))
            targets.append(Target(name, url, [encode("/invocations", body) for body in bodies], processes))
        yield targets


@contextlib.contextmanager
def _bentoml(folder: Path, venv: Path) -> Iterator[list[Target]]:
    (folder / "model.onnx").write_bytes(bundle.onnx_bytes())
    (folder / "service.py").write_text(_BENTO)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(venv / "bin" / "bentoml"), "serve", "service:Scorer", "--host", "127.0.0.1", "--port", str(port)]
    requests = [encode("/predict", {"input": [row]}) for row in _rows()]
    with _server(command, url, "/readyz", folder) as processes:
        yield [Target("BentoML", url, requests, processes)]


@contextlib.contextmanager
def _mlserver(folder: Path, venv: Path) -> Iterator[list[Target]]:
    (folder / "model.onnx").write_bytes(bundle.onnx_bytes())
    (folder / "scorer.py").write_text(_MLSERVER)
    http, grpc, metrics = free_port(), free_port(), free_port()
    settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    settings |= {"debug": False}
    (folder / "settings.json").write_bytes(msgspec.json.encode(settings))
    (folder / "model-settings.json").write_bytes(
        msgspec.json.encode({"name": "scorer", "implementation": "scorer.Scorer"})
    )
    url = f"http://127.0.0.1:{http}"
    requests = [encode("/v2/models/scorer/infer", _v2(row)) for row in _rows()]
    with _server([str(venv / "bin" / "mlserver"), "start", "."], url, "/v2/models/scorer/ready", folder) as processes:
        yield [Target("MLServer", url, requests, processes)]


def measure(venvs: Path | None = None) -> Iterator[Figure]:
    """CPU of each server for an answer, and how many times that is ours."""
    with tempfile.TemporaryDirectory(prefix="fx-compare-") as place, contextlib.ExitStack() as opened:
        targets = opened.enter_context(_ours())
        makers: list[tuple[str, Callable[..., Any]]] = [("mlflow", _mlflow)]
        for name, make in (("bentoml", _bentoml), ("mlserver", _mlserver)):
            if venvs and (venvs / name / "bin" / name).exists():
                makers.append((name, lambda folder, make=make, name=name: make(folder, venvs / name)))
            else:
                where = venvs or Path("comparison")
                print(
                    f"{name} left out: {sys.executable} -m venv {where / name} && {where / name}/bin/pip install "
                    f"{NEEDED[name]}, then --venvs {where}",
                    file=sys.stderr,
                )
        for name, make in makers:
            folder = Path(place) / name
            folder.mkdir()
            targets += opened.enter_context(make(folder))
        costs: dict[str, list[float]] = {target.name: [] for target in targets}
        run = opened.enter_context(clients())
        for target in targets:
            checked(run(run_closed, target.url, target.requests, CONNECTIONS, WARM_UP))
        for _ in range(ROUNDS):
            for target in targets:
                processes = target.processes()
                before = cpu_seconds(*processes)
                checked(run(run_closed, target.url, target.requests, CONNECTIONS, REQUESTS))
                costs[target.name].append((cpu_seconds(*processes) - before) / REQUESTS * 1e6)
    ours = statistics.median(costs[targets[0].name])
    how = f"one ONNX model, {bundle.FEATURES} features, {CONNECTIONS} connections, median of {ROUNDS} x {REQUESTS:,}"
    for name, found in costs.items():
        cost = statistics.median(found)
        yield Figure(SECTION, f"CPU a prediction: {name}", cost, "us", how)
        if not name.startswith("fx serve"):
            yield Figure(SECTION, f"{name} against fx serve", cost / ours, "times", "features of the store")


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    from benchmarks.report import machine, markdown

    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.compare", description=__doc__)
    parser.add_argument("--venvs", type=Path, help="folder with the environments bentoml and mlserver")
    print(markdown(list(measure(parser.parse_args(arguments).venvs)), machine()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
