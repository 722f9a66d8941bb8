"""Redis killed, hung, emptied or talking nonsense while features are published and predictions asked.

Workers go on from what they read last, with its true age, until the age limit; then a clear 503; and recover by
themselves. Nothing older ever replaces newer, neither in Redis nor in a worker.
"""

import itertools
import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fx_serving.client.blob_store import BlobStoreError
from fx_serving.client.clock import parse_utc, to_iso
from fx_serving.client.http import ServiceError, ServingClient
from fx_serving.client.redis_blobs import INDEX, RedisBlobs, blob_key
from tests.counts import count
from tests.servers.redis import NotRedis, RedisServer
from tests.servers.serving import CLOCK, Service, feature_blobs, make_bundle, start_service, wait_until

pytestmark = [pytest.mark.server, pytest.mark.slow]
PASSWORD = "hunter2hunter2"
LIMIT_S = 7200  # of market_features, in the bundle that `make_bundle` writes
STARTED = datetime.now(UTC)


def data_now() -> datetime:
    """What the service's clock says: it began at CLOCK when this module was loaded, and goes on."""
    return CLOCK + (datetime.now(UTC) - STARTED)


@pytest.fixture(scope="module")
def server(program, tmp_path_factory) -> Iterator[RedisServer]:
    folder = tmp_path_factory.mktemp("redis")
    with RedisServer(folder, program("redis-server", "redis-server"), PASSWORD) as running:
        yield running


@pytest.fixture(scope="module")
def service(server, tmp_path_factory) -> Iterator[Service]:
    """Two workers that read their features from Redis, version 1 deployed."""
    options: dict[str, Any] = {
        "settings": {"feature_blobs": "redis"},
        "environment": {"FX_REDIS_URL": server.url},
        "clock": f"{to_iso(CLOCK)}@{to_iso(STARTED)}",
    }
    home = tmp_path_factory.mktemp("home")
    with start_service(home, 2, **options) as running:
        publish(server, data_now())
        make_bundle(running.stores, "1")
        running.deploy("1")
        yield running
        assert PASSWORD not in (home / "serve.log").read_text()


def publish(server: RedisServer, newest: datetime) -> None:
    with closing(RedisBlobs(server.url)) as store:
        for blob in feature_blobs(newest):
            store.publish(blob)


@pytest.fixture(autouse=True)
def well(server, clients):
    """Redis runs, and both workers answer from rows no older than this moment."""
    if server.process is None:
        server.start()
    moment = data_now()
    publish(server, moment)
    wait_until(lambda: all(parse_utc(a["feature_time"]) >= moment for a in ask(clients)))
    wait_until(lambda: all(state["status"] == "ok" for state in states(clients)))


def pinned(service: Service) -> dict[str, ServingClient]:
    """A client for each worker: a connection that is kept open stays with the worker that accepted it."""
    found: dict[str, ServingClient] = {}
    for _ in range(200):
        client = ServingClient(service.url, timeout_s=20)
        worker = client.health()["worker"]
        if worker in found:
            client.close()
        else:
            found[worker] = client
        if len(found) == 2:
            return found
    raise AssertionError(f"only {sorted(found)} accept connections")


@pytest.fixture(scope="module")
def clients(service) -> Iterator[list[ServingClient]]:
    found = pinned(service)
    yield list(found.values())
    for client in found.values():
        client.close()


def ask(clients: list[ServingClient]) -> list[dict]:
    """One prediction of each worker."""
    return [client.predict("GBP_USD") for client in clients]


def states(clients: list[ServingClient]) -> list[dict]:
    """What each worker says of the feature store."""
    return [client.health()["components"]["feature_store"] for client in clients]


def all_say(clients: list[ServingClient], text: str) -> bool:
    return all(text in state.get("reason", "") for state in states(clients))


def refusal(service: Service) -> ServiceError | None:
    try:
        service.client.predict("GBP_USD")
    except ServiceError as error:
        return error
    return None


