"""What a dead receiver, a wrong clock, a silence or a long life must not do to the alerts."""

import socketserver
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import timedelta

import pytest
import yaml

from fx_monitoring.alerts import watch
from fx_monitoring.alerts.courier import Courier
from fx_monitoring.alerts.desk import Desk
from fx_monitoring.alerts.outbox import Outbox
from fx_monitoring.redact import without_credentials
from fx_serving.client.home import Stores
from tests.fx_monitoring.alerts.conftest import alert
from tests.servers.platform import environment

# ---- the same trouble another time --------------------------------------------------------------------------------


def test_a_route_that_wants_no_resolved_notices_is_told_of_the_next_occurrence(office):
    made = office(routes={"desk": {"resolved": False}})
    made.desk.fire(alert())
    assert made.deliver() == ["[WARNING] DiskLow/home is wrong"]
    made.desk.resolve("DiskLow/home", "room again")
    made.clock.add(hours=3)
    made.desk.fire(alert())
    assert made.deliver() == ["[WARNING] DiskLow/home is wrong"]


def test_what_ends_while_it_is_silenced_is_told_as_over_and_told_when_it_comes_again(office):
    """An incident that was opened at PagerDuty would stay open for ever."""
    made = office()
    made.desk.fire(alert())
    made.deliver()
    made.desk.silence("DiskLow/*", made.clock() + timedelta(hours=1), "kim", "")
    made.desk.resolve("DiskLow/home", "room again")
    assert made.deliver() == []
    made.clock.add(hours=1, minutes=1)
    assert made.deliver() == ["[resolved] DiskLow/home is wrong"]
    made.desk.fire(alert())
    assert made.deliver() == ["[WARNING] DiskLow/home is wrong"]


def test_one_that_comes_back_within_its_silence_is_told_at_its_end_as_what_it_is(office):
    made = office()
    made.desk.fire(alert())
    made.deliver()
    made.desk.silence("DiskLow/*", made.clock() + timedelta(hours=1), "kim", "")
    made.desk.resolve("DiskLow/home", "room again")
    made.clock.add(minutes=30)
    made.desk.fire(alert())
    made.clock.add(hours=1)
    assert made.deliver() == [], "it was never told that it was over"
    assert [found.count for found in made.desk.open()] == [2]


def test_an_alert_that_stays_longer_than_notices_are_kept_is_not_news(office):
    made = office(routes={"desk": {"repeat_minutes": {"warning": 0}}}, keep_days=1, settle_seconds=600)
    made.desk.fire(alert())
    made.deliver()
    made.desk.resolve("DiskLow/home", "for a moment")
    made.desk.fire(alert())  # the notice that it is over is dropped, and is the newest one
    made.clock.add(days=2)
    assert made.deliver() == []
    assert made.deliver() == []


# ---- receivers ----------------------------------------------------------------------------------------------------


def two_addresses(made, monkeypatch) -> tuple[str, str]:
    addresses = ("json://well.example", "json://dead.example")
    monkeypatch.setenv("FX_ALERT_URLS_DESK", " ".join(addresses))
    return addresses


def test_a_dead_address_keeps_no_message_from_the_one_that_is_well(office, monkeypatch):
    made = office()
    well, dead = two_addresses(made, monkeypatch)
    made.broken[dead] = "no connection"
    made.desk.fire(alert("A/first"))
    made.deliver()
    made.clock.add(seconds=31)
    made.deliver()  # again to the dead one, and in vain
    made.desk.fire(alert("ServiceDown/all", "critical"))
    made.deliver()
    assert [m.subject for address, m in made.came if address == well] == [
        "[WARNING] A/first is wrong",
        "[CRITICAL] ServiceDown/all is wrong",
    ]


def test_news_goes_before_what_is_repeated_to_a_dead_address(office, monkeypatch):
    """Each attempt may take half a minute, and a courier has three quarters of one."""
    made = office()
    _, dead = two_addresses(made, monkeypatch)
    made.broken[dead] = "no connection"
    for number in range(3):
        made.desk.fire(alert(f"A/{number}"))
    made.deliver()
    made.clock.add(minutes=5)
    made.desk.fire(alert("ServiceDown/all", "critical"))
    (taken,) = Outbox(Desk(made.stores, made.configuration, made.clock)).take("desk")
    assert taken.key == "ServiceDown/all"


def test_an_address_that_has_a_message_is_not_sent_it_again_because_another_one_hangs(office, monkeypatch):
    made = office(delivery={"timeout_seconds": 5})
    well, dead = two_addresses(made, monkeypatch)
    going = threading.Event()
    came = []

    def send(address, message):
        came.append(address)
        if address == dead:
            going.wait(120)
        return None

    made.desk.fire(alert())
    try:
        Courier(Desk(made.stores, made.configuration, made.clock), send).run()
        made.clock.add(minutes=10)
        Courier(Desk(made.stores, made.configuration, made.clock), send).run()
    finally:
        going.set()
    assert came == [well, dead, dead]


def test_a_message_for_which_no_time_is_left_is_left_to_the_next_courier(office):
    """It would be cut off on its way, and sent a second time."""
    made = office(delivery={"timeout_seconds": 5})
    begun = []

    def send(address, message):
        begun.append(message.subject)
        time.sleep(2)

    for number in range(4):
        made.desk.fire(alert(f"A/{number}"))
    Courier(Desk(made.stores, made.configuration, made.clock), send).run()
    assert len(begun) == 2
    with closing(sqlite3.connect(made.stores.alerts_db)) as db:
        states = db.execute("SELECT state, attempts FROM notices ORDER BY id").fetchall()
    assert states == [("sent", 1), ("sent", 1), ("waiting", 0), ("waiting", 0)]


