"""The process that sends, as a process: over a real home, to real receivers, killed and held up."""

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from fx_monitoring.alerts import Desk, figures
from fx_monitoring.alerts.configuration import AlertsFile
from fx_serving.client.home import Stores
from tests.counts import count
from tests.fx_monitoring.alerts.conftest import alert
from tests.servers.faults import FaultApp, dead_port, serve
from tests.servers.platform import environment
from tests.servers.receivers import Hook
from tests.servers.serving import wait_until

SECRET = "s3cr3tT0ken"
KEYS: dict[str, Any] = {
    "routes": {"desk": {}},
    "settle_seconds": 0,
    "delivery": {"attempts": 3, "first_retry_seconds": 0.05, "longest_retry_minutes": 0.001, "timeout_seconds": 40},
}


@pytest.fixture
def receiver():
    hook = Hook()
    app = FaultApp(hook)
    with serve(app) as served:
        yield hook, app, served.port


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with an alerts.yaml of its own, and one alert to be told."""
    stores = Stores(tmp_path / "home")
    (stores.home / "config").mkdir(parents=True)
    (stores.home / "config" / "alerts.yaml").write_text(yaml.safe_dump(KEYS))
    monkeypatch.setenv("FX_ALERT_URLS_DESK", "json://placeholder")
    Desk(stores, AlertsFile.model_validate(KEYS)).fire(alert())
    return stores


def start(stores: Stores, port: int, *options: str, **more: str) -> subprocess.Popen[str]:
    variables = environment(FX_HOME=str(stores.home), FX_ALERT_URLS_DESK=f"json://127.0.0.1:{port}/{SECRET}", **more)
    command = [sys.executable, "-m", "fx_monitoring.alerts.courier", *options]
    return subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True)


def finish(courier: subprocess.Popen[str]) -> str:
    """Its end; what it wrote."""
    _, said = courier.communicate(timeout=120)
    assert courier.returncode == 0, said
    return said


def written(path: Path) -> int:
    """When a file was changed last; 0 where there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


def state(stores: Stores) -> list[tuple]:
    with sqlite3.connect(stores.alerts_db) as db:
        return db.execute("SELECT state, attempts, error FROM notices").fetchall()


def test_it_sends_what_is_due_and_ends(home, receiver):
    hook, _, port = receiver
    assert finish(start(home, port)) == ""
    assert [body["title"] for body in hook.bodies()] == ["[WARNING] DiskLow/home is wrong"]
    assert state(home) == [("sent", 1, None)]
    assert finish(start(home, port)) == ""
    assert len(hook.bodies()) == 1


def test_a_failure_is_kept_and_said_without_the_address(home):
    port = dead_port()
    said = finish(start(home, port))
    assert "route desk: DiskLow/home not delivered: address 1 of 1: json: no connection" in said
    ((kept, attempts, error),) = state(home)
    assert (kept, attempts) == ("waiting", 1)
    for text in (said, error, home.alerts_db.read_bytes().decode("latin-1")):
        assert SECRET not in text
        assert str(port) not in text


def test_one_that_is_held_up_ends_by_itself_and_tries_again(home, receiver):
    """A receiver that answers a byte at a time: no read of it ever times out."""
    hook, app, port = receiver
    short = KEYS | {"delivery": KEYS["delivery"] | {"timeout_seconds": 5}}
    (home.home / "config" / "alerts.yaml").write_text(yaml.safe_dump(short))
    app.fault("drip")

    async def long(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 2000})  # at ten bytes a second

    app.app = long
    finish(start(home, port))
    assert state(home) == [("waiting", 1, "no answer within 5 s")]
    app.fault(None)
    app.app = hook
    (home.home / "config" / "alerts.yaml").write_text(yaml.safe_dump(KEYS))
    wait_until(lambda: finish(start(home, port)) is not None and state(home)[0][0] == "sent")