class Publisher:
    """Publishes without end: rows that get newer, and, as a second refresher that lags behind, older ones."""

    def __init__(self, server: RedisServer) -> None:
        self.server, self.newest, self.refused = server, data_now(), 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(lag,)) for lag in (0, 1800)]

    def _run(self, lag_s: float) -> None:
        with closing(RedisBlobs(self.server.url)) as store:
            while not self._stop.is_set():
                moment = data_now()
                try:
                    stored = [store.publish(b) for b in feature_blobs(moment - timedelta(seconds=lag_s))]
                except BlobStoreError:
                    continue  # a refresher is run again by its schedule
                self.refused += stored.count(False)
                if lag_s == 0 and all(stored):
                    self.newest = moment

    def __enter__(self) -> "Publisher":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


class Asking:
    """Predictions from each worker without a pause, until the block ends."""

    def __init__(self, service: Service) -> None:
        self.clients = pinned(service)
        self.answers: dict[str, list[dict]] = {worker: [] for worker in self.clients}
        self.failures: list[Exception] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(worker,)) for worker in self.clients]

    def _run(self, worker: str) -> None:
        while not self._stop.is_set():
            try:
                self.answers[worker].append(self.clients[worker].predict("GBP_USD"))
            except ServiceError as error:
                self.failures.append(error)
            time.sleep(0.005)

    def __enter__(self) -> "Asking":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for client in self.clients.values():
            client.close()


def test_killed_while_publishing_and_predicting(service, server, clients):
    rng = random.Random(11)
    with Publisher(server) as publisher, Asking(service) as asking:
        for number in range(count("redis_kills")):
            time.sleep(rng.uniform(0.3, 0.8))
            server.kill()
            before = {worker: len(answers) for worker, answers in asking.answers.items()}
            wait_until(lambda: all_say(clients, "Redis cannot be reached"))
            wait_until(lambda b=before: all(len(asking.answers[worker]) > b[worker] + 20 for worker in b))
            server.start(empty=number % 2 == 1)
            moment = data_now()
            wait_until(lambda m=moment: publisher.newest > m)
            wait_until(lambda m=moment: all(parse_utc(a["feature_time"]) >= m for a in ask(clients)))
    assert asking.failures == []
    assert publisher.refused, "the lagging publisher was never refused: this test shows nothing"
    for answers in asking.answers.values():
        times = [parse_utc(answer["feature_time"]) for answer in answers]
        assert all(before <= after for before, after in itertools.pairwise(times)), "a worker went back in time"
        ages = [(parse_utc(a["timestamp"]) - t).total_seconds() for a, t in zip(answers, times, strict=True)]
        assert [answer["feature_age_s"] for answer in answers] == pytest.approx(ages)
        assert max(ages) > 0.5, "nothing was answered while Redis was away"
    with closing(RedisBlobs(server.url)) as store:
        assert store.read("market_features", "GBP_USD").newest == publisher.newest


def test_health_says_what_and_since_when(server, clients):
    killed = datetime.now(UTC)
    server.kill()
    wait_until(lambda: all_say(clients, "Redis cannot be reached; what was read last is served up to its age limit"))
    first = [answer["feature_age_s"] for answer in ask(clients)]
    time.sleep(1)
    for before, after in zip(first, ask(clients), strict=True):
        assert before + 0.9 < after["feature_age_s"] < before + 20
    for state in states(clients):
        assert (state["status"], state["store"]) == ("degraded", "redis")
        assert killed <= parse_utc(state["since"]) <= datetime.now(UTC)
    assert all(client.ready() for client in clients)
    server.start()
    wait_until(lambda: all(state["status"] == "ok" and "since" not in state for state in states(clients)))


@contextmanager
def another(server: RedisServer, home: Path, clock: str) -> Iterator[Service]:
    """A service of its own, started without features, version 1 deployed."""
    settings, environment = {"feature_blobs": "redis"}, {"FX_REDIS_URL": server.url}
    with start_service(home, settings=settings, environment=environment, clock=clock) as running:
        make_bundle(running.stores, "1")
        running.deploy("1")
        yield running


