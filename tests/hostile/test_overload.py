"""More at once than a worker takes on: what it accepts it answers, and the rest is told to come back. Nothing else."""

import threading

import httpx
import pytest

from benchmarks.serving.client import encode, run_closed
from tests.counts import count
from tests.servers.serving import make_bundle, publish_features, start_service

AT_ONCE = 4


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A worker that takes on few requests at once."""
    home = tmp_path_factory.mktemp("small")
    with start_service(home, settings={"limits": {"max_concurrent": AT_ONCE}}) as service:
        publish_features(service.stores)
        make_bundle(service.stores, "1")
        service.deploy("1")
        yield service


def test_the_rest_is_refused_with_429(small):
    before = small.worker_pids()
    requests = [
        encode("/predict", {"instrument": "GBP_USD"}),
        encode("/predict/blue", {"instrument": "EUR_USD"}),
        encode("/predict", {"instruments": ["EUR_USD", "GBP_USD"]}),
    ]
    result = run_closed(small.url, requests, 16 * AT_ONCE, count("load_requests"))
    assert set(result.statuses) == {200, 429}, result.statuses
    assert result.statuses[200] > 100
    assert result.resets == []
    assert sum(result.statuses.values()) == result.requests
    assert small.worker_pids() == before
    # As soon as the crowd is gone everybody is answered again.
    again = run_closed(small.url, requests, AT_ONCE, 200)
    assert set(again.statuses) == {200}
    text = httpx.get(f"{small.url}/metrics").text
    assert 'reason="overload",status="429"' in text


def test_429_says_when_to_come_back(small):
    """And state and health are answered in the middle of it."""
    stop = threading.Event()

    def crowd() -> None:
        while not stop.is_set():
            run_closed(small.url, [encode("/predict", {"instrument": "GBP_USD"})], 16 * AT_ONCE, 1000)

    thread = threading.Thread(target=crowd)
    thread.start()
    try:
        with httpx.Client(base_url=small.url) as client:
            answers = [client.post("/predict", json={"instrument": "GBP_USD"}) for _ in range(100)]
            assert {client.get(path).status_code for path in ("/health", "/ready", "/traffic")} == {200}
    finally:
        stop.set()
        thread.join()
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers} <= {200, 429}
    assert refused
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert "busy" in refused[0].json()["detail"]
