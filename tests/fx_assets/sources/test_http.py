"""The HTTP session against a real server that fails in every way: deadlines, retries, limits, secrets."""

import contextlib
import itertools
import logging
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from fx_assets.sources import SourceError, SourceRefused, http_transport
from fx_assets.sources import http as module
from fx_assets.sources.http import HttpSession, session_limits
from tests.servers.faults import FaultApp, dead_url, serve

SECRET = "s3cr3t-0123456789"


class Options(NamedTuple):
    timeout_s: float = 5.0
    retries: int = 2


class Running(NamedTuple):
    url: str
    faults: FaultApp


async def echo(request: Request) -> Response:
    return JSONResponse({"query": str(request.query_params), "port": request.client.port if request.client else 0})


async def status(request: Request) -> Response:
    code = int(request.path_params["code"])
    return JSONResponse({"errorMessage": f"no, {request.headers.get('authorization', '')}"}, code)


async def endless(request: Request) -> Response:
    async def parts():
        yield b"one\n"
        yield b"two\n"
        import asyncio

        await asyncio.sleep(30)

    return StreamingResponse(parts())


@pytest.fixture
def server() -> Iterator[Running]:
    app = FaultApp(
        Starlette(
            routes=[
                Route("/echo", echo),
                Route("/status/{code}", status),
                Route("/endless", endless),
                Route("/moved", lambda request: RedirectResponse("/echo")),
            ]
        )
    )
    with serve(app) as served:
        yield Running(served.url, app)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(module, "BACKOFF_S", 0.02)


def session(server: Running, timeout_s: float = 5.0, retries: int = 2, **more) -> HttpSession:
    return HttpSession("broker", Options(timeout_s, retries), server.url, **more)


def test_an_answer_is_decoded_and_params_without_value_are_left_out(server):
    with session(server) as http:
        assert http.get_json("/echo", {"a": 1, "b": None, "c": "x y"})["query"] == "a=1&c=x+y"
        assert http.get_json(f"{server.url}/echo")["query"] == ""


def test_one_connection_serves_many_requests(server):
    with session(server) as http:
        assert len({http.get_json("/echo")["port"] for _ in range(5)}) == 1
    assert server.faults.requests == 5


@pytest.mark.parametrize("kind", ["server_error", "truncated", "hang_up", "rate_limited"])
def test_failures_that_pass_are_tried_again(server, kind):
    server.faults.fault(kind, times=2, retry_after="0")
    with session(server) as http:
        assert http.get_json("/echo", {"a": 1})["query"] == "a=1"
    assert server.faults.requests == 3


@pytest.mark.parametrize("kind", ["server_error", "truncated", "hang_up", "rate_limited"])
def test_failures_that_stay_end_in_one_error_with_a_remedy(server, kind):
    server.faults.fault(kind, retry_after="0")
    with session(server) as http, pytest.raises(SourceError, match=r"^broker: .*/echo: .*, asked 3 times\. Try later"):
        http.get_json("/echo")
    assert server.faults.requests == 3


@pytest.mark.parametrize("kind", ["garbage", "nonsense"])
def test_answers_that_are_not_what_was_asked_for_are_not_tried_again(server, kind):
    server.faults.fault(kind)
    with session(server) as http, pytest.raises(SourceError, match="not what was asked for"):
        http.get_json("/echo", type=list[int])
    assert server.faults.requests == 1


@pytest.mark.parametrize("code", [400, 401, 403, 404])
def test_refusals_are_permanent(server, code):
    with session(server) as http, pytest.raises(SourceRefused, match=f"HTTP {code} .*Check"):
        http.get_json(f"/status/{code}")
    assert server.faults.requests == 1


@pytest.mark.parametrize(("kind", "seconds"), [("slow", 4.0), ("drip", 4.0)])
def test_the_deadline_is_for_the_whole_answer(server, kind, seconds):
    """A body that drips never lets a single read time out."""
    server.faults.fault(kind, seconds=seconds)
    with session(server, timeout_s=0.5, retries=1) as http:
        started = time.monotonic()
        with pytest.raises(SourceError, match="no complete answer in time, asked 2 times"):
            http.get_json("/echo")
    assert 1.0 <= time.monotonic() - started < seconds, "one whole answer would have taken longer"


def test_retry_after_is_waited_for(server):
    server.faults.fault("rate_limited", times=1, retry_after="1")
    with session(server) as http:
        started = time.monotonic()
        http.get_json("/echo")
    assert time.monotonic() - started >= 1.0


def test_a_server_that_wants_to_be_left_alone_for_long_is_left_alone(server):
    server.faults.fault("rate_limited", retry_after="3600")
    with session(server) as http, pytest.raises(SourceError, match=r"HTTP 429 .*asked once"):
        http.get_json("/echo")
    assert server.faults.requests == 1