def test_never_had_one_then_stale_then_recovered(server, tmp_path):
    server.kill()
    started = datetime.now(UTC)
    with another(server, tmp_path, clock=f"{to_iso(CLOCK)}@{to_iso(started)}") as service:
        error = refusal(service)
        assert error is not None
        assert error.status == 503
        assert "market_features/GBP_USD: none published" in error.detail
        assert "The feature store is degraded since" in error.detail
        assert "Redis cannot be reached" in error.detail

        server.start(empty=True)
        limit = CLOCK + (datetime.now(UTC) - started) + timedelta(seconds=4)  # when the rows become too old
        publish(server, limit - timedelta(seconds=LIMIT_S))
        wait_until(lambda: refusal(service) is None)
        server.kill()
        ages = []
        while (error := refusal(service)) is None:
            ages.append(service.client.predict("GBP_USD")["feature_age_s"]) if len(ages) < 3 else time.sleep(0.02)
        assert LIMIT_S - 5 < ages[0] < ages[-1] <= LIMIT_S
        assert CLOCK + (datetime.now(UTC) - started) >= limit
        assert error.status == 503
        assert "market_features/GBP_USD: stale" in error.detail
        assert f"the limit is {LIMIT_S} s" in error.detail
        wait_until(lambda: "Redis cannot be reached" in str(refusal(service)))
        assert service.client.health()["components"]["feature_store"]["status"] == "degraded"

        server.start()
        publish(server, CLOCK)
        assert wait_until(lambda: refusal(service) is None)
        wait_until(lambda: service.client.health()["components"]["feature_store"]["status"] == "ok")
        assert PASSWORD not in (tmp_path / "serve.log").read_text()


def test_no_request_waits_for_a_hung_redis(server, clients):
    server.pause()
    slowest = 0.0
    try:
        wait_until(lambda: all_say(clients, "does not answer in time"))
        for number in range(200):
            started = time.monotonic()
            clients[number % 2].predict("GBP_USD")
            slowest = max(slowest, time.monotonic() - started)
            time.sleep(0.01)
    finally:
        server.resume()
    assert slowest < 0.9, "one read of Redis is given up after a second"


def test_emptied_and_altered_blobs_leave_the_last_snapshot(server, clients):
    before = ask(clients)[0]["feature_time"]
    client = server.client()
    client.flushall()
    wait_until(lambda: all_say(clients, "no longer in the store"))
    assert {answer["feature_time"] for answer in ask(clients)} == {before}

    publish(server, parse_utc(before) - timedelta(minutes=5))
    wait_until(lambda: all_say(clients, "older in the store"))
    assert {answer["feature_time"] for answer in ask(clients)} == {before}

    key = blob_key("market_features", "GBP_USD")
    for field, junk in ((b"json", b"\xff junk"), (b"json", b"{}"), (b"newest", b"junk")):
        client.hset(key, field, junk)
        client.hset(INDEX, "market_features:GBP_USD", junk)
        wait_until(lambda: all_say(clients, "market_features/GBP_USD: corrupt"))
        assert {answer["feature_time"] for answer in ask(clients)} == {before}
    client.set(INDEX, "junk")
    wait_until(lambda: all_say(clients, "WRONGTYPE"))
    assert {answer["feature_time"] for answer in ask(clients)} == {before}


def test_a_server_that_is_no_redis(server, clients):
    before = ask(clients)[0]["feature_time"]
    for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"*1\r\n$1\r\na\r\n"):
        server.stop()
        with NotRedis(answer, server.port) as other:
            wait_until(lambda o=other: o.heard > 4)
            assert all_say(clients, "what was read last is served up to its age limit")
            assert {a["feature_time"] for a in ask(clients)} == {before}
        server.start()
        wait_until(lambda: all(state["status"] == "ok" for state in states(clients)))
