"""The exporter's HTTP side: what it answers, to whom, and that one bad collector takes nothing away from the others."""

import http.client
import socket
import struct
import threading

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fx_assets.errors import FxError
from fx_monitoring.exporter.app import Exporter
from fx_monitoring.exporter.background import Collector
from fx_monitoring.exporter.catalogue import Sample
from tests.servers.serving import wait_until


def good(value: float = 1.0) -> Collector:
    return Collector("good", lambda: [Sample("fx_market_open", (), value)])


def scrape(url: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = httpx.get(f"{url}/metrics", trust_env=False).raise_for_status()
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def up(name: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return ("fx_collector_up", (("collector", name),))


def test_a_failing_and_a_hanging_collector_break_no_scrape():
    going = threading.Event()

    def fails():
        raise ValueError("broken")

    def hangs():
        going.wait(120)
        return []

    collectors = [good(), Collector("fails", fails), Collector("hangs", hangs, limit_s=0.1)]
    try:
        with Exporter(collectors, port=0) as running:
            found = wait_until(lambda: (f := scrape(running.url)) and up("hangs") in f and up("fails") in f and f)
            assert found["fx_market_open", ()] == 1.0
            assert [found[up(name)] for name in ("good", "fails", "hangs")] == [1.0, 0.0, 0.0]
            health = httpx.get(f"{running.url}/health", trust_env=False).json()
            assert health["status"] == "degraded"
            assert health["collectors"]["fails"]["problem"] == "ValueError: broken"
    finally:
        going.set()


def test_other_paths_and_runbooks(tmp_path):
    with Exporter([good()], port=0) as running:
        running.server.runbooks = tmp_path
        (tmp_path / "DataStale.md").write_text("# Data are stale\n")
        (tmp_path.parent / "secret.md").write_text("no")
        ask = lambda path: httpx.get(running.url + path, trust_env=False)  # noqa: E731
        assert ask("/runbooks/DataStale.md").text == "# Data are stale\n"
        for path in ("/", "/runbooks/Missing.md", "/runbooks/..%2Fsecret.md", "/runbooks/../secret.md"):
            assert ask(path).status_code == 404, path
        assert httpx.post(f"{running.url}/metrics", trust_env=False).status_code == 501


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:1", 200), ("localhost", 200), ("[::1]:5", 200), ("evil.example:80", 421), ("10.0.0.1", 421)],
)
def test_a_page_elsewhere_that_resolves_its_name_to_this_machine_reads_nothing(host, status):
    with Exporter([good()], port=0) as running:
        connection = http.client.HTTPConnection("127.0.0.1", running.server.server_port, timeout=10)
        connection.request("GET", "/metrics", headers={"Host": host})
        assert connection.getresponse().status == status
        connection.close()


def test_a_public_address_needs_a_token_which_is_then_asked_for():
    with pytest.raises(FxError, match=r"0\.0\.0\.0.*FX_EXPORTER_TOKEN"):
        Exporter([good()], host="0.0.0.0", port=0)
    with Exporter([good()], host="0.0.0.0", port=0, token="s3cret") as running:
        url = f"http://127.0.0.1:{running.server.server_port}/metrics"
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer no"}, 401),
            ({"Authorization": "Bearer s3cret"}, 200),
        ):
            assert httpx.get(url, headers=headers, trust_env=False).status_code == status


def test_a_taken_port_is_told_with_its_holder():
    with Exporter([good()], port=0) as running, pytest.raises(FxError, match=r"in use by .*process.*--port"):
        Exporter([good()], port=running.server.server_port)


def test_scrapers_that_hang_up_fill_no_log(capfd):
    """A busy machine has one whose time is over every few seconds."""
    with Exporter([good()], port=0) as running:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", running.server.server_port)) as client:
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, and no end
        assert scrape(running.url)
        wait_until(lambda: not [t for t in threading.enumerate() if "process_request_thread" in t.name])
    assert "Traceback" not in capfd.readouterr().err
