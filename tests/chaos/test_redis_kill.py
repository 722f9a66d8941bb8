"""Redis killed with SIGKILL while features are materialized: the run says what is wrong, or gets through by its retry;
nothing older replaces anything newer; what was published stays; the next run makes everything whole.
"""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime

import dagster as dg
import pandas as pd
import pytest

from fx_assets.configuration.data import FeatureStore as Settings
from fx_assets.feature_store.online import guarded, stored_online
from fx_assets.feature_store.repository import open_store
from fx_assets.lake import Lake
from fx_assets.schemas import views
from fx_serving.client.snapshot import FeatureBlob, blob_path
from tests.counts import count
from tests.fx_assets.feature_store.gold import bits, gold_rows
from tests.fx_assets.small import Platform, checks, configuration_of, write_config
from tests.servers.redis import RedisServer

pytestmark = [pytest.mark.slow(50)]

PASSWORD = "hunter2-hunter2"
SYMBOLS = ["GBP_USD", "USD_JPY"]
FIRST = pd.Timestamp("2021-03-01")
PARITY = "online_features/online_equals_offline"


@pytest.fixture
def redis(program, tmp_path, monkeypatch) -> Iterator[RedisServer]:
    with RedisServer(tmp_path, program("redis-server", "redis-server"), PASSWORD) as server:
        monkeypatch.setenv("FX_REDIS_URL", server.url)
        yield server


@pytest.fixture
def platform(redis, tmp_path, monkeypatch) -> Iterator[Platform]:
    """A platform whose online store is Redis, the first session made and online."""
    found = configuration_of(write_config(tmp_path / "config"), monkeypatch)
    settings = Settings.model_validate({"online": "redis"})
    configuration = found.model_copy(update={"data": found.data.model_copy(update={"feature_store": settings})})
    with dg.DagsterInstance.ephemeral() as instance:
        made = Platform(tmp_path / "home", configuration, instance)
        session(made, 0)
        result = made.run(["feature_registry", "online_features"])
        assert checks(result)[PARITY].passed
        yield made


def session(platform: Platform, number: int) -> pd.DataFrame:
    """Write one more session of gold/features."""
    day = f"{FIRST + pd.Timedelta(days=number):%Y-%m-%d}"
    rows = gold_rows(platform.configuration, SYMBOLS, f"{day} 22:00", 24, seed=number)
    Lake(platform.home / "lake").write("gold/features", {day: rows})
    return rows


def killed_when(redis: RedisServer, ready: Callable[[], bool], then: Callable[[], None]) -> threading.Thread:
    """A thread that kills Redis as soon as `ready`, and does `then`."""

    def watch() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not ready():
            time.sleep(0.0005)
        redis.kill()
        then()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def newest_online(platform: Platform) -> dict[str, int]:
    """The oldest of the instruments' event times, by view."""
    backend = guarded(open_store(platform.home, platform.configuration))
    return {v: min(t or 0 for t in backend.times(v, SYMBOLS)) for v in views(platform.configuration)}


def published(platform: Platform) -> dict[str, datetime]:
    folder = platform.home / "serving" / "features"
    return {
        view: min(FeatureBlob.read(blob_path(folder, view, symbol)).rows[-1].time for symbol in SYMBOLS)
        for view in views(platform.configuration)
    }


def test_a_run_whose_redis_dies_and_stays_away_fails_in_words_and_the_next_one_recovers(redis, platform):
    listed, failed = list(views(platform.configuration)), 0
    for round_ in range(1, count("redis_kills") + 1):
        before, blobs = newest_online(platform), published(platform)
        rows = session(platform, round_)
        close = rows["available_at"].max()
        part = listed[round_ % len(listed)]
        backend = guarded(open_store(platform.home, platform.configuration))
        thread = killed_when(
            redis, lambda b=backend, p=part, c=close: c.value // 1000 in b.times(p, SYMBOLS), lambda: None
        )
        result = platform.run(["online_features"], must=False)
        thread.join()
        assert all(published(platform)[view] >= blobs[view] for view in listed)
        if not result.success:
            failed += 1
            told = [event.step_failure_data.error.to_string() for event in result.filter_events(_failed)]
            assert told
            assert all("Start Redis or mend FX_REDIS_URL" in words for words in told)
            assert PASSWORD not in "".join(told)
        redis.start()
        after = newest_online(platform)
        assert all(after[view] >= before[view] for view in listed)
        result = platform.run(["online_features"])
        assert checks(result)[PARITY].passed
        whole(platform, rows)
    assert failed  # else Redis never died in the middle


def test_a_run_whose_redis_comes_back_gets_through_by_its_retry(redis, platform):
    rows = session(platform, 1)
    close = rows["available_at"].max().value // 1000
    backend = guarded(open_store(platform.home, platform.configuration))
    first = next(iter(views(platform.configuration)))

    def again() -> None:
        time.sleep(1.5)
        redis.start()

    thread = killed_when(redis, lambda: close in backend.times(first, SYMBOLS), again)
    result = platform.run(["online_features"])
    thread.join()
    assert result.success
    assert checks(result)[PARITY].passed
    whole(platform, rows)


def test_an_empty_redis_is_filled_again(redis, platform):
    redis.kill()
    redis.start(empty=True)
    assert set(newest_online(platform).values()) == {0}
    store = open_store(platform.home, platform.configuration)
    assert stored_online(store, "technical", SYMBOLS)["available_at"].isna().all()
    assert checks(platform.run(["online_features"]))[PARITY].passed


def whole(platform: Platform, rows: pd.DataFrame) -> None:
    """Every view holds the newest row of each instrument, online and published, to the bit."""
    store = open_store(platform.home, platform.configuration)
    newest = rows.groupby("instrument").tail(1).set_index("instrument").loc[SYMBOLS]
    for view, names in views(platform.configuration).items():
        assert bits(stored_online(store, view, SYMBOLS)[names]) == bits(newest[names])
    assert set(published(platform).values()) == {newest["available_at"].iloc[0]}


def _failed(event: dg.DagsterEvent) -> bool:
    return event.is_step_failure
