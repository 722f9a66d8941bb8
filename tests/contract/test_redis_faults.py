"""Redis that refuses, is full, or is given a wrong address: told in words with the remedy, and without the password."""

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import numpy as np
import pandas as pd
import pytest

from fx_assets.errors import ConfigError, StoreError
from fx_assets.feature_store.encoding import Batch, cells, entity_key
from fx_assets.feature_store.online import write_newest
from fx_assets.feature_store.redis_online import RedisOnline
from fx_assets.feature_store.repository import apply, open_store
from fx_serving.client.blob_store import BlobStoreError
from fx_serving.client.redis_blobs import RedisBlobs
from tests.contract.test_online_stores import PASSWORD, START, SYMBOLS, VIEW, configured
from tests.fx_assets.feature_store.gold import gold_rows
from tests.servers.redis import RedisServer


@pytest.fixture(scope="module")
def redis(program, tmp_path_factory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), program("redis-server", "redis-server"), PASSWORD) as server:
        yield server


@pytest.fixture
def told(tmp_path, monkeypatch, rows_of_redis) -> Callable[[str | None], str]:
    """told(url) -> the error of a write and of a read with that FX_REDIS_URL."""
    home, rows = rows_of_redis

    def ask(url: str | None) -> str:
        monkeypatch.delenv("FX_REDIS_URL") if url is None else monkeypatch.setenv("FX_REDIS_URL", url)
        with pytest.raises((ConfigError, StoreError)) as caught:
            write_newest(open_store(home, configured("redis")), VIEW, rows)
        return "".join(traceback.format_exception(caught.value))

    return ask


@pytest.fixture
def rows_of_redis(redis, tmp_path, monkeypatch) -> tuple[Path, pd.DataFrame]:
    monkeypatch.setenv("FX_REDIS_URL", redis.url)
    configuration = configured("redis")
    apply(open_store(tmp_path, configuration), tmp_path / "lake", configuration)
    return tmp_path, gold_rows(configuration, SYMBOLS, START, 1)


def test_a_refused_password_is_told_without_it(redis, told):
    for url in (redis.url.replace(PASSWORD, "wrong-secret"), f"redis://127.0.0.1:{redis.port}/0"):
        words = told(url)
        assert f"127.0.0.1:{redis.port}/0: user or password refused. Mend them in FX_REDIS_URL" in words
        assert "wrong-secret" not in words


def test_a_missing_password_is_told_of_a_long_first_command_too(redis, monkeypatch):
    monkeypatch.setenv("FX_REDIS_URL", f"redis://127.0.0.1:{redis.port}/0")
    names = [str(n) for n in range(500)]
    batch = Batch([entity_key("EUR_USD")], [1], names, cells(np.zeros((1, len(names)))))
    with pytest.raises(StoreError, match=r"user or password refused. Mend them in FX_REDIS_URL"):
        RedisOnline().write(VIEW, batch)


def test_a_full_redis_is_told_with_its_remedy(redis, told):
    client = redis.client()
    client.config_set("maxmemory", 1)
    try:
        words = told(redis.url).splitlines()[-1]
    finally:
        client.config_set("maxmemory", 0)
    assert "Redis is full: raise maxmemory. Then materialize online_features again" in words
    assert "Command #" not in words
    assert "Start Redis" not in words


def test_a_plain_port_asked_for_tls_is_told_soon(redis, told):
    started = monotonic()
    words = told(redis.url.replace("redis://", "rediss://")).splitlines()[-1]
    assert monotonic() - started < 8
    assert "does not speak TLS" in words
    assert PASSWORD not in words


def test_a_missing_variable_is_named(told):
    assert "FX_REDIS_URL: not set" in told(None)


@pytest.mark.parametrize(
    "url",
    [
        "http://:hunter2-hunter2@host",
        "redis://:hunter2-hunter2@host:port/0",
        "nonsense",
        "redis://:12/hunter2-hunter2@host:6379/0",
        "redis://bob:12/hunter2-hunter2@host:6379/0",
        "redis://bob:12?hunter2-hunter2@host:6379/0",
        "redis://bob:12#hunter2-hunter2@host:6379/0",
        "redis:///0",
        "redis://127.0.0.1:1/0?nonsense=hunter2-hunter2",
        "redis://127.0.0.1:1/0?socket_timeout=hunter2-hunter2",
    ],
)
def test_what_is_no_url_is_told_without_it(told, url):
    words = told(url)
    assert "FX_REDIS_URL: not a Redis URL" in words
    assert PASSWORD not in words
    with pytest.raises(BlobStoreError, match="FX_REDIS_URL: is not the address of a Redis") as caught:
        RedisBlobs.from_environment()
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_no_configuration_or_registry_holds_the_password(redis, rows_of_redis):
    home, _ = rows_of_redis
    store = open_store(home, configured("redis"))
    assert PASSWORD not in repr(store.config) + store.config.model_dump_json()
    assert all(PASSWORD.encode() not in path.read_bytes() for path in home.rglob("*") if path.is_file())
