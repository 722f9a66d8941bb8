"""What an online store must do, held against SQLite and a real Redis alike: nothing older replaces anything newer,
every bit comes back, and a store that is away is told in words.
"""

import multiprocessing
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fx_assets.configuration import Configuration, load_configuration
from fx_assets.configuration.data import FeatureStore as Settings
from fx_assets.errors import DataError, MissingData, StoreError
from fx_assets.feature_store.encoding import Batch, cells, entity_key, micros, number, timestamp
from fx_assets.feature_store.online import guarded, materialize, read_online, stored_online, write_newest
from fx_assets.feature_store.redis_online import RedisOnline
from fx_assets.feature_store.repository import apply, online_store, open_store
from fx_assets.feature_store.sqlite_online import SqliteOnline
from fx_assets.lake import Lake
from fx_assets.schemas import views
from tests.fx_assets.feature_store.gold import bits, gold_rows, write_gold
from tests.servers.redis import RedisServer

PASSWORD = "hunter2-hunter2"
VIEW = "technical"
SYMBOLS = ["EUR_USD", "GBP_USD", "USD_JPY"]
START = "2021-03-01"
HOUR = pd.Timedelta("1h")


def configured(online: str, **settings: object) -> Configuration:
    """The shipped configuration with another online store."""
    found = load_configuration()
    store = Settings.model_validate({"online": online, **settings})
    return found.model_copy(update={"data": found.data.model_copy(update={"feature_store": store})})


