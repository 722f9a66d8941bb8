"""The desk: each trouble once, told once, over once, whatever is reported how often."""

import sqlite3
import tempfile
import threading
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_monitoring.alerts import Alert, Desk, figures
from fx_monitoring.alerts.configuration import AlertsFile
from fx_serving.client.home import Stores
from tests.fx_monitoring.alerts.conftest import Clock, Office, alert


def test_the_same_trouble_is_told_once_and_counted(office):
    made = office()
    assert made.desk.fire(alert())
    for _ in range(4):
        made.clock.add(minutes=5)
        assert not made.desk.fire(alert(detail="now this"))
    assert made.deliver() == ["[WARNING] DiskLow/home is wrong"]
    assert made.deliver() == []
    (found,) = made.desk.open()
    assert (found.count, found.detail) == (5, "now this")
    assert (found.last_seen - found.first_seen).total_seconds() == 1200


def test_a_message_says_what_where_who_since_when_and_what_to_do(office):
    made = office(links={"runbooks": "http://books/"})
    made.desk.fire(alert("DataStale/gold/features", "critical", owner="data", title="no new rows"))
    made.deliver()
    ((_, message),) = made.came
    assert message.subject == "[CRITICAL] no new rows"
    for part in ("what exactly", "Do: mend it", "http://look/here", "http://books/DataStale.md", "Owner: data"):
        assert part in message.body
    assert "2026-11-16 12:00 UTC" in message.body
    assert "fx alerts ack DataStale/gold/features" in message.body


def test_its_end_is_told_once_and_settles_first(office):
    made = office(settle_seconds=120)
    made.desk.fire(alert())
    made.deliver()
    assert made.desk.resolve("DiskLow/home", "there is room")
    assert not made.desk.resolve("DiskLow/home", "again")
    assert made.deliver() == []
    made.clock.add(seconds=121)
    assert made.deliver() == ["[resolved] DiskLow/home is wrong"]
    assert "Over because: there is room" in made.came[-1][1].body
    assert made.desk.open() == []
    assert made.desk.newest(5)[0].why == "there is room"


def test_what_comes_back_at_once_was_never_over(office):
    made = office(settle_seconds=120)
    made.desk.fire(alert())
    made.deliver()
    began = made.desk.open()[0].first_seen
    for _ in range(30):  # a service that is restarted again and again
        made.desk.resolve("DiskLow/home", "well")
        made.clock.add(seconds=60)
        made.deliver()
        made.desk.fire(alert())
        made.clock.add(seconds=60)
        made.deliver()
    assert len(made.came) == 1
    (found,) = made.desk.open()
    assert (found.first_seen, found.count) == (began, 31)


def test_what_comes_back_later_is_told_again(office):
    made = office(settle_seconds=60)
    made.desk.fire(alert())
    made.deliver()
    made.desk.resolve("DiskLow/home", "well")
    made.clock.add(minutes=5)
    made.deliver()
    made.desk.fire(alert())
    assert made.deliver() == ["[WARNING] DiskLow/home is wrong"]
    assert made.desk.open()[0].count == 1


def test_worse_is_told_at_once_and_better_is_not(office):
    made = office()
    for severity in ("warning", "critical", "warning", "critical"):
        made.desk.fire(alert(severity=severity))
        made.deliver()
    assert [message.severity for _, message in made.came] == ["warning", "critical"]


def test_it_is_repeated_until_somebody_has_it(office):
    made = office(routes={"desk": {"repeat_minutes": {"warning": 60}}})
    made.desk.fire(alert())
    made.deliver()
    made.clock.add(minutes=59)
    assert made.deliver() == []
    made.clock.add(minutes=2)
    assert made.deliver() == ["[still WARNING] DiskLow/home is wrong"]
    assert made.desk.ack("DiskLow/home", "kim")
    made.clock.add(hours=5)
    assert made.deliver() == []
    made.desk.fire(alert(severity="critical"))  # that was another promise
    assert made.deliver() == ["[CRITICAL] DiskLow/home is wrong"]
    assert made.desk.open()[0].acked_by is None
    assert not made.desk.ack("DiskLow/other", "kim")


def test_silence_records_and_tells_nobody_until_it_ends(office):
    made = office()
    made.desk.silence("Disk*", made.clock() + timedelta(hours=2), "kim", "maintenance")
    made.desk.fire(alert())
    assert made.deliver() == []
    assert [alert.key for alert in made.desk.open()] == ["DiskLow/home"]
    assert made.desk.silences()[0][0] == "Disk*"
    made.clock.add(hours=3)
    assert made.desk.silences() == []
    assert made.deliver() == ["[WARNING] DiskLow/home is wrong"]


def test_a_silence_also_holds_back_what_waits(office):
    made = office()
    made.desk.fire(alert())
    assert made.desk.silence("DiskLow/home", made.clock().replace(hour=20), "kim", "") == 1
    assert made.deliver() == []


