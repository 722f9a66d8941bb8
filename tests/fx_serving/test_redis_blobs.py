"""The store of feature blobs: one contract over the folder and a real Redis, and what only Redis can do wrong."""

import random
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import timedelta

import msgspec
import pytest

from fx_serving.client.blob_store import BlobStoreError, FolderBlobs, open_blobs
from fx_serving.client.redis_blobs import INDEX, RedisBlobs, blob_key
from fx_serving.client.snapshot import BlobError, FeatureBlob
from fx_serving.config import ConfigError, load_config
from tests.servers.redis import NotRedis, RedisServer
from tests.servers.serving import CLOCK

PAIR = ("market_features", "EUR_USD")
KEY = blob_key(*PAIR)
PASSWORD = "hunter2hunter2"


def blob(hours: float = 0, value: float = 1.0, pair=PAIR, rows: int = 3) -> FeatureBlob:
    """A blob whose newest row is `hours` after CLOCK."""
    newest = CLOCK + timedelta(hours=hours)
    return FeatureBlob.build(
        pair[0], pair[1], ["a", "b"], [(newest - timedelta(hours=i), [value, None]) for i in range(rows)]
    )


@pytest.fixture(scope="module")
def server(program, tmp_path_factory):
    folder = tmp_path_factory.mktemp("redis")
    with RedisServer(folder, program("redis-server", "redis-server"), PASSWORD) as running:
        yield running


@pytest.fixture
def redis(server):
    """The blobs of an empty Redis."""
    server.client().flushall()
    with closing(RedisBlobs(server.url)) as store:
        yield store


@pytest.fixture(params=["folder", pytest.param("redis", marks=pytest.mark.server)])
def store(request, tmp_path):
    return FolderBlobs(tmp_path / "features") if request.param == "folder" else request.getfixturevalue("redis")