@pytest.fixture(scope="session")
def redis(program, tmp_path_factory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"), program("redis-server", "redis-server"), PASSWORD)
    with server:
        yield server


@pytest.fixture(params=("sqlite", "redis"))
def configuration(request, monkeypatch) -> Configuration:
    """The configuration of each kind of store in turn, and an empty Redis for the one that needs it."""
    if request.param == "redis":
        server = request.getfixturevalue("redis")
        server.client().flushall()
        monkeypatch.setenv("FX_REDIS_URL", server.url)
    return configured(request.param)


@pytest.fixture
def store(configuration, tmp_path):
    made = open_store(tmp_path, configuration)
    apply(made, tmp_path / "lake", configuration)
    return made


@pytest.fixture
def rows(configuration) -> pd.DataFrame:
    """One row of each instrument."""
    return gold_rows(configuration, SYMBOLS, START, 1)


@pytest.fixture
def names(configuration) -> list[str]:
    return views(configuration)[VIEW]


def test_every_bit_comes_back(store, rows, names):
    assert write_newest(store, VIEW, rows) == len(SYMBOLS)
    found = stored_online(store, VIEW, SYMBOLS)
    assert found["available_at"].tolist() == rows["available_at"].tolist()
    assert bits(found[names]) == bits(rows[names])
    assert {5e-324, -0.0} <= set(found[names].iloc[0])
    assert found[names].isna().any(axis=None)


def test_feast_as_it_comes_reads_what_was_written(store, configuration, rows, names, tmp_path, redis):
    """Its own stores, not ours, over the same file or server."""
    from feast import FeatureStore, RepoConfig

    write_newest(store, VIEW, rows)
    stock = {"type": "sqlite", "path": str(tmp_path / "feast" / "online.db")}
    if configuration.data.feature_store.online == "redis":
        stock = {"type": "redis", "connection_string": f"127.0.0.1:{redis.port},db=0,password={PASSWORD}"}
    config = RepoConfig(
        project=store.config.project,
        provider="local",
        registry=store.config.registry.path,
        online_store=stock,
        entity_key_serialization_version=3,
    )
    answer = FeatureStore(config=config).get_online_features(
        features=[f"{VIEW}:{name}" for name in names], entity_rows=[{"instrument": s} for s in SYMBOLS]
    )
    found = answer.to_df()
    assert bits(found[names].astype("float64")) == bits(rows[names])
    stamps = answer.proto.results[1].event_timestamps
    assert [s.ToMicroseconds() for s in stamps] == [t.value // 1000 for t in rows["available_at"]]


def test_what_feast_itself_writes_is_guarded_too(store, rows, names):
    columns = ["instrument", "available_at", *names]
    store.write_to_online_store(VIEW, rows[columns])
    older = rows.assign(available_at=rows["available_at"] - HOUR, **{names[8]: 7.0})
    store.write_to_online_store(VIEW, older[columns])
    assert bits(stored_online(store, VIEW, SYMBOLS)[names]) == bits(rows[names])


def test_an_older_row_is_refused_and_one_of_the_same_time_replaces(store, rows, names):
    write_newest(store, VIEW, rows)
    older = rows.assign(available_at=rows["available_at"] - pd.Timedelta("1us"), **{names[0]: 7.0})
    assert write_newest(store, VIEW, older) == 0
    assert bits(stored_online(store, VIEW, SYMBOLS)[names]) == bits(rows[names])
    corrected = rows.assign(**{names[0]: 5.0})
    mixed = pd.concat([corrected.iloc[:1], older.iloc[1:2]])
    assert write_newest(store, VIEW, mixed) == 1
    assert (stored_online(store, VIEW, SYMBOLS)[names[0]] == 5.0).tolist() == [True, False, False]
    newer = rows.assign(available_at=rows["available_at"] + pd.Timedelta("1us"), **{names[0]: 9.0})
    assert write_newest(store, VIEW, newer) == len(SYMBOLS)
    found = stored_online(store, VIEW, SYMBOLS)
    assert found["available_at"].tolist() == newer["available_at"].tolist()


def test_of_many_rows_the_newest_goes_online_whatever_their_order(store, configuration, names):
    many = gold_rows(configuration, SYMBOLS, START, 100)
    newest = many.groupby("instrument").tail(1)
    assert write_newest(store, VIEW, many.sample(frac=1, random_state=3)) == len(SYMBOLS)
    assert bits(stored_online(store, VIEW, SYMBOLS)[names]) == bits(newest[names])


def test_a_row_replaces_whole(store, rows, names):
    """A feature that the newer row has not is missing, not left over from an older time."""
    write_newest(store, VIEW, rows.assign(**{names[0]: 1.0}))
    later = rows.assign(available_at=rows["available_at"] + HOUR).drop(columns=names[0])
    assert write_newest(store, VIEW, later) == len(SYMBOLS)
    assert stored_online(store, VIEW, SYMBOLS)[names[0]].isna().all()


def test_a_row_of_fewer_features_replaces_whole_too(store, names):
    """A batch, from Feast's push or our own, may hold a part of the view; other views' rows stay."""
    backend, key = guarded(store), [entity_key("EUR_USD")]
    other = names[1]

    def write(view: str, time: int, **values: float) -> None:
        backend.write(view, Batch(key, [time], list(values), cells(np.array([list(values.values())]))))

    write("lags", 1, **{name: 8.0 for name in ("log_return_1_lag1", "log_return_1_lag2")})
    write(VIEW, 10_000_000, **{names[0]: 1.0, other: 2.0})
    write(VIEW, 20_000_000, **{names[0]: 3.0})
    (row,) = backend.read(VIEW, key, names)
    assert row is not None
    assert (row[0], {name: number(value) for name, value in row[1].items()}) == (20_000_000, {names[0]: 3.0})
    assert np.isnan(stored_online(store, VIEW, ["EUR_USD"])[other].iloc[0])
    write(VIEW, 30_000_000, **{other: 4.0})
    assert [set(found[1]) for found in backend.read(VIEW, key, names) if found] == [{other}]
    assert stored_online(store, "lags", ["EUR_USD"])["log_return_1_lag2"].iloc[0] == 8.0


def test_an_instrument_that_was_never_written_is_missing(store, rows, names):
    write_newest(store, VIEW, rows.iloc[:1])
    found = read_online(store, VIEW, ["EUR_USD", "XAU_USD"])
    assert found["available_at"].isna().tolist() == [False, True]
    assert found[names].iloc[1].isna().all()
    assert found["age_s"].isna().tolist() == [False, True]
    assert guarded(store).times(VIEW, ["XAU_USD"]) == [None]


def test_a_view_that_is_not_registered_is_told_with_the_remedy(store, rows):
    with pytest.raises(MissingData, match=r"no view nonsense\. Materialize feature_registry"):
        write_newest(store, "nonsense", rows)


def test_a_row_older_than_its_ttl_is_not_answered_with(store, rows, names, monkeypatch):
    write_newest(store, VIEW, rows)
    closes = rows["available_at"].iloc[0]
    for age, expired in (("0s", False), ("2h", False), ("2h1us", True), ("30h", True)):
        moment = closes + pd.Timedelta(age)
        monkeypatch.setenv("FX_CLOCK", moment.isoformat())
        found = read_online(store, VIEW, SYMBOLS)
        assert found["expired"].tolist() == [expired] * len(SYMBOLS)
        assert found["age_s"].tolist() == [pd.Timedelta(age).total_seconds()] * len(SYMBOLS)
        assert found[names].isna().all(axis=None) == expired
        assert found["available_at"].tolist() == rows["available_at"].tolist()


def test_a_row_of_the_future_is_not_answered_with(store, rows, names, monkeypatch):
    write_newest(store, VIEW, rows)
    monkeypatch.setenv("FX_CLOCK", (rows["available_at"].iloc[0] - pd.Timedelta("1us")).isoformat())
    found = read_online(store, VIEW, SYMBOLS)
    assert found["expired"].all()
    assert (found["age_s"] == -1e-6).all()
    assert found[names].isna().all(axis=None)
    assert bits(stored_online(store, VIEW, SYMBOLS)[names]) == bits(rows[names])


def test_feasts_own_reading_leaves_out_what_may_not_be_predicted_with(store, configuration, rows, monkeypatch):
    """Several views in one request, which Feast reads differently from one, and each by its own time to live."""
    listed = views(configuration)
    asked = {view: names[-1] for view, names in listed.items() if view in (VIEW, "news_signals")}
    for view in asked:
        write_newest(store, view, rows)
    for age, there in (
        ("-1us", []),
        ("0s", [VIEW, "news_signals"]),
        ("2h", [VIEW, "news_signals"]),
        ("2h1us", ["news_signals"]),
        ("6h1us", []),
    ):
        monkeypatch.setenv("FX_CLOCK", (rows["available_at"].iloc[0] + pd.Timedelta(age)).isoformat())
        refs = [f"{view}:{name}" for view, name in asked.items()]
        entities = [{"instrument": symbol} for symbol in [*SYMBOLS, "XAU_USD"]]
        whole = store.get_online_features(features=refs, entity_rows=entities).to_df().set_index("instrument")
        single = [store.get_online_features(features=[ref], entity_rows=entities).to_df() for ref in refs]
        for answer in (whole, *(frame.set_index("instrument") for frame in single)):
            for view, name in asked.items():
                if name in answer:
                    wanted = rows[name].where(rows[name].notna() & (view in there), np.nan)
                    assert bits(answer.loc[SYMBOLS, name].astype("float64")) == bits(wanted), (age, view)
                    assert pd.isna(answer.loc["XAU_USD", name])


def race(home: Path, environment: dict[str, str], kind: str, first: int, count: int) -> None:
    """Write every second time of a range, newest first in blocks of ten; all features hold the time's number."""
    os.environ |= environment
    backend = online_store(home, configured(kind))
    names = [str(n) for n in range(40)]
    for block in range(0, count, 10):
        for second in reversed(range(first + 2 * block, first + 2 * (block + 10), 2)):
            values = np.full((len(SYMBOLS), len(names)), float(second))
            keys = [entity_key(symbol) for symbol in SYMBOLS]
            backend.write(VIEW, Batch(keys, [second * 1_000_000] * len(SYMBOLS), names, cells(values)))


def test_of_two_processes_that_race_the_newest_wins_whole(store, configuration, tmp_path):
    kind, count = configuration.data.feature_store.online, 300
    environment = {"FX_REDIS_URL": os.environ.get("FX_REDIS_URL", "")}
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(target=race, args=(tmp_path, environment, kind, first, count))
        for first in (1_000_000, 1_000_001)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
    last = 1_000_001 + 2 * (count - 1)
    backend = guarded(store)
    assert backend.times(VIEW, SYMBOLS) == [last * 1_000_000] * len(SYMBOLS)
    stored = _values(backend, SYMBOLS)
    assert stored == [{str(n): float(last) for n in range(40)}] * len(SYMBOLS)


def _values(backend: SqliteOnline | RedisOnline, symbols: list[str]) -> list[dict[str, float]]:
    """What the racing writers stored."""
    found = backend.read(VIEW, [entity_key(symbol) for symbol in symbols], [str(n) for n in range(40)])
    return [{name: number(value) for name, value in row[1].items()} for row in found if row is not None]


@pytest.mark.parametrize("kept", [True, False], ids=["append-only file kept", "everything forgotten"])
def test_redis_restarted(redis, tmp_path, monkeypatch, kept):
    monkeypatch.setenv("FX_REDIS_URL", redis.url)
    configuration = configured("redis")
    names, rows = views(configuration)[VIEW], gold_rows(configuration, SYMBOLS, START, 1)
    redis.client().flushall()
    store = open_store(tmp_path, configuration)
    apply(store, tmp_path / "lake", configuration)
    write_newest(store, VIEW, rows)
    redis.kill()
    with pytest.raises(StoreError, match=r"redis 127\.0\.0\.1:\d+/0: .*Start Redis or mend FX_REDIS_URL"):
        stored_online(store, VIEW, SYMBOLS)
    redis.start(empty=not kept)
    older = rows.assign(available_at=rows["available_at"] - HOUR)
    assert write_newest(store, VIEW, older) == (0 if kept else len(SYMBOLS))
    assert write_newest(store, VIEW, rows) == len(SYMBOLS)
    assert bits(stored_online(store, VIEW, SYMBOLS)[names]) == bits(rows[names])


def test_redis_killed_in_the_middle_of_writing_recovers(redis, tmp_path, monkeypatch):
    """Whatever was acknowledged is there, nothing is torn, and the next materialization makes it whole."""
    monkeypatch.setenv("FX_REDIS_URL", redis.url)
    configuration, lake = configured("redis"), Lake(tmp_path / "lake")
    redis.client().flushall()
    symbols = [f"AA{a}_BB{b}" for a in "ABCDEFGH" for b in "ABCDEFGH"]
    gold = write_gold(lake, configuration, symbols, START, 3)
    store = open_store(tmp_path, configuration)
    apply(store, lake.root, configuration)
    killer = threading.Timer(0.3, redis.kill)
    acknowledged: dict[str, pd.Timestamp] = {}
    hours = sorted(gold["available_at"].unique())
    killer.start()

    def write_until_killed() -> None:
        for moment in hours * 1000:
            rows = gold[gold["available_at"] == moment]
            for view in views(configuration):
                write_newest(store, view, rows)
                acknowledged[view] = max(moment, acknowledged.get(view, moment))

    with pytest.raises(StoreError, match="nothing older replaces what is there"):
        write_until_killed()
    killer.join()
    redis.start()
    for view, moment in acknowledged.items():
        assert min(time or 0 for time in guarded(store).times(view, symbols)) >= moment.value // 1000
    for view, names in views(configuration).items():
        found = stored_online(store, view, symbols).set_index(["instrument", "available_at"])
        known = gold.set_index(["instrument", "available_at"]).reindex(found.index)
        assert bits(found[names]) == bits(known[names])  # each row whole, of its own time
    assert set(materialize(store, lake, configuration).values()) == {len(symbols)}
    newest = gold.groupby("instrument").tail(1).set_index("instrument").loc[symbols]
    for view, names in views(configuration).items():
        assert bits(stored_online(store, view, symbols)[names]) == bits(newest[names])


def test_times_are_encoded_as_protobuf_does():
    from google.protobuf.timestamp_pb2 import Timestamp

    for time in (0, 1, 999_999, 1_000_000, 1_614_556_800_000_000, 1_614_556_800_000_001, 253_402_300_799_999_999):
        stamp = Timestamp()
        stamp.FromMicroseconds(time)
        assert timestamp(time) == stamp.SerializeToString()
        assert micros(timestamp(time)) == time


def test_a_time_before_1970_is_refused(store, rows):
    with pytest.raises(DataError, match="lies before 1970"):
        write_newest(store, VIEW, rows.assign(available_at=pd.Timestamp("1969-12-31T23:00Z")))