def test_nobody_there(server):
    with HttpSession("broker", Options(1.0, 1), dead_url()) as http, pytest.raises(SourceError, match="cannot connect"):
        http.get_json("/echo")


def test_new_connections_are_opened_no_faster_than_the_limit(server):
    """A server that hangs up makes every attempt a new connection."""
    server.faults.fault("hang_up")
    limits = session_limits(server.url, connections_per_s=2)
    with session(server, limiter=limits) as http, pytest.raises(SourceError):
        http.get_json("/echo")
    times = [request.at for request in server.faults.seen]
    assert len(times) == 3
    assert all(later - earlier > 0.7 for earlier, later in itertools.pairwise(times))


def test_the_wait_for_a_connection_is_not_the_servers(server):
    limits = session_limits(server.url, connections_per_s=1)
    for _ in range(2):
        with session(server, timeout_s=0.5, retries=0, limiter=limits) as http:
            http.get_json("/echo")


@pytest.mark.parametrize("code", [400, 500, 418])
def test_no_error_holds_a_secret(server, code):
    """The server echoes the token; the key is part of the query."""
    http = session(server, retries=0, headers={"Authorization": f"Bearer {SECRET}"}, secrets=["key-in-query"])
    with http, pytest.raises(SourceError) as caught:
        http.get_json(f"/status/{code}", {"apikey": "key-in-query"})
    text = f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    assert SECRET not in text
    assert "key-in-query" not in text


def test_no_log_line_holds_a_query(server, caplog):
    with caplog.at_level(logging.DEBUG), session(server, secrets=["key-in-query"]) as http:
        http.get_json("/echo", {"apikey": "key-in-query"})
    assert "/echo" in caplog.text
    assert "key-in-query" not in caplog.text


def test_redirects_are_followed_only_where_nothing_is_secret(server):
    with session(server) as http, pytest.raises(SourceError, match="HTTP 307"):
        http.get_json("/moved")
    with session(server, follow_redirects=True) as http:
        assert http.get_json("/moved")["query"] == ""
    with pytest.raises(ValueError, match="must not follow"):
        session(server, follow_redirects=True, secrets=["x"])


def test_a_stream_that_falls_silent_is_an_error(server):
    with session(server) as http:
        parts = []
        with pytest.raises(SourceError, match="in time"), http.stream("/endless", silence_s=0.5) as stream:
            parts.extend(stream)
        assert b"".join(parts) == b"one\ntwo\n"


def test_a_proxy_of_the_environment_is_used_but_not_for_this_machine(server, monkeypatch):
    """The server stands in for the proxy: it is asked for a host that nobody knows."""
    for name in ("HTTP_PROXY", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server.url.replace("http://", "http://me:proxy-secret@"))
    with HttpSession("broker", Options(), "http://broker.invalid") as http:
        assert http.get_json("/echo", {"a": 1})["query"] == "a=1"
    seen = server.faults.seen[-1]
    assert seen.headers["host"] == "broker.invalid"
    assert seen.headers["proxy-authorization"].startswith("Basic ")
    monkeypatch.setenv("http_proxy", dead_url())
    with session(server) as http:
        assert http.get_json("/echo")["query"] == ""
    alone = HttpSession("broker", Options(retries=0), "http://broker.invalid")
    with alone as http, pytest.raises(SourceError, match="cannot connect"):
        http.get_json("/echo")


@pytest.fixture
def certificate(tmp_path, monkeypatch) -> Path:
    """A certificate of 127.0.0.1 that signed itself, trusted by this process only."""
    import ipaddress
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(hours=1))
        .not_valid_after(datetime.now(UTC) + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (path := tmp_path / "server.pem").write_bytes(private + made.public_bytes(pem))
    http_transport._tls.cache_clear()
    monkeypatch.setattr("httpx.create_ssl_context", lambda: ssl.create_default_context(cafile=str(path)))
    return path


def test_over_tls_it_is_the_same_with_deadline_and_all(certificate):
    app = FaultApp(Starlette(routes=[Route("/echo", echo)]))
    config = uvicorn.Config(
        app, port=0, log_config=None, lifespan="off", ssl_keyfile=certificate, ssl_certfile=certificate
    )
    with contextlib.ExitStack() as opened:
        port = opened.enter_context(listening(uvicorn.Server(config)))
        http = opened.enter_context(HttpSession("broker", Options(0.5, 0), f"https://127.0.0.1:{port}"))
        assert len({http.get_json("/echo")["port"] for _ in range(3)}) == 1
        app.fault("drip")
        with pytest.raises(SourceError, match="no complete answer in time"):
            http.get_json("/echo")
    http_transport._tls.cache_clear()


@contextlib.contextmanager
def listening(server: uvicorn.Server) -> Iterator[int]:
    """The port of a server that runs in a thread."""
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        thread.join(20)
