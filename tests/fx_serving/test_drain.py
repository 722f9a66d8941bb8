"""How a worker leaves: nobody who is just asking is cut off."""

import signal
import socket
import threading

import httpx
import pytest

from fx_serving.client.prediction_log import read_predictions
from fx_serving.routing import ModelRoute
from tests.fx_serving.test_admission import question, received
from tests.servers.plane import Plane, start_plane
from tests.servers.serving import Stores, make_bundle, publish_features, wait_until


@pytest.fixture
def leaving(tmp_path):
    publish_features(Stores(tmp_path))
    make_bundle(Stores(tmp_path), "1")
    with start_plane(tmp_path, {"limits": {"drain_s": 3}}) as plane:
        plane.route(move_60m=ModelRoute(blue="1"))
        yield plane


def begin(plane: Plane) -> None:
    """Tell the worker to end, and wait until it has begun to."""
    plane.process.send_signal(signal.SIGTERM)


def test_an_open_connection_is_answered_once_more_and_then_closed(leaving):
    with socket.create_connection(("127.0.0.1", leaving.port), timeout=20) as link:
        link.sendall(question())
        assert received(link)[0][0] == 200
        idle = [socket.create_connection(("127.0.0.1", leaving.port), timeout=20) for _ in range(3)]
        for other in idle:
            other.sendall(question())
            assert received(other)[0][0] == 200
        begin(leaving)
        ready = b"GET /ready HTTP/1.1\r\nhost: localhost\r\n\r\n"
        idle[0].sendall(ready)
        status, body = received(idle[0])[0]
        while status == 200:  # the signal had not arrived
            idle[0].sendall(ready)
            status, body = received(idle[0])[0]
        assert (status, "ending" in body["detail"]) == (503, True)
        link.sendall(question())
        data = b""
        while got := link.recv(1 << 16):  # to its end: closed after the answer, not reset
            data += got
        assert data.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in data.lower()
        for other in idle:
            other.close()
    assert leaving.process.wait(120) == -signal.SIGTERM


def test_no_request_is_lost_when_a_worker_is_replaced_under_traffic(leaving):
    answered: list[str] = []
    failures: list[Exception] = []
    enough = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=leaving.url, timeout=30, trust_env=False) as http:
            while not enough.is_set():
                try:
                    answered.append(http.post("/predict", json={"instrument": "GBP_USD"}).json()["prediction_id"])
                except (httpx.HTTPError, KeyError) as error:
                    failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            before = len(answered)
            wait_until(lambda before=before: len(answered) > before + 50)
            begin(leaving)
            assert leaving.process.wait(120) == -signal.SIGTERM
            leaving.start()
        before = len(answered)
        wait_until(lambda: len(answered) > before + 50)
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    assert failures == []
    leaving.stop()
    logged = {record.prediction_id for record in read_predictions(leaving.stores.predictions)}
    assert set(answered) <= logged


def test_evidence_is_complete_when_the_worker_has_ended(leaving):
    for _ in range(7):
        leaving.predict()
    leaving.stop()
    assert leaving.evidence("move_60m", "1", "blue").outcomes == {"ok": 7}
