"""What a worker takes on: bounded numbers, sizes and times; the rest is refused at once and in words."""

import contextlib
import resource
import socket
import threading
from collections import Counter

import httpx
import msgspec
import psutil
import pytest

from fx_serving.routing import ModelRoute
from tests.servers.plane import Plane, start_plane
from tests.servers.serving import Stores, make_bundle, publish_features, wait_until


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """A worker that takes four predictions at once, small bodies, and little time."""
    home = tmp_path_factory.mktemp("narrow")
    publish_features(Stores(home))
    make_bundle(Stores(home), "1")
    limits = {"max_concurrent": 4, "body_bytes": 2048, "body_timeout_s": 1, "drain_s": 1}
    with start_plane(home, {"limits": limits}) as plane:
        plane.route(move_60m=ModelRoute(blue="1"))
        yield plane


def raw(plane: Plane, *parts: bytes) -> socket.socket:
    link = socket.create_connection(("127.0.0.1", plane.port), timeout=20)
    for part in parts:
        link.sendall(part)
    return link


def received(link: socket.socket, answers: int = 1) -> list[tuple[int, dict]]:
    """The answers that come on a connection: (status, body)."""
    data, found = b"", []
    while len(found) < answers:
        got = link.recv(1 << 16)
        assert got, (data, found)
        data += got
        while b"\r\n\r\n" in data:
            head, _, rest = data.partition(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            if len(rest) < length:
                break
            found.append((int(head.split()[1]), msgspec.json.decode(rest[:length])))
            data = rest[length:]
    return found


def question(body: bytes = b'{"instrument":"GBP_USD"}', **headers: str) -> bytes:
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return b"POST /predict HTTP/1.1\r\nhost: localhost\r\n%scontent-length: %d\r\n\r\n%s" % (
        more.encode(), len(body), body,
    )  # fmt: skip


def test_what_comes_at_once_beyond_the_bound_is_429_and_nothing_is_lost(narrow):
    statuses: Counter[int] = Counter()
    wrong: list[object] = []
    start = threading.Barrier(16)

    def ask() -> None:
        with httpx.Client(base_url=narrow.url, timeout=30, trust_env=False) as http:
            start.wait()
            for _ in range(60):
                answer = http.post("/predict", json={"instrument": "GBP_USD"})
                statuses[answer.status_code] += 1
                if answer.status_code == 429 and (
                    answer.headers["retry-after"] != "1" or "busy" not in answer.json()["detail"]
                ):
                    wrong.append(answer.text)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert set(statuses) <= {200, 429}
    assert statuses.total() == 960
    assert statuses[200] > 0
    # Every place was given back.
    assert narrow.predict()["slot"] == "blue"


def test_requests_sent_behind_each_other_are_all_answered_in_order(narrow):
    bodies = [b'{"instrument":"GBP_USD","request_id":"p%d"}' % i for i in range(3)]
    with raw(narrow, b"".join(question(body) for body in bodies)) as link:
        answers = received(link, 3)
    assert [(status, body["prediction_id"]) for status, body in answers] == [(200, f"p{i}") for i in range(3)]
    assert narrow.predict()["slot"] == "blue"


def test_a_body_on_its_way_occupies_nothing(narrow):
    open_links = [raw(narrow, question()[:-5]) for _ in range(12)]
    try:
        assert narrow.predict()["slot"] == "blue"
        assert received(open_links[0])[0][0] == 408
    finally:
        for link in open_links:
            link.close()


def test_who_takes_no_answers_does_not_keep_the_place_of_others(tmp_path):
    """Each request is refused by a long answer, of which nothing is read, and the next one stands behind it."""
    long = question(b'{"instrument":"x","model":"%s"}' % (b"a" * 250_000))
    limits = {"max_concurrent": 4, "body_timeout_s": 3, "drain_s": 0.1}
    with start_plane(tmp_path, {"limits": limits}) as plane:
        links = [raw(plane) for _ in range(12)]  # some of them are refused only for what stands before them
        try:
            for link in links:
                link.settimeout(0.5)
                with contextlib.suppress(TimeoutError, ConnectionError):  # until nothing more is taken from it
                    for _ in range(200):
                        link.sendall(long)
            plain = {"instrument": "x"}
            wait_until(lambda: {plane.http.post("/predict", json=plain).status_code for _ in range(20)} == {503})
        finally:
            for link in links:
                link.close()
        assert "Traceback" not in (plane.stores.home / "worker.log").read_text()


def test_connections_are_not_bounded_by_what_a_process_begins_with(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = psutil.Process().num_fds() + 64  # this process must start another one with it
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))  # inherited
    try:
        plane = start_plane(tmp_path, {"limits": {"drain_s": 0.1}})
        worker = plane.__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    links = []
    try:
        links = [raw(worker) for _ in range(few + 64)]
        assert httpx.get(f"{worker.url}/health", trust_env=False).status_code == 200
    finally:
        for link in links:
            link.close()
        plane.__exit__(None, None, None)


def test_a_body_that_is_too_long_is_refused_before_it_comes(narrow):
    head = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: 900000000\r\n\r\n"
    with raw(narrow, head) as link:
        status, body = received(link)[0]
    assert status == 413
    assert "limits.body_bytes" in body["detail"]


def test_a_chunked_body_that_is_too_long_is_refused_on_the_way(narrow):
    head = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
    chunk = b"400\r\n" + b" " * 0x400 + b"\r\n"
    with raw(narrow, head, chunk, chunk, chunk) as link:
        assert received(link)[0][0] == 413


def test_a_request_whose_deadline_passed_in_the_queue_is_504(narrow):
    with raw(narrow, question(x_fx_deadline_ms="0.000001")) as link:
        status, body = received(link)[0]
    assert status == 504
    assert body["detail"].startswith("deadline:")


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "inf", ""])
def test_a_deadline_that_is_none_is_refused(narrow, value):
    answer = narrow.http.post("/predict", json={"instrument": "GBP_USD"}, headers={"x-fx-deadline-ms": value})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("x-fx-deadline-ms:")


def test_an_asker_who_leaves_early_costs_nothing(narrow):
    for _ in range(10):
        raw(narrow, question()[:-3]).close()
        raw(narrow, question()).close()
    wait_until(lambda: narrow.predict()["slot"] == "blue")
    assert "Traceback" not in (narrow.stores.home / "worker.log").read_text()
