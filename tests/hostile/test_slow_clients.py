"""Clients that are slow, silent, or leave in the middle: refused in time, and nobody else notices."""

import socket
import threading

import httpx
import pytest

from tests.servers.perimeter import read_all, status_of
from tests.servers.serving import wait_until

HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"
BODY = b'{"instrument": "GBP_USD"}'


def connect(service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", httpx.URL(service.url).port or 0), timeout=10)


@pytest.mark.parametrize(
    "path", [b"/predict", b"/predict/blue", b"/feedback", b"/rollouts", b"/v2/models/move_60m/infer"]
)
def test_half_a_body(service, path):
    with connect(service) as connection:
        connection.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n" + BODY)
        assert status_of(read_all(connection)) == 408


def test_half_a_head(service):
    with connect(service) as connection:
        connection.sendall(HEAD + b"X-Never: end")
        assert status_of(read_all(connection)) == 408


def test_one_byte_after_the_other(service):
    """Each within the time, all together not."""
    with connect(service) as connection:
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        connection.settimeout(0.05)
        answer = b""
        for _ in range(1000):
            try:
                answer = connection.recv(65536)
                break
            except TimeoutError:
                connection.sendall(b"a")
        assert status_of(answer) == 408


def test_gone_before_the_answer(service):
    whole = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    for request in (whole, whole[:-5], HEAD, b"", b"P"):
        for _ in range(20):
            with connect(service) as connection:
                connection.sendall(request)
    assert service.client.predict("GBP_USD")["slot"] == "blue"


def test_many_slow_ones_at_once_hold_nobody_up(service):
    """More unfinished requests than a worker takes on at once; the honest client beside them is always answered."""
    slow = [connect(service) for _ in range(100)]
    statuses: list[int] = []
    done = threading.Event()

    def honest() -> None:
        with httpx.Client(base_url=service.url) as client:
            while not done.is_set():
                statuses.append(client.post("/predict", json={"instrument": "GBP_USD"}).status_code)

    thread = threading.Thread(target=honest)
    try:
        for connection in slow:
            connection.sendall(HEAD + b"Content-Length: 100\r\n\r\nhalf")
        thread.start()
        answers = [status_of(read_all(connection)) for connection in slow]
    finally:
        done.set()
        thread.join()
        for connection in slow:
            connection.close()
    assert set(answers) == {408}
    assert len(statuses) > 10
    assert set(statuses) == {200}


def test_a_reader_who_does_not_read(service):
    """Many answers asked for and none taken: the connection may stall, the others do not."""
    with connect(service) as connection:
        request = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
        connection.settimeout(0.2)
        try:
            for _ in range(2000):
                connection.sendall(request)
        except TimeoutError:
            pass  # the service has stopped reading: as it should
        for _ in range(20):
            assert service.client.predict("GBP_USD")["slot"] == "blue"


def test_idle_connections(service):
    idle = [connect(service) for _ in range(300)]
    try:
        assert wait_until(lambda: service.client.predict("GBP_USD"))["slot"] == "blue"
    finally:
        for connection in idle:
            connection.close()
