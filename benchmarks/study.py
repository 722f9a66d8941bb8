"""How long an honest study takes: a full walk-forward evaluation of 37,000 hourly rows in 8 folds.

Counted is all of `evaluate`: every candidate in every fold, the naive forecasts, the bootstrap intervals, the backtest
at five costs, and the leak canaries. Not counted are reading, features and labels. With FX_BENCH_DATA the prices are
real, else generated. Each study runs on two threads; its seconds are those of the clock, and of all its threads.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from benchmarks.ranges import candle_files, kind_of_data
from benchmarks.report import Figure

SECTION = "study"
PAIR = "GBP_USD"
FIRST, LAST = "2014-01-06", "2021-12-30"
ROWS, FOLDS, THREADS = 37_000, 8, 2
#: One of each algorithm, of about the size that the shipped candidates have.
ALL: tuple[dict[str, Any], ...] = (
    {"name": "shallow", "algorithm": "xgboost", "rounds": 120, "params": {"max_depth": 3, "eta": 0.06}},
    {"name": "leaves", "algorithm": "lightgbm", "rounds": 120, "params": {"num_leaves": 8, "learning_rate": 0.06}},
    {"name": "oblivious", "algorithm": "catboost", "rounds": 120, "params": {"depth": 4, "learning_rate": 0.06}},
    {"name": "forest", "algorithm": "random_forest", "rounds": 100, "params": {"max_depth": 7}},
    {"name": "line", "algorithm": "logistic", "rounds": 30, "params": {"ridge": 100.0}},
)


def measure() -> Iterator[Figure]:
    """The shipped candidates on both shipped questions, and one of each algorithm on one."""
    from fx_assets.configuration import load_configuration

    models = load_configuration().models.models
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as folder:
        bars, table, names = _features(Path(folder))
    data = f"{kind_of_data('H1', (PAIR,))} H1 bars of {PAIR}"
    for name in ("move_60m", "direction_60m"):
        yield from _study(name, models[name], _rows(bars, table, names, models[name]), bars, names, data)
    entry = models["move_60m"]
    yield from _study("all algorithms", entry, _rows(bars, table, names, entry), bars, names, data, ALL)


def _features(folder: Path) -> tuple[Any, pd.DataFrame, list[str]]:
    from fx_assets.models import study_files

    files = candle_files(folder, "H1", (PAIR,), FIRST, LAST)
    bars = study_files.read({symbol: Path(path) for symbol, path in files.items()}, 60)
    return bars, *study_files.features(bars)


def _rows(bars: Any, table: pd.DataFrame, names: list[str], entry: Any) -> pd.DataFrame:
    from fx_assets.models import study_files

    rows = study_files.training_rows(bars, table, names, entry.label)
    if len(rows) < ROWS:
        raise SystemExit(f"{PAIR}: {len(rows)} complete rows between {FIRST} and {LAST}, {ROWS} are needed.")
    return rows.tail(ROWS).reset_index(drop=True)


def _study(
    name: str,
    entry: Any,
    rows: pd.DataFrame,
    bars: Any,
    names: list[str],
    data: str,
    candidates: Sequence[dict[str, Any]] = (),
) -> Iterator[Figure]:
    from fx_assets.evaluation.study import evaluate
    from fx_assets.models import study_files, study_run

    typical, recorded = study_files.half_spreads(bars, 1.0)
    spec = study_run.spec_of(entry, names, typical, recorded, FOLDS)
    if candidates:
        spec = msgspec.structs.replace(spec, candidates=tuple(candidates))
    spec = msgspec.structs.replace(spec, nthread=THREADS)
    # What is compiled or imported once is not the study's: a short one comes first.
    evaluate(rows.head(4000), msgspec.structs.replace(spec, candidates=spec.candidates[:1]))
    clock, work = time.perf_counter(), time.process_time()
    found = evaluate(rows, spec)
    clock, work = time.perf_counter() - clock, time.process_time() - work
    fits = f"{len(spec.candidates)} candidates x {FOLDS} folds and 4 canaries, {len(rows)} rows x {len(names)} features"
    auc = found.figures["auc"]["value"]
    how = f"{fits}, {THREADS} threads, {data}; chosen {found.chosen['name']}, AUC {auc:.3f}"
    yield Figure(SECTION, f"{name}: walk-forward study", clock, "s", how)
    yield Figure(SECTION, f"{name}: walk-forward study, CPU", work, "s", "seconds of all threads of the same study")
