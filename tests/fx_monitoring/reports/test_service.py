"""The report service over real HTTP: what it gives, to whom, and one report at a time."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest
import uvicorn

from fx_assets.errors import FxError
from fx_assets.sessions import session_bounds
from fx_assets.stack.ports import LOOPBACK, free_port
from fx_monitoring.drift.predictions import predictions_frame
from fx_monitoring.reports.app import build_app
from fx_monitoring.reports.library import find, kept
from fx_monitoring.reports.make import NotMade, in_own_process
from fx_monitoring.reports.server import listen
from fx_serving.client.home import Stores
from tests.fx_monitoring.test_assets import SESSION, ask, make_bundle, market
from tests.fx_monitoring.trading.world import World
from tests.servers.serving import wait_until

ROOT = Path(__file__).resolve().parents[3]
PAGE = "<html><script>document.title = 1</script>drift of move_60m</html>"


def write(stores: Stores, kind: str, name: str, text: str = PAGE, age_s: int = 0) -> Path:
    path = stores.reports / kind / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    at = 1_700_000_000 - age_s
    os.utime(path, (at, at))
    return path


@contextmanager
def serving(stores: Stores, **more) -> Iterator[httpx.Client]:
    with listen(LOOPBACK, 0, None) as listener:
        config = uvicorn.Config(build_app(stores, **more), lifespan="off", log_level="warning")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        with httpx.Client(base_url=f"http://{LOOPBACK}:{port}", trust_env=False, timeout=20) as client:
            wait_until(lambda: client.get("/ping"))
            yield client
        server.should_exit = True
        thread.join(60)


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> Stores:
    made = Stores(tmp_path_factory.mktemp("home"))
    write(made, "drift", "move_60m-1-2022-03-01.html", age_s=100)
    write(made, "drift", "move_60m-1-2022-03-02.html", "<html>newest</html>")
    write(made, "quality", "move_60m.html", age_s=50)
    write(made, "drift", "move_60m-1-2022-03-01.json", "{}")
    write(made, "drift", ".half.html.tmp", "half")
    write(made, "elsewhere", "other.html")
    (made.home / "secret.html").write_text("secret")
    (made.reports / "drift" / "link.html").symlink_to(made.home / "secret.html")
    return made


@pytest.fixture(scope="module")
def client(stores: Stores) -> Iterator[httpx.Client]:
    async def nothing(kind: str, model: str | None, session: str | None) -> Path:
        raise NotMade(f"{kind}: nothing to report of {model} in {session}")

    with serving(stores, make=nothing) as found:
        yield found


def test_the_newest_report_is_the_front_page(client):
    assert client.get("/ping").json() == {"status": "ok", "busy": False}
    answer = client.get("/")
    assert answer.text == "<html>newest</html>"
    assert answer.headers["content-location"] == "/reports/drift/move_60m-1-2022-03-02.html"


def test_the_kept_reports_are_listed_the_newest_first(client):
    found = client.get("/reports").json()["reports"]
    assert [report["name"] for report in found] == [
        "move_60m-1-2022-03-02.html",
        "move_60m.html",
        "move_60m-1-2022-03-01.html",
    ]
    assert client.get(found[1]["url"]).text == PAGE
    page = client.get("/reports", headers={"accept": "text/html"}).text
    assert '<a href="/reports/quality/move_60m.html">' in page


def test_a_report_may_run_its_charts_and_nothing_else(client):
    policy = client.get("/reports/quality/move_60m.html").headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts; default-src 'none'")
    assert "connect-src" not in policy
    for path in ("/reports", "/ping", "/nothing"):
        headers = client.get(path).headers
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert "script-src" not in headers["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/reports/drift/..%2f..%2f..%2fsecret.html",
        "/reports/drift/%2e%2e/secret.html",
        "/reports/..%2f..%2f../secret.html",
        "/reports/elsewhere/other.html",
        "/reports/drift/link.html",
        "/reports/drift/move_60m-1-2022-03-01.json",
        "/reports/drift/.half.html.tmp",
        "/reports/drift//etc/passwd",
        "/reports/drift/%00.html",
        "/secret.html",
    ],
)
def test_nothing_but_kept_reports_can_be_had(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_pages_and_names_of_others_are_refused(client):
    for headers in (
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
    ):
        for method in ("GET", "POST"):
            answer = client.request(method, "/" if method == "GET" else "/generate", headers=headers)
            assert answer.status_code == 403, headers
    own = str(client.base_url).rstrip("/")
    assert client.get("/ping", headers={"origin": own}).status_code == 200
    assert client.get("/ping", headers={"host": "localhost:1"}).status_code == 200
    assert client.get("/ping", headers={"host": "[::1]:1"}).status_code == 200


def test_a_request_must_make_sense(client):
    for body in ({"kind": "x"}, {"model": "../x"}, {"session": "yesterday"}, {"surprise": 1}, []):
        assert client.post("/generate", json=body).status_code == 422
    assert client.post("/generate", content=b"x" * 5000).status_code == 413
    answer = client.post("/generate", json={"kind": "quality", "model": "move_60m", "session": "2022-03-01"})
    assert (answer.status_code, answer.json()["detail"]) == (
        422,
        "quality: nothing to report of move_60m in 2022-03-01",
    )
    assert client.post("/generate").status_code == 422  # drift by default: nothing to report


def test_a_token_is_asked_of_everyone_where_there_is_one(stores):
    with listen(LOOPBACK, 0, "word") as listener:
        server = uvicorn.Server(uvicorn.Config(build_app(stores, "word"), lifespan="off", log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        url = f"http://{LOOPBACK}:{listener.getsockname()[1]}/ping"
        good = {"authorization": "Bearer word", "host": "desk.example"}
        wait_until(lambda: httpx.get(url, headers=good, trust_env=False).status_code == 200)
        for headers in ({}, {"authorization": "Bearer wor"}, {"authorization": "word"}):
            assert httpx.get(url, headers=headers, trust_env=False).status_code == 401
        server.should_exit = True
        thread.join(60)


def test_another_machine_may_not_ask_without_a_token():
    with pytest.raises(FxError, match="FX_REPORTS_TOKEN"):
        listen("0.0.0.0", 0, None)
    with listen(LOOPBACK, 0, None) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(FxError, match=rf"cannot listen on 127.0.0.1:{port}: .* fx reports --port N"):
            listen(LOOPBACK, port, None)


def test_one_report_at_a_time(tmp_path):
    stores = Stores(tmp_path)
    begun, go_on = threading.Event(), threading.Event()

    async def slow(kind: str, model: str | None, session: str | None) -> Path:
        begun.set()
        await asyncio.to_thread(go_on.wait, 20)
        return write(stores, "drift", "made.html")

    with serving(stores, make=slow) as client:
        assert "POST /generate" in client.get("/").text, "nothing was made yet"
        answers: list[httpx.Response] = []
        first = threading.Thread(target=lambda: answers.append(client.post("/generate")))
        first.start()
        assert begun.wait(120)
        assert client.get("/ping").json()["busy"]
        second = client.post("/generate")
        assert (second.status_code, second.headers["retry-after"]) == (429, "5")
        go_on.set()
        first.join(60)
        assert answers[0].status_code == 201
        assert answers[0].json()["url"] == "/reports/drift/made.html"
        assert client.get("/").text == PAGE
        assert client.post("/generate").status_code == 201, "the next one may"


def test_a_report_is_made_in_a_process_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("FX_HOME", str(tmp_path))
    with pytest.raises(NotMade, match=r"model: 'no_such' is not in models.yaml. Use one of move_60m"):
        asyncio.run(in_own_process("drift", "no_such", None))
    with pytest.raises(NotMade, match=r"took more than 0\.01 s, and was ended") as late:
        asyncio.run(in_own_process("drift", None, None, 0.01))
    assert late.value.status == 504


@pytest.mark.slow(seconds=20)
def test_each_kind_of_report_is_made_by_its_assets_functions(tmp_path, monkeypatch):
    """Of a home with predictions and candles, over HTTP, in a process of its own."""
    monkeypatch.setenv("FX_HOME", str(tmp_path))
    monkeypatch.setenv("FX_CLOCK", "2022-03-03T22:00:00Z")
    stores, world = Stores(tmp_path), World(tmp_path)
    world.candles(20)
    make_bundle(stores)
    ask(stores, market(1))
    start, end = session_bounds(SESSION)
    world.lake.write("monitoring/predictions", {SESSION: predictions_frame(stores.predictions, start, end)})
    with serving(stores) as client:
        for wanted, folder in (({"kind": "drift"}, "drift"), ({"kind": "data_quality"}, "data-quality")):
            answer = client.post("/generate", json=wanted, timeout=240)
            assert answer.status_code == 201, answer.text
            made = answer.json()
            assert (stores.reports / folder / made["name"]).stat().st_size == made["bytes"]
            assert "<html" in client.get(made["url"]).text
        missing = client.post("/generate", json={"kind": "quality"}, timeout=240)
    assert (missing.status_code, "prediction_quality: no record of any model" in missing.text) == (422, True)
    assert (stores.drift / "move_60m.json").is_file()


def test_the_service_ends_with_what_it_has_begun(tmp_path):
    """A real process on a home without anything: asked for a report and told to end while that is being made."""
    port = free_port()
    command = [sys.executable, "-m", "fx_monitoring.reports", "--port", str(port)]
    process = subprocess.Popen(command, env={**os.environ, "FX_HOME": str(tmp_path)}, cwd=ROOT)
    url = f"http://{LOOPBACK}:{port}"
    try:
        wait_until(lambda: httpx.get(f"{url}/ping", trust_env=False))
        asked = threading.Thread(target=ask_and_forget, args=(f"{url}/generate",))
        asked.start()
        made = wait_until(lambda: psutil.Process(process.pid).children())[0]
        process.terminate()
        assert process.wait(120) in (0, -signal.SIGTERM)
        assert wait_until(lambda: not made.is_running())
        asked.join(60)
    finally:
        process.kill()
        process.wait(120)


def ask_and_forget(url: str) -> None:
    with suppress(httpx.HTTPError):
        httpx.post(url, trust_env=False, timeout=30)


def test_a_report_that_vanishes_is_not_listed(tmp_path):
    stores = Stores(tmp_path)
    assert kept(stores) == []
    path = write(stores, "drift", "a.html")
    found = find(stores, "drift", "a.html")
    assert found is not None
    assert found.path == path
    path.unlink()
    assert find(stores, "drift", "a.html") is None
