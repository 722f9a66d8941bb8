"""A rollout is asked for again while the service cannot answer: over HTTP, of a service that is about to lead again."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fx_assets.models import rollout
from fx_assets.stack.ports import free_port
from fx_serving.client import patience
from fx_serving.client.home import Stores
from fx_serving.client.http import ServiceError

AWAY, MADE = 503, {"id": "r1", "state": "running"}


class Answering(ThreadingHTTPServer):
    """Answers with the given statuses, one after another; the last one for ever. asked: the request ids."""

    def __init__(self, statuses: list[int], port: int = 0):
        self.statuses, self.asked = statuses, list[str]()
        super().__init__(("127.0.0.1", port), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Answering

    def do_POST(self) -> None:
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(told["request_id"])
        status = self.server.statuses[min(len(self.server.asked), len(self.server.statuses)) - 1]
        body = json.dumps(MADE if status == 200 else {"detail": "this controller does not lead at the moment"}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def stores(tmp_path, monkeypatch) -> Stores:
    monkeypatch.setattr(patience, "PAUSE_S", 0.05)
    return Stores(tmp_path)


def serve(monkeypatch, statuses: list[int], port: int = 0) -> Answering:
    server = Answering(statuses, port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("FX_SERVING_URL", f"http://127.0.0.1:{server.server_port}")
    return server


def ask(stores: Stores) -> dict:
    return rollout.ask_for_rollout(stores, "move", "2", {}, "run-2")


def test_it_is_asked_again_by_the_same_id_until_a_host_leads(stores, monkeypatch):
    server = serve(monkeypatch, [AWAY, 502, 504, 200])
    with server:
        assert ask(stores) == MADE
        assert server.asked == ["run-2"] * 4
        server.shutdown()


def test_a_refusal_is_told_at_once(stores, monkeypatch):
    server = serve(monkeypatch, [422, 200])
    with server:
        with pytest.raises(ServiceError, match="HTTP 422"):
            ask(stores)
        assert len(server.asked) == 1
        server.shutdown()


def test_patience_ends(stores, monkeypatch):
    monkeypatch.setattr(rollout, "PATIENCE_S", 0.3)
    server = serve(monkeypatch, [AWAY])
    with server:
        with pytest.raises(ServiceError, match="does not lead at the moment"):
            ask(stores)
        assert len(server.asked) > 2
        server.shutdown()


def test_a_door_that_listens_again_is_found(stores, monkeypatch):
    port = free_port()
    monkeypatch.setenv("FX_SERVING_URL", f"http://127.0.0.1:{port}")
    opened: list[Answering] = []
    later = threading.Timer(0.5, lambda: opened.append(serve(monkeypatch, [200], port)))
    later.start()
    try:
        assert ask(stores) == MADE
    finally:
        later.join()
        opened[0].shutdown()
        opened[0].server_close()


def test_where_nobody_ever_listens_it_says_so(stores, monkeypatch):
    monkeypatch.setattr(rollout, "LISTENS_S", 0.3)
    monkeypatch.setenv("FX_SERVING_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(rollout.NoService, match="promoted but not deployed"):
        ask(stores)


def test_an_address_that_is_none_is_told_at_once(stores, monkeypatch):
    monkeypatch.setattr(patience, "PAUSE_S", 60)
    monkeypatch.setenv("FX_SERVING_URL", "ftp://127.0.0.1:8700")
    with pytest.raises(rollout.NoService, match="Write its address as http"):
        ask(stores)