def test_what_was_given_up_is_told_when_the_route_works_again(office):
    """A notice that repeats never, or daily, would be lost to people, or nearly."""
    made = office(delivery={"attempts": 2, "first_retry_seconds": 1})
    made.broken["json://desk.example"] = "no connection"
    made.desk.fire(alert("A/b", "info"))
    for _ in range(4):
        made.deliver()
        made.clock.add(minutes=2)
    made.broken = {}
    made.desk.fire(alert("C/d", "info"))
    assert made.deliver() == ["[INFO] C/d is wrong"]
    assert made.deliver() == ["[INFO] A/b is wrong"]
    made.clock.add(minutes=2)
    assert made.deliver() == []


def test_messages_that_no_courier_ever_takes_are_noticed(office):
    """A delivery that is switched off, or whose process cannot start, tries nothing: that must not look well."""
    made = office()
    made.desk.fire(alert("A/b"))
    watch.look(made.desk, made.stores)
    assert [found.key for found in made.desk.open()] == ["A/b"]
    made.clock.add(minutes=25)
    watch.look(made.desk, made.stores)
    assert "AlertDeliveryFailing/desk" in [found.key for found in made.desk.open()]
    made.deliver()
    watch.look(made.desk, made.stores)
    assert "AlertDeliveryFailing/desk" not in [found.key for found in made.desk.open()]


# ---- a clock that was wrong ---------------------------------------------------------------------------------------


def test_a_clock_that_is_set_back_keeps_no_message_waiting(office):
    made = office(routes={"desk": {"limit": {"messages": 2, "minutes": 10}}})
    made.clock.add(days=2)  # it is two days fast
    made.broken["json://desk.example"] = "no connection"
    made.desk.fire(alert("A/tried"))
    made.deliver()
    made.broken = {}
    made.desk.fire(alert("A/sent", "critical"))
    made.clock.add(minutes=2)
    assert len(made.deliver()) == 2
    made.desk.fire(alert("A/more", "critical"))
    made.desk.fire(alert("A/most", "critical"))
    made.deliver()
    made.broken["json://desk.example"] = "no connection"
    made.desk.fire(alert("B/tried"))
    made.deliver()
    made.broken = {}
    made.clock.add(days=-2)  # and is set right
    made.desk.fire(alert("ServiceDown/all", "critical"))
    told = made.deliver()
    assert "[CRITICAL] ServiceDown/all is wrong" in told
    assert "[WARNING] B/tried is wrong" in told


# ---- files that were cut ------------------------------------------------------------------------------------------


def test_a_line_that_was_cut_blinds_nobody(office):
    made = office()
    path = made.stores.home / "monitoring" / "repairs.ndjson"
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = b'{"file":"a/state.db","at":"2026-11-16T10:00:00Z","set_aside":"x","restored_from":null,"why":"bad"}\n'
    path.write_bytes(b'{"file": "serving/st\n{"file": "\xff"}\n' + whole + b'{"file": "o')
    assert watch.repairs(made.desk, made.stores) == 1
    assert [found.key for found in made.desk.open()] == ["FileRestored/state.db"]
    path.write_bytes(path.read_bytes() + b"\n" + whole.replace(b"state.db", b"late.db").replace(b"T10", b"T09"))
    assert watch.repairs(made.desk, made.stores) == 1, "a clock that was set back hides no repair"
    assert watch.repairs(made.desk, made.stores) == 0


# ---- secrets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "postgresql://fx:p@ss-s3cret@db.example/fx refused",
        "redis://:s3cret/with/slashes@127.0.0.1:6379/0: no answer",
        "Client error '401' for url 'https://api.example/query?symbol=EUR&apikey=s3cret'",
        "GET https://api.example/v1?token=s3cret&x=1 failed",
        "https://hooks.slack.com/services/T000/B000/s3cret: 404",
    ],
)
def test_words_of_others_lose_their_secrets(words):
    told = without_credentials(words)
    assert "s3cret" not in told
    assert told.split("://")[0] == words.split("://")[0]


@pytest.mark.parametrize("tail", ["s3cr3tT0ken with a space", "\ts3cr3tT0ken"])
def test_a_heartbeat_address_that_http_refuses_is_in_no_traceback(tmp_path, tail):
    said = heartbeat(tmp_path, f"http://127.0.0.1:9/{tail}")
    assert "s3cr3tT0ken" not in said
    assert "Traceback" not in said


def heartbeat(home, url: str) -> str:
    variables = environment(FX_HOME=str(home), FX_HEARTBEAT_URL=url)
    command = [sys.executable, "-m", "fx_monitoring.alerts.courier", "--heartbeat", "--only-heartbeat"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=240, check=False)
    return done.stdout + done.stderr


def test_a_heartbeat_that_is_answered_a_byte_at_a_time_ends(tmp_path):
    """Each byte is an answer in time; the next heartbeat would wait for this one for ever."""
    stores = Stores(tmp_path)
    (stores.home / "config").mkdir()
    (stores.home / "config" / "alerts.yaml").write_text(yaml.safe_dump({"delivery": {"timeout_seconds": 5}}))
    ended = threading.Event()

    class Drip(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while not ended.wait(0.2):
                try:
                    self.request.sendall(b"x")
                except OSError:
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Drip) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        began = time.monotonic()
        try:
            heartbeat(tmp_path, f"http://127.0.0.1:{server.server_address[1]}/beat")
        finally:
            ended.set()
            server.shutdown()
    assert time.monotonic() - began < 40