class TestContract:
    def test_what_is_published_is_read(self, store):
        assert store.scan() == {}
        first, second = blob(), blob(pair=("news_signals", "GBP_USD"))
        assert store.publish(first)
        assert store.publish(second)
        assert store.scan().keys() == {PAIR, ("news_signals", "GBP_USD")}
        assert store.read(*PAIR) == first
        assert store.read("news_signals", "GBP_USD") == second

    def test_an_older_blob_never_replaces_a_newer_one(self, store):
        assert store.publish(blob(0))
        marks = store.scan()
        assert not store.publish(blob(-0.001, value=9))
        assert not store.publish(blob(rows=0))
        assert store.scan() == marks
        assert store.read(*PAIR) == blob_like(store, blob(0))

    def test_a_revision_of_the_newest_row_replaces_and_changes_the_mark(self, store):
        store.publish(blob(0, value=1))
        marks = store.scan()
        assert store.publish(blob(0, value=2))
        assert store.scan()[PAIR] != marks[PAIR]
        assert store.read(*PAIR).rows[-1].values == [2.0, None]

    def test_a_blob_without_rows_is_replaced(self, store):
        assert store.publish(blob(rows=0))
        assert store.read(*PAIR).newest is None
        assert store.publish(blob(-100))

    def test_publishers_at_once_leave_the_newest(self, store, server_url):
        hours = [h / 10 for h in range(40)] * 2
        random.Random(4).shuffle(hours)

        def publish(part):
            mine = FolderBlobs(store.folder) if store.kind == "folder" else RedisBlobs(server_url())
            for hour in part:
                mine.publish(blob(hour))

        threads = [threading.Thread(target=publish, args=(hours[i::4],)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.read(*PAIR).newest == CLOCK + timedelta(hours=3.9)

    def test_what_is_removed_is_published_no_more(self, store):
        other = (PAIR[0], "GBP_USD")
        store.publish(blob(5))
        store.publish(blob(pair=other))
        store.remove(*PAIR)
        store.remove(*PAIR)
        assert store.scan().keys() == {other}
        with pytest.raises(BlobError, match="no such feature blob"):
            store.read(*PAIR)
        assert store.publish(blob(0)), "nothing newer is left"

    def test_the_version_of_the_code_comes_back_and_changes_the_mark(self, store):
        marks = []
        for code in (None, "2", "3"):
            assert store.publish(msgspec.structs.replace(blob(), code=code))
            assert store.read(*PAIR).code == code
            marks.append(store.scan()[PAIR])
        assert len(set(marks)) == 3

    def test_missing_and_misnamed(self, store):
        with pytest.raises(BlobError, match="no such feature blob"):
            store.read(*PAIR)
        with pytest.raises(BlobError, match="not a valid"):
            store.read("..", "EUR_USD")


def blob_like(store, wanted: FeatureBlob) -> FeatureBlob:
    """What the store holds, if its content is that of `wanted` (the time of publication differs)."""
    held = store.read(wanted.view, wanted.instrument)
    assert held.version == wanted.version
    return held


@pytest.fixture
def server_url(request):
    return lambda: request.getfixturevalue("server").url


@pytest.mark.server
class TestRedis:
    def test_a_poll_is_one_call(self, server, redis):
        for number in range(50):
            redis.publish(blob(pair=(f"view_{number % 5}", f"PAIR_{number}")))
        before = server.client().info("commandstats")["cmdstat_hgetall"]["calls"] if redis.scan() else 0
        assert len(redis.scan()) == 50
        assert server.client().info("commandstats")["cmdstat_hgetall"]["calls"] == before + 1

    def test_a_lost_index_is_mended_by_the_next_publication(self, server, redis):
        redis.publish(blob(0))
        server.client().delete(INDEX)
        assert redis.scan() == {}
        assert not redis.publish(blob(-1)), "the index is lost, the newer blob is not"
        assert redis.scan() == {PAIR: blob(0).version}

    @pytest.mark.parametrize("harm", ["type", "index type", "no content", "newest"])
    def test_what_is_no_blob_is_replaced(self, server, redis, harm):
        redis.publish(blob(0))
        client = server.client()
        if harm == "type":
            client.delete(KEY)
            client.set(KEY, "junk")
        elif harm == "index type":
            client.delete(INDEX)
            client.set(INDEX, "junk")
        elif harm == "no content":
            client.hdel(KEY, "json")
        else:
            client.hset(KEY, "newest", "junk")
        newer = 1 if harm == "index type" else -1
        assert redis.publish(blob(newer))
        assert redis.scan() == {PAIR: blob(newer).version}
        assert redis.read(*PAIR).newest == CLOCK + timedelta(hours=newer)

    def test_altered_content_is_refused(self, server, redis):
        redis.publish(blob(0))
        content = server.client().hget(KEY, "json")
        for altered in (content.replace(b"1.0", b"1.5"), content[:-9], b"\xff\xfe", b"", b"[]"):
            server.client().hset(KEY, "json", altered)
            with pytest.raises(BlobError, match=KEY):
                redis.read(*PAIR)
        redis.publish(blob(0, pair=("market_features", "GBP_USD")))
        server.client().hset(KEY, "json", server.client().hget(blob_key("market_features", "GBP_USD"), "json"))
        with pytest.raises(BlobError, match="holds market_features/GBP_USD"):
            redis.read(*PAIR)

    def test_publishing_outlives_a_restart(self, server, redis):
        redis.publish(blob(0))
        server.kill()
        timer = threading.Timer(0.5, server.start)
        timer.start()
        assert redis.publish(blob(1))
        timer.join()
        assert not redis.publish(blob(0)), "what was acknowledged is on disk"

    def test_a_hung_server_is_not_waited_for(self, server, redis):
        redis.publish(blob(0))
        server.pause()
        try:
            started = time.monotonic()
            with pytest.raises(BlobStoreError, match="does not answer in time"):
                redis.scan()
            assert time.monotonic() - started < 3
        finally:
            server.resume()
        assert redis.scan()

    def test_no_error_tells_the_address(self, server, redis, monkeypatch):
        wrong = RedisBlobs(server.url.replace(PASSWORD, "swordfish1"))
        none = RedisBlobs(server.url.replace(f":{PASSWORD}@", ""))
        with NotRedis(b"-ERR unknown command 'AUTH', with args beginning with: 'hunter2hunter2'\r\n") as other:
            port = other.port
            reject = RedisBlobs(f"redis://:{PASSWORD}@127.0.0.1:{port}/0")
            errors = [caught(store.scan) for store in (wrong, none, reject)]
        errors.append(caught(lambda: RedisBlobs(f"redis://:{PASSWORD}@127.0.0.1:{port}/0").publish(blob())))
        for url in (f"redis://:{PASSWORD}@host:port/0", f"http://{PASSWORD}", f"redis://:{PASSWORD}@h:99999999/0"):
            monkeypatch.setenv("FX_REDIS_URL", url)
            errors.append(caught(lambda: RedisBlobs.from_environment().scan()))
        for error in errors:
            told = f"{error!r} {error} {error.__cause__!r} {'' if error.__suppress_context__ else error.__context__!r}"
            for secret in (PASSWORD, "swordfish1", "127.0.0.1", str(port)):
                assert secret not in told
        assert "refuses the user or password" in str(errors[0])
        assert "FX_REDIS_URL" in str(errors[-1])

    @pytest.mark.parametrize(
        "answer",
        [b"\x00\x01\x02\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+OK\r\n", b":7\r\n", b"*1\r\n$3\r\nabc\r\n"],
    )
    def test_whatever_answers_is_an_error_of_the_store(self, answer):
        with NotRedis(answer) as other, pytest.raises(BlobStoreError, match="Redis "):
            RedisBlobs(f"redis://127.0.0.1:{other.port}/0").scan()


def caught(call) -> BlobStoreError:
    with pytest.raises(BlobStoreError) as found:
        call()
    return found.value


class TestChoice:
    def test_the_folder_is_the_default(self, stores):
        store = open_blobs(stores)
        assert store.kind == "folder"
        assert store.publish(blob())
        assert FeatureBlob.read(stores.features / "market_features" / "EUR_USD.json").version == blob().version

    def test_serving_yaml_chooses(self, stores, monkeypatch):
        configure(stores, "feature_blobs: redis")
        monkeypatch.delenv("FX_REDIS_URL", raising=False)
        with pytest.raises(BlobStoreError, match=r"FX_REDIS_URL.*Set it, or set feature_blobs: folder"):
            open_blobs(stores)
        monkeypatch.setenv("FX_REDIS_URL", "redis://127.0.0.1:1/0")
        assert open_blobs(stores).kind == "redis"
        assert open_blobs(stores, "folder").kind == "folder"
        assert load_config(stores.home).feature_blobs == "redis"

    def test_a_wrong_choice_is_named(self, stores):
        path = configure(stores, "feature_blobs: memcached")
        with pytest.raises(BlobStoreError, match=f"{path}: feature_blobs: 'memcached'"):
            open_blobs(stores)
        with pytest.raises(ConfigError, match="feature_blobs"):
            load_config(stores.home)

    def test_the_extra_is_named_where_it_is_missing(self):
        code = (
            "import sys; sys.modules['redis'] = None\n"
            "from fx_serving.client.redis_blobs import RedisBlobs\n"
            "try: RedisBlobs('redis://127.0.0.1:1/0')\n"
            "except Exception as error: print(type(error).__name__, error)"
        )
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert told.startswith("BlobStoreError")
        assert "fx-platform[redis]" in told

    def test_a_service_without_it_does_not_load_it(self):
        code = "import sys, fx_serving.dataplane.worker, fx_serving.client.redis_blobs; print('redis' in sys.modules)"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert told.strip() == "False"

    def test_fx_serve_says_what_is_missing(self, stores):
        configure(stores, "feature_blobs: redis")
        command = [sys.executable, "-m", "fx_serving.cli", "serve", "--home", str(stores.home), "--port", "0"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=240)
        assert ended.returncode == 1
        assert "FX_REDIS_URL" in ended.stderr


def configure(stores, line: str):
    path = stores.home / "config" / "serving.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(line + "\n")
    return path
