"""What every store promises, held against each of them: atomic, durable, all or nothing, and honest about failure."""

import os
import random
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from fx_assets.bronze.files import CANDLES, Bronze, Fetch
from fx_assets.errors import StoreError
from fx_assets.storage import Store, open_store
from fx_assets.storage.local import LocalStore
from fx_assets.storage.temporary import STALE_S, target, temporary
from tests.fx_assets.bronze.answers import bars
from tests.servers.faults import dead_url


def temporaries(store: Store) -> list[str]:
    """Hidden files below a store, wherever it keeps them."""
    if isinstance(store, LocalStore):
        return [str(path) for path in store.root.rglob(".*")]
    return [path for path, _ in store._found("") if path.rpartition("/")[2].startswith(".")]  # pyright: ignore


def test_what_is_written_is_read(store):
    store.write("a/b/part.parquet", b"one")
    store.write("a/b/part.parquet", b"two")
    store.write_all({"a/c/x": b"", "a/d/x": b"x" * 300_000})
    assert store.read("a/b/part.parquet") == b"two"
    assert store.read("a/c/x") == b""
    assert store.list("a") == ["a/b/part.parquet", "a/c/x", "a/d/x"]
    assert store.list("") == store.list("a")
    assert store.list("a/d") == ["a/d/x"]
    assert store.list("nothing/here") == []
    assert store.read_all(["a/d/x", "a/missing", "a/b/part.parquet"]) == {
        "a/d/x": b"x" * 300_000,
        "a/b/part.parquet": b"two",
    }
    assert temporaries(store) == []


def test_a_missing_file_raises(store):
    store.write("there", b"x")
    for call in (store.read, lambda path: store.tail(path, 8)):
        with pytest.raises(FileNotFoundError):
            call("a/missing")
    store.delete("a/missing")
    store.delete("there")
    assert store.list("") == []
    with pytest.raises(FileNotFoundError):
        store.read("there")


def test_the_end_of_a_file(store):
    store.write("x", b"0123456789")
    assert (store.tail("x", 3), store.tail("x", 10), store.tail("x", 500)) == (b"789", b"0123456789", b"0123456789")


def test_what_is_staged_is_not_seen_until_it_is_published(store, where):
    store.write("t/one", b"old")
    tokens = store.stage_all({"t/one": b"new", "t/two": b"2"})
    lost = store.stage("t/three", b"3")
    assert [target(token) for token in (*tokens, lost)] == ["t/one", "t/two", "t/three"]
    assert (store.list("t"), store.read("t/one")) == (["t/one"], b"old")
    store.discard([lost])
    open_store(where).publish(tokens)  # as another process would
    assert (store.read("t/one"), store.read("t/two")) == (b"new", b"2")
    assert store.list("") == ["t/one", "t/two"]
    assert temporaries(store) == []
    store.discard([lost, *tokens])
    with pytest.raises(StoreError, match=r"t/three: what was written for it is gone"):
        store.publish([lost])


def test_what_is_created_is_never_replaced(store):
    store.create_all({"b/1": b"one", "b/2": b"two"})
    store.create_all({"b/2": b"two", "b/3": b"three"})
    with pytest.raises(StoreError, match=r"b/2: is there already with other content"):
        store.create_all({"b/2": b"other"})
    assert [store.read(path) for path in store.list("b")] == [b"one", b"two", b"three"]
    assert temporaries(store) == []


def test_bronze_is_the_same_on_every_store(store, tmp_path):
    here, there = Bronze(tmp_path / "reference"), Bronze(store)
    days = [f"2021-03-{day:02}" for day in range(1, 6)]
    fetched_at = datetime(2021, 3, 9, tzinfo=UTC)
    for bronze in (here, there):
        for number in range(2):
            fetches = [Fetch("X", day, "s", bars(f"{day}T22:00Z", close=1.2 + number / 100)) for day in days]
            bronze.append_all(CANDLES, fetches, fetched_at + timedelta(seconds=number))
    assert {path: store.read(path) for path in store.list(CANDLES)} == {
        path: here.store.read(path) for path in here.store.list(CANDLES)
    }
    pd.testing.assert_frame_equal(there.read(CANDLES, days, ["X"]), here.read(CANDLES, days, ["X"]))
    assert there.digests(CANDLES, days, ["X"]) == here.digests(CANDLES, days, ["X"])
    assert len(Bronze(store, fetched_at).read(CANDLES, days, ["X"])) == 5 * 24
    store.write(there.files(CANDLES, days[0], ["X"])[0], b"changed by something else")
    with pytest.raises(StoreError, match="is there already with other content"):
        there.append(CANDLES, "X", days[0], "s", bars(f"{days[0]}T22:00Z", close=1.2), fetched_at)


