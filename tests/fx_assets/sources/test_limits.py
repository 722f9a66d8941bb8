"""Token buckets: never more than the limit in any second, whoever asks, and one bucket for each host."""

import threading
import time

import numpy as np
import pytest

from fx_assets.sources.limits import TokenBucket, host_limits


def most_in_a_second(times: list[float]) -> int:
    stamps = np.sort(times)
    return int((np.arange(len(stamps)) - np.searchsorted(stamps, stamps - 1, "right") + 1).max())


@pytest.mark.parametrize("threads", [1, 6])
def test_no_second_holds_more_than_the_limit(threads):
    bucket, times, until = TokenBucket(40), [], time.monotonic() + 2.5

    def ask() -> None:
        while time.monotonic() < until:
            bucket.acquire()
            times.append(time.monotonic())

    workers = [threading.Thread(target=ask) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert most_in_a_second(times) <= 40
    assert len(times) > 2.5 * 40 * 0.6  # and it lets through most of what it may


def test_two_a_second_are_a_second_apart():
    bucket = TokenBucket(2)
    started = time.monotonic()
    waits = [bucket.acquire() for _ in range(3)]
    assert waits[0] == 0
    assert waits[1] > 0
    assert time.monotonic() - started > 1.95


def test_a_bucket_that_was_left_alone_lets_a_tenth_through_at_once():
    bucket = TokenBucket(100)
    assert sum(bucket.acquire() for _ in range(10)) == 0
    assert bucket.acquire() > 0


def test_without_a_limit_nobody_waits():
    bucket = TokenBucket()
    assert sum(bucket.acquire() for _ in range(1000)) == 0


def test_clients_of_a_host_share_its_bucket_and_the_strictest_limit_holds():
    first = host_limits("a.example:1", requests_per_s=100)
    second = host_limits("a.example:1", requests_per_s=30, connections_per_s=2)
    assert first is second
    assert (first.requests.limit, first.connections.limit) == (30, 2)
    assert host_limits("a.example:1", requests_per_s=60).requests.limit == 30
    assert host_limits("b.example:1").requests is not first.requests