@pytest.mark.parametrize("moment", range(count("courier_kills")))
def test_killed_anywhere_it_is_sent_at_least_once_and_at_most_as_often_as_allowed(home, receiver, moment):
    """kill -9 at the receiver's door: the message has left, and is not yet marked; or earlier, or later."""
    hook, app, port = receiver
    app.fault("slow", seconds=0.3)
    courier = start(home, port)
    wait_until(lambda: app.requests > 0)
    time.sleep(0.2 * moment)
    courier.send_signal(signal.SIGKILL)
    courier.communicate(timeout=120)
    with sqlite3.connect(home.alerts_db) as db:
        db.execute("UPDATE notices SET leased_until = 0")  # as if the lease's minute were over
    app.fault(None)
    wait_until(lambda: finish(start(home, port)) is not None and state(home)[0][0] != "waiting")
    ((kept, attempts, _),) = state(home)
    assert kept == "sent"
    # On a busy machine an answer may come too late to be believed, which counts as one more attempt.
    assert 1 <= len(hook.bodies()) <= attempts <= KEYS["delivery"]["attempts"]


def test_killed_between_record_and_send_the_record_is_enough(tmp_path, monkeypatch, receiver):
    """Whoever fires an alert dies right after it was recorded: another process sends it."""
    hook, _, port = receiver
    stores = Stores(tmp_path)
    (stores.home / "config").mkdir()
    (stores.home / "config" / "alerts.yaml").write_text(yaml.safe_dump(KEYS))
    code = (
        "import os, signal\n"
        "from fx_monitoring.alerts import Alert, Desk\n"
        "from fx_serving.client.home import Stores\n"
        "words = dict(owner='o', title='t', detail='d', link='l', remedy='r')\n"
        "Desk(Stores.default()).fire(Alert(key='A/b', severity='critical', **words))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    variables = environment(FX_HOME=str(stores.home), FX_ALERT_URLS_DESK="json://127.0.0.1:1/x")
    died = subprocess.run([sys.executable, "-c", code], env=variables, check=False)
    assert died.returncode == -signal.SIGKILL
    finish(start(stores, port))
    assert [body["title"] for body in hook.bodies()] == ["[CRITICAL] t"]


def test_killed_while_recording_the_desk_is_whole(tmp_path):
    """A process that fires without end, killed at moments of chance: each alert is there whole or not at all."""
    stores = Stores(tmp_path)
    code = (
        "import itertools\n"
        "from fx_monitoring.alerts import Alert, Desk\n"
        "from fx_monitoring.alerts.configuration import AlertsFile\n"
        "from fx_serving.client.home import Stores\n"
        "desk = Desk(Stores.default(), AlertsFile.model_validate({'routes': {'desk': {}}}))\n"
        "words = dict(owner='o', title='t', detail='d', link='l', remedy='r')\n"
        "for n in itertools.count():\n"
        "    desk.fire(Alert(key=f'A/{n % 50}', severity='warning', **words))\n"
        "    desk.resolve(f'A/{(n + 25) % 50}', 'well')\n"
    )
    variables = environment(FX_HOME=str(stores.home), FX_ALERT_URLS_DESK="json://127.0.0.1:1/x")
    wal = stores.alerts_db.with_name("alerts.db-wal")
    for kill in range(count("desk_kills")):
        process = subprocess.Popen([sys.executable, "-c", code], env=variables)
        before = written(wal)
        wait_until(lambda b=before: written(wal) > b and figures(stores) is not None)
        time.sleep(0.03 * kill)
        process.kill()
        process.wait()
        with closing(sqlite3.connect(stores.alerts_db)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            untold = "SELECT count(*) FROM alerts WHERE is_open AND key NOT IN (SELECT key FROM notices)"
            assert db.execute(untold).fetchone() == (0,)
    assert figures(stores) is not None


def test_the_heartbeat_alone_sends_no_alert(home, receiver):
    hook, app, port = receiver
    url = f"http://127.0.0.1:{port}/{SECRET}"
    finish(start(home, port, "--heartbeat", "--only-heartbeat", FX_HEARTBEAT_URL=url))
    assert [(request.method, request.path) for request in app.seen] == [("GET", f"/{SECRET}")]
    found = figures(home)
    assert found is not None
    assert found.heartbeat_at is not None
    assert found.waiting == {"desk": 1}
    assert hook.came