def test_temporaries_of_the_dead_are_swept_and_those_of_the_living_are_not(store, monkeypatch):
    token = store.stage("t/x", b"left behind")
    store.write("t/y", b"y")
    assert store.sweep("t") == 0
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + STALE_S + 5)
    assert store.sweep("other") == 0
    assert store.sweep("t") == 1
    assert (store.list(""), temporaries(store)) == (["t/y"], [])
    with pytest.raises(StoreError):
        store.publish([token])


def test_names_of_temporaries():
    assert target(temporary("a/session=2021-03-01/part.parquet")) == "a/session=2021-03-01/part.parquet"
    assert target(temporary("plain")) == "plain"
    for wrong in ("a/part.parquet", ".tmp", "a/.x.tmp"):
        with pytest.raises(ValueError, match=r"was not returned by stage"):
            target(wrong)


WRITER = """
import sys
from fx_assets.storage import open_store

store, mine, rounds = open_store(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for number in range(rounds):
    store.write_all({"shared/x": f"{mine} {number} ".encode() * 4000, f"own/{mine}": f"{number}".encode()})
    store.create_all({f"log/{mine}-{number}": mine.encode(), "log/agreed": b"the same"})
"""


def test_two_processes_on_the_same_and_on_different_files(store, where):
    rounds = 40
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, where, name, str(rounds)]) for name in "ab"]
    seen = set()
    try:
        while any(writer.poll() is None for writer in writers):
            content = store.read_all(["shared/x"]).get("shared/x")
            if content is not None:
                words = content.decode().split()
                assert len(words) == 8000
                assert set(words[2:]) == set(words[:2]), "torn"
                seen.add(words[0])
        assert [writer.wait(120) for writer in writers] == [0, 0]
    finally:
        for writer in writers:
            writer.kill()
            writer.wait(120)
    assert seen, "no write was seen while it happened; the test proves nothing"
    assert store.read("own/a") == store.read("own/b") == str(rounds - 1).encode()
    assert len(store.list("log")) == 2 * rounds + 1
    assert temporaries(store) == []


def test_threads_of_one_store(store):
    def write(name: str) -> None:
        for number in range(10):
            store.write_all({f"{name}/{n}": f"{name}{number}".encode() for n in range(4)})

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {path: store.read(path) for path in store.list("")} == {
        f"{name}/{n}": f"{name}9".encode() for name in "abcd" for n in range(4)
    }


@pytest.mark.usefixtures("s3")
def test_a_store_that_is_gone_says_so_without_its_secrets(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", dead_url())
    store = open_store("s3://bucket/lake")
    calls = [
        lambda: store.read("x"),
        lambda: store.read_all(["x", "y"]),
        lambda: store.write("x", b""),
        lambda: store.write_all({"x": b"", "y": b""}),
        lambda: store.create_all({"x": b""}),
        lambda: store.stage("x", b""),
        lambda: store.list(""),
        lambda: store.delete("x"),
        lambda: store.sweep(""),
    ]
    started = time.monotonic()
    for call in random.Random(os.getpid()).sample(calls, 4):
        with pytest.raises(StoreError, match=r"^s3://bucket/lake/.*Check that the store is reachable") as caught:
            call()
        assert "hunter2" not in str(caught.value)
    assert time.monotonic() - started < 60


def test_a_bucket_that_does_not_exist_is_no_empty_store(s3):
    store = open_store(s3() + "-not/lake")
    for call in (lambda: store.list(""), lambda: store.read("x"), lambda: store.write("x", b"")):
        with pytest.raises(StoreError, match="Create the bucket, or mend the URL"):
            call()


def test_a_store_that_came_back_is_used_again(s3, monkeypatch):
    url = s3()
    alive = os.environ["AWS_ENDPOINT_URL"]
    open_store(url).write("x", b"before")
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", dead_url())
        with pytest.raises(StoreError):
            open_store(url).write("x", b"lost")
    assert os.environ["AWS_ENDPOINT_URL"] == alive
    assert open_store(url).read("x") == b"before"
