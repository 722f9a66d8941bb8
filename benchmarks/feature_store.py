"""The feature store: training sets through Feast, rows online, and a year brought online.

Generated gold/features of the shipped configuration's features: a year of hourly rows of one instrument, and the same
of fifteen. Feast's own DuckDB store answers the small training set too, for comparison in the same run.
Each side has answered once, unmeasured, before it is measured.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.report import Figure, median_s

SECTION = "feature_store"
FIRST, SESSIONS, HOURS = "2020-01-01", 365, 24
MANY, FEATURES = 15, 50
ENTITIES = 1000  # of the online write
TIMES = 3


def measure() -> Iterator[Figure]:
    """Wall seconds, medians of three; SQLite always, Redis where redis-server is installed."""
    from fx_assets.configuration import load_configuration

    configuration = load_configuration()
    with tempfile.TemporaryDirectory(prefix="fx-bench-store-") as folder:
        home = Path(folder)
        small = _gold(home / "small", configuration, 1)
        large = _gold(home / "large", configuration, MANY)
        for name, gold in (("year", small), ("131k", large)):
            yield from _training(name, home / name, configuration, gold)
        yield from _online("SQLite", home / "sqlite", configuration, small, large)
        yield from _redis(home / "redis", configuration, small, large)


class Gold:
    """Generated rows: where their lake is, and all of them."""

    def __init__(self, root: Path, rows: pd.DataFrame):
        self.root, self.rows = root, rows


def _gold(root: Path, configuration: Any, instruments: int) -> Gold:
    """A session for each day; every feature a random number."""
    from fx_assets.lake import Lake
    from fx_assets.schemas import views

    rng, lake, made = np.random.default_rng(1), Lake(root), []
    names = [name for features in views(configuration).values() for name in features]
    symbols = [f"AA{chr(65 + n)}_USD" for n in range(instruments)]
    for day in pd.date_range(FIRST, periods=SESSIONS):
        opens = pd.date_range(day + pd.Timedelta("22h"), periods=HOURS, freq="1h", tz="UTC", unit="us")
        frame = pd.DataFrame({"instrument": symbols * HOURS, "time": opens.repeat(instruments)})
        frame["available_at"] = (frame["time"] + pd.Timedelta("1h")).dt.as_unit("us")
        frame = pd.concat([frame, pd.DataFrame(rng.normal(size=(len(frame), len(names))), columns=names)], axis=1)
        lake.write("gold/features", {f"{day:%Y-%m-%d}": frame})
        made.append(frame)
    return Gold(root, pd.concat(made, ignore_index=True))


def _training(name: str, home: Path, configuration: Any, gold: Gold) -> Iterator[Figure]:
    """get_historical_features with fifty features, ours and for the year Feast's own store."""
    from feast import FeatureStore, RepoConfig

    from fx_assets.feature_store.repository import apply, open_store
    from fx_assets.schemas import model_features

    store = open_store(home, configuration)
    apply(store, gold.root, configuration)
    refs = [f"{view}:{feature}" for feature, view in model_features(configuration, _model(configuration))[:FEATURES]]
    asked = gold.rows[["instrument", "available_at"]].rename(columns={"available_at": "event_timestamp"})

    def ask(of: Any) -> float:
        return _seconds(lambda: of.get_historical_features(entity_df=asked, features=refs).to_df())

    ask(store)  # what is loaded at the first call is not the join's
    how = f"{len(asked):,} decisions x {len(refs)} features from {SESSIONS} session files, get_historical_features"
    ours = median_s(lambda: ask(store), TIMES)
    yield Figure(SECTION, f"training set, {name}", ours, "s", how)
    if name == "year":
        given: Any = store.config
        config = RepoConfig(
            project=given.project,
            provider="local",
            registry=given.registry.path,
            offline_store={"type": "duckdb"},
            online_store=given.online_store.model_dump(),
            entity_key_serialization_version=3,
        )
        stock = FeatureStore(config=config)
        ask(stock)
        yield Figure(
            SECTION, "training set, Feast's own store", ask(stock), "s", "the same, once after a call unmeasured"
        )


def _online(kind: str, home: Path, configuration: Any, small: Gold, large: Gold) -> Iterator[Figure]:
    """Features a second of a write of many entities, and a year brought online."""
    from fx_assets.feature_store.online import materialize, write_newest
    from fx_assets.feature_store.repository import apply, open_store
    from fx_assets.lake import Lake
    from fx_assets.schemas import views

    store = open_store(home, configuration)
    apply(store, small.root, configuration)
    listed = views(configuration)
    rows = large.rows.head(ENTITIES).assign(instrument=[f"E{n}" for n in range(ENTITIES)])
    features = ENTITIES * sum(map(len, listed.values()))

    def write() -> None:
        rows["available_at"] += pd.Timedelta("1h")  # newer than what is there
        for view in listed:
            assert write_newest(store, view, rows) == ENTITIES

    seconds = median_s(lambda: _seconds(write), TIMES)
    yield Figure(SECTION, f"online write, {kind}", features / seconds, "features/s", f"{ENTITIES} rows of every view")
    for instruments, gold in ((1, small), (MANY, large)):
        lake = Lake(gold.root)
        taken = median_s(lambda lake=lake: _seconds(lambda: materialize(store, lake, configuration)), TIMES)
        how = f"{SESSIONS} sessions of hourly rows, {instruments} instruments, every view"
        yield Figure(SECTION, f"materialize a year, {kind}, {instruments} instruments", taken, "s", how)
    whole = median_s(lambda: _seconds(lambda: [write_newest(store, view, small.rows) for view in listed]), TIMES)
    yield Figure(SECTION, f"year as one frame, {kind}", whole, "s", f"{len(small.rows):,} rows through write_newest")


def _redis(home: Path, configuration: Any, small: Gold, large: Gold) -> Iterator[Figure]:
    """The same on a redis-server of its own; nothing where there is none."""
    import os

    from fx_assets.configuration.data import FeatureStore as Settings
    from tests.servers.redis import RedisServer

    program = shutil.which("redis-server")
    if program is None:
        return
    settings = Settings.model_validate({"online": "redis"})
    found = configuration.model_copy(update={"data": configuration.data.model_copy(update={"feature_store": settings})})
    home.mkdir()
    with RedisServer(home, program, "benchmark") as server:
        before = os.environ.get("FX_REDIS_URL")
        os.environ["FX_REDIS_URL"] = server.url
        try:
            yield from _online("Redis", home, found, small, large)
        finally:
            del os.environ["FX_REDIS_URL"]
            if before is not None:
                os.environ["FX_REDIS_URL"] = before


def _model(configuration: Any) -> str:
    return next(iter(configuration.models.models))


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