def test_severity_and_owner_choose_the_routes(office):
    made = office(
        routes={"duty": {"severities": ["critical"]}, "data": {"owners": ["data"]}, "desk": {"severities": ["warning"]}}
    )
    made.desk.fire(alert("A/1", "critical"))
    made.desk.fire(alert("B/1", "warning", owner="data"))
    made.desk.fire(alert("C/1", "info"))
    made.deliver()
    told = sorted((address, message.subject.split()[1]) for address, message in made.came)
    assert told == [("json://data.example", "B/1"), ("json://desk.example", "B/1"), ("json://duty.example", "A/1")]


def test_rules_change_or_switch_off(office):
    made = office(rules=[{"match": "A/*", "enabled": False}, {"match": "B/*", "severity": "critical", "owner": "me"}])
    assert not made.desk.fire(alert("A/1"))
    made.desk.fire(alert("B/1"))
    (found,) = made.desk.open()
    assert (found.key, found.severity, found.owner) == ("B/1", "critical", "me")


def test_a_route_without_an_address_tells_nobody_and_nothing_waits(office, monkeypatch):
    made = office()
    monkeypatch.delenv("FX_ALERT_URLS_DESK")
    made.desk.fire(alert())
    assert made.deliver() == []
    found = figures(made.stores, made.clock())
    assert found is not None
    assert (found.open, found.waiting) == ({"warning": 1}, {})
    monkeypatch.setenv("FX_ALERT_URLS", "json://one.example")  # short for that of the first route
    assert made.deliver() == ["[WARNING] DiskLow/home is wrong"]


def test_reconciling_opens_what_is_new_and_ends_what_is_gone(office):
    made = office()
    made.desk.fire(alert("Other/1"))
    assert made.desk.reconcile(["A"], [alert("A/1"), alert("A/2")], "gone") == (2, 0)
    assert made.desk.reconcile(["A"], [alert("A/1"), alert("A/2")], "gone") == (0, 0)
    assert made.desk.reconcile(["A"], [alert("A/2")], "gone") == (0, 1)
    assert sorted(a.key for a in made.desk.open()) == ["A/2", "Other/1"]
    assert {a.count for a in made.desk.open()} == {1}  # looking again is not happening again


def test_a_stream_of_events_is_taken_once(office):
    made = office()
    assert made.desk.apply("runs", "7", [alert("RunFailed/a")], [("RunFailed/b", "well")]) == 1
    assert made.desk.read_to("runs") == "7"
    assert made.desk.read_to("other") is None


def test_a_store_that_cannot_be_written_fails_nobody(office, caplog):
    made = office()
    made.stores.alerts_db.parent.mkdir(parents=True)
    made.stores.alerts_db.write_bytes(b"this is not a database " * 200)
    assert not made.desk.fire(alert())
    assert not made.desk.resolve("DiskLow/home", "well")
    assert "cannot be recorded" in caplog.text


@pytest.mark.parametrize("key", ["nothing", "/x", "x/"])
def test_a_key_names_its_runbook(key):
    with pytest.raises(ValueError, match="key is <Name>"):
        alert(key)


def test_many_threads_and_desks_make_one_alert(tmp_path):
    stores, clock = Stores(tmp_path), Clock()
    desks = [Desk(stores, AlertsFile(), clock) for _ in range(8)]
    threads = [threading.Thread(target=lambda d=d: [d.fire(alert()) for _ in range(5)]) for d in desks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [a.count for a in desks[0].open()] == [40]
    with sqlite3.connect(stores.alerts_db) as db:
        assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)


ACTS = ("fire", "worse", "resolve", "wait", "deliver", "break", "mend")
STEPS = st.lists(
    st.tuples(st.sampled_from(ACTS), st.sampled_from("abc")),
    max_size=25,
)


@given(STEPS)
def test_whatever_happens_receivers_end_up_knowing_what_is_so(steps):
    """And of each trouble they never hear twice in a row that it began, nor that it is over."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FX_ALERT_URLS_DESK", "json://desk.example")
        keys: dict[str, Any] = {"routes": {"desk": {"limit": {"messages": 1000}}}, "settle_seconds": 60}
        keys["routes"]["desk"]["repeat_minutes"] = {"warning": 0, "critical": 0}
        made = Office(Stores(Path(folder)), Clock(), AlertsFile.model_validate(keys))
        for step, name in steps:
            key = f"Trouble/{name}"
            if step in ("fire", "worse"):
                made.desk.fire(alert(key, "critical" if step == "worse" else "warning"))
            elif step == "resolve":
                made.desk.resolve(key, "well")
            elif step == "deliver":
                made.deliver()
            elif step == "wait":
                made.clock.add(seconds=45)
            else:
                made.broken = {"json://desk.example": "down"} if step == "break" else {}
        made.broken = {}
        for _ in range(5):
            made.clock.add(minutes=70)
            made.deliver()
        now_open = {a.key for a in made.desk.open()}
        for name in "abc":
            key = f"Trouble/{name}"
            told = [m for _, m in made.came if m.key == key]
            assert bool(told and not told[-1].resolved) == (key in now_open)
            for before, after in pairwise(told):
                assert before.resolved != after.resolved or before.severity != after.severity


def test_the_example_of_an_alert_is_whole():
    assert Alert(key="A/b", severity="info", owner="x", title="t", detail="d", link="l", remedy="r").name == "A"
