"""What trained_model costs beside plain xgboost.train on the same matrix, with the same parameters and threads.

trained_model is measured from reading the training set to the written record: fit, hashes, the MLflow run with all its
artifacts (the training set among them), and the registered version. Left out is what a process pays once: imports, and
the making of an empty registry. Each size has a process of its own, whose peak memory is stated.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks.report import Figure
from fx_assets.cost.memory import peak_bytes

SECTION = "training"
# Rows, rounds and repetitions. 100 rounds are what the shipped candidate has; what a fit costs beside them is fixed.
SIZES = {"130k": (130_000, 500, 5), "130k, 100 rounds": (130_000, 100, 5), "1.3M": (1_300_000, 500, 1)}
FEATURES, CANDIDATE = 50, "medium"
MODEL, SESSION = "move_60m", "2021-03-15"
_TIMEOUT_S = 3600


def measure() -> Iterator[Figure]:
    """Ratios to plain XGBoost at 130k rows, the cost of a row at 1.3 million, and peak memory."""
    found = {name: _child(*size) for name, size in SIZES.items()}
    small, large = found["130k"], found["1.3M"]
    for name, part in found.items():
        told = f"{FEATURES} features, {part['rounds']} rounds of depth {part['depth']}, {part['threads']} threads"
        rows = f"{SIZES[name][0]:,} rows x {told}"
        yield Figure(SECTION, f"trained_model {name}", part["trained"], "s", f"wall, median; {rows}")
        yield Figure(
            SECTION, f"plain xgboost.train {name}", part["plain"], "s", f"wall, median, with QuantileDMatrix; {rows}"
        )
        yield Figure(SECTION, f"overhead {name}", part["ratio"], "x", "trained_model over plain, median of pairs, wall")
        yield Figure(SECTION, f"overhead {name}, CPU", part["cpu_ratio"], "x", "the same in CPU seconds of the process")
        yield Figure(SECTION, f"peak memory {name}", part["peak_gib"], "GiB", "of the process, all included")
    per_row = (large["trained"] / SIZES["1.3M"][0]) / (small["trained"] / SIZES["130k"][0])
    yield Figure(SECTION, "cost of a row at 1.3M", per_row, "x", "of its cost at 130k, trained_model, wall")


def _child(rows: int, rounds: int, times: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as home:
        command = [sys.executable, "-m", __name__ if __name__ != "__main__" else "benchmarks.training"]
        command += ["--rows", str(rows), "--rounds", str(rounds), "--times", str(times)]
        variables = {**os.environ, "FX_HOME": home, "TMPDIR": home, "MLFLOW_DISABLE_TELEMETRY": "true"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, env=variables)
    if done.returncode:
        raise RuntimeError(f"training benchmark of {rows} rows failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _pairs(rows: int, rounds: int, times: int) -> dict[str, Any]:
    """trained_model and plain XGBoost in turn, in this process."""
    import mlflow
    import mlflow.pyfunc
    import msgspec
    import numpy as np
    import pandas as pd

    from fx_assets.configuration import load_configuration
    from fx_assets.evaluation.estimators.xgb import full_params, xgboost_module
    from fx_assets.evaluation.spec import StudySpec
    from fx_assets.lake import Lake
    from fx_assets.models import train, training_set
    from fx_assets.resources.tracking import EXPERIMENT, prepare
    from fx_assets.schemas import content_hash, model_features
    from fx_serving.client.home import fx_home

    full = load_configuration()
    entry = full.models.models[MODEL]
    left_out = tuple(name for name, _ in model_features(full, MODEL)[FEATURES:])
    entry = entry.model_copy(update={"features": entry.features.model_copy(update={"exclude": left_out})})
    models = full.models.model_copy(update={"models": {MODEL: entry}})
    configuration = full.model_copy(update={"models": models})
    names = [name for name, _ in model_features(configuration, MODEL)]
    assert len(names) == FEATURES
    home = fx_home()
    lake = Lake(home / "lake")
    lake.write(f"models/{MODEL}/training_set", {SESSION: _rows(rows, names)})
    spec = StudySpec.for_model(entry, names, {"EUR_USD": 5e-5}, nthread=train.THREADS)
    chosen: dict[str, Any] = next(c for c in spec.candidates if c["name"] == CANDIDATE) | {"rounds": rounds}
    stored = lake.read(f"models/{MODEL}/training_set", [SESSION])[SESSION]
    out = stored[["instrument", "decision_time", "label"]].head(rows // 2)
    record = {"chosen": chosen, "figures": {}, "spec": msgspec.to_builtins(spec)}
    origin = training_set.Origin(content_hash(stored), f"{MODEL}_v1", "2", {"gold/features": {}, "gold/labels": {}})
    training_set.write_origin(lake, MODEL, SESSION, origin)
    del stored
    prepare(home)
    mlflow.set_experiment(EXPERIMENT)
    xgb = xgboost_module()

    def trained() -> None:
        frame = lake.read(f"models/{MODEL}/training_set", [SESSION])[SESSION]
        made = training_set.read_origin(lake, MODEL, SESSION, content_hash(frame))
        found = train.fit_and_log(mlflow, configuration, MODEL, SESSION, frame, record, out, made, "bench")
        lake.store.write(f"models/{MODEL}/trained_model/session={SESSION}/record.json", msgspec.json.encode(found))

    params = full_params(chosen, spec.seed, train.THREADS)

    def plain(x: Any, y: Any, w: Any) -> None:
        bins = params["max_bin"]
        data = xgb.QuantileDMatrix(x, label=y, weight=w, max_bin=bins, nthread=train.THREADS)
        xgb.train(params, data, num_boost_round=chosen["rounds"])

    def matrix() -> tuple[Any, Any, Any]:
        frame: pd.DataFrame = lake.read(f"models/{MODEL}/training_set", [SESSION])[SESSION]
        return frame[names].to_numpy(np.float32), frame["label"].to_numpy(float), frame["weight"].to_numpy(float)

    ours, bare = [], []
    for _ in range(times):
        ours.append(_timed(trained))
        bare.append(_timed(partial(plain, *matrix())))
    return {
        "rounds": chosen["rounds"],
        "depth": params["max_depth"],
        "threads": train.THREADS,
        "trained": statistics.median(wall for wall, _ in ours),
        "plain": statistics.median(wall for wall, _ in bare),
        "ratio": statistics.median(a[0] / b[0] for a, b in zip(ours, bare, strict=True)),
        "cpu_ratio": statistics.median(a[1] / b[1] for a, b in zip(ours, bare, strict=True)),
        "peak_gib": peak_bytes() / 2**30,
    }


def _rows(rows: int, names: list[str]) -> Any:
    """A training set of random features, its label a noisy function of some of them."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(3)
    x = rng.standard_normal((rows, len(names)))
    time = pd.date_range("2000-01-03", periods=rows, freq="5min", tz="UTC", unit="us")
    known = time + pd.Timedelta(minutes=5)
    score = x[:, 0] + x[:, 1] * x[:, 2] + 2.0 * rng.standard_normal(rows)
    frame = pd.DataFrame(
        {
            "instrument": "EUR_USD",
            "time": time,
            "decision_time": known,
            "label": (score > 0).astype(float),
            "label_end": known + pd.Timedelta(hours=1),
            "forward_return": 1e-3 * rng.standard_normal(rows),
            "weight": rng.uniform(0.2, 1.0, rows),
        }
    )
    return pd.concat([frame, pd.DataFrame(x, columns=names)], axis=1)


def _timed(call: Callable[[], None]) -> tuple[float, float]:
    """Wall and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    with contextlib.redirect_stderr(io.StringIO()):
        call()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--times", type=int, required=True)
    given = parser.parse_args()
    print(json.dumps(_pairs(given.rows, given.rounds, given.times)))
