"""What one connection may be sent below all routes: other protocols offered, bodies waited for, fields behind them."""

import pytest

from tests.servers.perimeter import exchange, perimeter_server, read_all, status_of

HOST = b"Host: 127.0.0.1\r\n"


@pytest.fixture
def opened(stores):
    """A server that needs no token."""
    with perimeter_server(stores, limits={"body_bytes": 2048, "body_timeout_s": 0.3}) as server:
        yield server


@pytest.mark.parametrize("body", [b"", b"abc"])
def test_a_client_that_offers_another_protocol_is_told_to_connect_anew(opened, body):
    """As clients of HTTP/2 do: they would send their next request here, which the parser would never read."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
    request = b"POST /feedback HTTP/1.1\r\n" + HOST + offer + b"Content-Length: %d\r\n\r\n" % len(body) + body
    answer = exchange(opened.port, request, timeout_s=5)
    assert status_of(answer) == 200
    assert b"connection: close\r\n" in answer


def test_who_waits_for_leave_to_send_a_body_and_is_refused_is_told_to_connect_anew(opened):
    """Nobody could tell whether what comes next is the body or another request."""
    head = b"POST /feedback HTTP/1.1\r\nHost: evil.example\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"
    answer = exchange(opened.port, head, timeout_s=5)
    assert status_of(answer) == 403
    assert b"connection: close\r\n" in answer


def chunked(trailers: bytes) -> bytes:
    """A request with something behind its body."""
    head = b"POST /feedback HTTP/1.1\r\n" + HOST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"3\r\nabc\r\n0\r\n" + trailers + b"\r\n"


@pytest.mark.parametrize("trailer", [b"Host: evil.example", b"Origin: http://evil.example", b"Authorization: Bearer x"])
def test_what_stands_behind_a_body_is_no_header(opened, trailer):
    answer = exchange(opened.port, chunked(trailer + b"\r\n"))
    assert status_of(answer) == 200, answer


@pytest.mark.parametrize("trailers", [b"A: b\r\n" * 20_000, b"A: " + b"b" * 40_000_000])
def test_no_end_of_it_is_not_read(stores, trailers):
    with perimeter_server(stores, limits={"body_timeout_s": 30}) as server, server.connect() as connection:
        connection.sendall(chunked(b"")[:-2])
        try:
            for start in range(0, len(trailers), 65_536):
                connection.sendall(trailers[start : start + 65_536])
        except OSError:
            return  # closed while it was being sent
        assert status_of(read_all(connection)) in (413, 431)
