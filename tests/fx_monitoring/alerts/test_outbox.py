"""What goes out when: not too much at once, not at night, in order, again when it failed, and not for ever."""

import sqlite3
from datetime import UTC, datetime

from fx_monitoring.alerts import AlertFigures, figures
from fx_monitoring.alerts.desk import Desk
from fx_monitoring.alerts.outbox import Outbox
from tests.fx_monitoring.alerts.conftest import alert

NIGHT = {"quiet": {"start": "22:00", "end": "07:00", "timezone": "Asia/Singapore"}}
SINGAPORE_MIDNIGHT = datetime(2026, 11, 16, 16, tzinfo=UTC)


def rows(made, sql):
    with sqlite3.connect(made.stores.alerts_db) as db:
        return db.execute(sql).fetchall()


def told_of(made) -> AlertFigures:
    found = figures(made.stores, made.clock())
    assert found is not None
    return found


# ---- a storm ------------------------------------------------------------------------------------------------------


def test_a_storm_becomes_a_few_messages_and_a_summary(office):
    made = office(routes={"desk": {"limit": {"messages": 5, "minutes": 10}}})
    for number in range(200):
        made.desk.fire(alert(f"CheckFailed/table_{number:03}"))
    told = made.deliver()
    assert len(told) == 5
    assert told[4] == "[196 alerts] in one message, to spare you a storm: 196 open, 0 resolved"
    assert "and 176 more" in made.came[-1][1].body
    assert made.deliver() == []
    assert told_of(made).waiting == {}


def test_beyond_the_limit_messages_wait_and_come_as_one(office):
    made = office(routes={"desk": {"limit": {"messages": 2, "minutes": 10}}})
    for number in range(2):
        made.desk.fire(alert(f"A/{number}"))
        assert len(made.deliver()) == 1
    for number in range(2, 9):
        made.desk.fire(alert(f"A/{number}"))
        assert made.deliver() == []
    made.clock.add(minutes=11)
    told = made.deliver()
    assert told[0] == "[WARNING] A/2 is wrong"
    assert told[1].startswith("[6 alerts]")
    assert len(told) == 2


def test_a_storm_of_warnings_keeps_no_critical_one_waiting(office):
    made = office(routes={"desk": {"limit": {"messages": 2, "minutes": 10}}})
    for number in range(30):
        made.desk.fire(alert(f"A/{number:02}"))
    made.deliver()
    made.desk.fire(alert("ServiceDown/all", "critical"))
    assert made.deliver() == ["[CRITICAL] ServiceDown/all is wrong"]


def test_the_worst_comes_first_and_names_of_the_summary_too(office):
    made = office(routes={"desk": {"limit": {"messages": 2}}})
    made.desk.fire(alert("A/info", "info"))
    made.desk.fire(alert("A/warning"))
    made.desk.fire(alert("A/critical", "critical"))
    made.desk.fire(alert("A/more"))
    told = made.deliver()
    assert told[:2] == ["[CRITICAL] A/critical is wrong", "[WARNING] A/warning is wrong"]
    body = made.came[-1][1].body
    assert body.index("A/more") < body.index("A/info")


def test_each_route_has_its_own_limit(office):
    made = office(routes={"a": {"limit": {"messages": 2}}, "b": {}})
    for number in range(6):
        made.desk.fire(alert(f"A/{number}"))
    told = made.deliver()
    assert len(told) == 2 + 6


def test_a_restart_tells_nothing_again(office):
    """Every process begins with new objects; what is open stays open, and repeats keep their times."""
    made = office()
    for number in range(5):
        made.desk.fire(alert(f"A/{number}"))
    made.deliver()
    for _ in range(10):
        again = Desk(made.stores, made.configuration, made.clock)
        again.reconcile(["A"], [alert(f"A/{number}") for number in range(5)], "gone")
        made.clock.add(seconds=10)
        assert made.deliver() == []


def test_after_a_long_stop_reminders_are_few_too(office):
    made = office(routes={"desk": {"limit": {"messages": 3}, "repeat_minutes": {"warning": 60}}})
    for number in range(40):
        made.desk.fire(alert(f"A/{number:02}"))
    made.deliver()
    made.clock.add(hours=9)
    assert len(made.deliver()) == 3


# ---- quiet hours --------------------------------------------------------------------------------------------------


def test_at_night_only_what_is_critical_is_told_and_a_digest_follows(office):
    made = office(routes={"desk": NIGHT}, settle_seconds=60)
    made.clock.at = SINGAPORE_MIDNIGHT
    made.desk.fire(alert("DataStale/x", "critical"))
    made.desk.fire(alert("FeatureDrift/x"))
    made.desk.fire(alert("CheckFailed/x", "info"))
    assert made.deliver() == ["[CRITICAL] DataStale/x is wrong"]
    made.clock.add(hours=1)
    made.desk.resolve("FeatureDrift/x", "calm again")
    made.desk.resolve("DataStale/x", "rows came")
    made.clock.add(minutes=5)
    assert made.deliver() == ["[resolved] DataStale/x is wrong"]
    made.clock.add(hours=6)
    digest = made.deliver()
    assert digest == ["[2 alerts] during quiet hours: 1 open, 1 resolved"]
    body = made.came[-1][1].body
    assert "CheckFailed/x" in body
    assert "[resolved] FeatureDrift/x" in body
    assert made.deliver() == []


def test_what_becomes_critical_at_night_does_not_wait_behind_its_warning(office):
    made = office(routes={"desk": NIGHT})
    made.clock.at = SINGAPORE_MIDNIGHT
    made.desk.fire(alert())
    assert made.deliver() == []
    made.desk.fire(alert(severity="critical"))
    assert made.deliver() == ["[CRITICAL] DiskLow/home is wrong"]
    made.clock.add(hours=8)
    assert [subject for subject in made.deliver() if not subject.startswith("[still")] == []


def test_a_digest_of_one_is_that_one(office):
    made = office(routes={"desk": NIGHT})
    made.clock.at = SINGAPORE_MIDNIGHT
    made.desk.fire(alert())
    made.deliver()
    made.clock.add(hours=8)
    assert made.deliver() == ["[WARNING] DiskLow/home is wrong"]


# ---- what cannot be sent ------------------------------------------------------------------------------------------


def test_a_failure_is_tried_again_with_growing_pauses_and_never_lost_before_the_limit(office):
    made = office(delivery={"attempts": 5, "first_retry_seconds": 30, "longest_retry_minutes": 2})
    made.broken = {"json://desk.example": "down"}
    made.desk.fire(alert())
    times = []
    for second in range(0, 900, 10):
        before = rows(made, "SELECT attempts FROM notices")
        assert made.deliver() == []
        if rows(made, "SELECT attempts FROM notices") != before:
            times.append(second)
        made.clock.add(seconds=10)
    assert times == [0, 30, 90, 210, 330]
    assert rows(made, "SELECT state, error FROM notices") == [("failed", "address 1 of 1: down")]
    assert told_of(made).failed == {"desk": 1}
    made.broken = {}
    made.clock.add(days=1)  # the reminder finds the way again
    assert made.deliver() == ["[still WARNING] DiskLow/home is wrong"]
    assert told_of(made).failed == {}


def test_when_it_works_again_everything_goes_at_once(office):
    made = office(delivery={"first_retry_seconds": 30, "longest_retry_minutes": 60})
    made.broken = {"json://desk.example": "down"}
    for number in range(3):
        made.desk.fire(alert(f"A/{number}"))
    for _ in range(60):
        made.deliver()
        made.clock.add(seconds=60)
    assert sum(attempts for (attempts,) in rows(made, "SELECT attempts FROM notices")) < 25
    made.broken = {}
    made.clock.add(minutes=61)
    assert len(made.deliver()) == 3


def test_new_ones_do_not_all_find_out_that_a_route_is_broken(office):
    made = office()
    made.broken = {"json://desk.example": "down"}
    for number in range(50):
        made.desk.fire(alert(f"A/{number}"))
    for _ in range(5):
        made.deliver()
        made.clock.add(seconds=5)
    assert rows(made, "SELECT sum(attempts) FROM notices") == [(1,)]


def test_its_end_does_not_overtake_its_beginning(office):
    made = office(settle_seconds=0)
    made.broken = {"json://desk.example": "down"}
    made.desk.fire(alert())
    made.deliver()
    made.desk.resolve("DiskLow/home", "well")
    made.deliver()
    made.broken = {}
    for _ in range(4):
        made.clock.add(seconds=40)
        made.deliver()
    assert [message.resolved for _, message in made.came] == [False, True]


def test_an_address_that_has_it_is_not_told_twice(office, monkeypatch):
    made = office()
    monkeypatch.setenv("FX_ALERT_URLS_DESK", "json://one.example json://two.example")
    made.broken = {"json://two.example": "down"}
    made.desk.fire(alert())
    assert len(made.deliver()) == 1
    assert told_of(made).waiting == {"desk": 1}
    made.broken = {}
    made.clock.add(seconds=31)
    made.deliver()
    assert [address for address, _ in made.came] == ["json://one.example", "json://two.example"]


def test_a_courier_that_dies_while_sending_is_followed_by_few_others(office):
    """Taken and never marked: again when the lease is over, and never more often than allowed."""
    made = office(delivery={"attempts": 4})
    made.desk.fire(alert())
    outbox = Outbox(Desk(made.stores, made.configuration, made.clock))
    taken = 0
    for _ in range(60):
        taken += len(outbox.take("desk"))
        made.clock.add(seconds=30)
    assert taken == 4
    assert rows(made, "SELECT state FROM notices") == [("failed",)]


def test_two_couriers_at_once_send_once(office):
    made = office()
    made.desk.fire(alert())
    outboxes = [Outbox(Desk(made.stores, made.configuration, made.clock)) for _ in range(2)]
    assert [len(outbox.take("desk")) for outbox in outboxes] == [1, 0]


# ---- tidiness -----------------------------------------------------------------------------------------------------


def test_old_things_go_and_what_is_open_stays_told(office):
    made = office(keep_days=30, routes={"desk": {"repeat_minutes": {"warning": 0}}})
    made.desk.fire(alert("A/open"))
    made.desk.fire(alert("A/over"))
    made.deliver()
    made.desk.resolve("A/over", "well")
    made.clock.add(minutes=10)
    made.deliver()
    made.clock.add(days=31)
    assert made.deliver() == []
    made.clock.add(minutes=1)
    assert made.deliver() == []
    assert rows(made, "SELECT key FROM alerts") == [("A/open",)]
    assert rows(made, "SELECT count(*) FROM notices") == [(1,)]


def test_what_waits_for_a_route_that_is_gone_is_forgotten(office, monkeypatch):
    made = office()
    made.desk.fire(alert())
    monkeypatch.delenv("FX_ALERT_URLS_DESK")
    made.deliver()
    assert rows(made, "SELECT state FROM notices") == [("dropped",)]


def test_ready_says_what_a_courier_would_do(office):
    made = office(routes={"desk": {"limit": {"messages": 2}}, "other": {"severities": ["critical"]}})
    outbox = Outbox(made.desk)
    assert outbox.ready(["desk", "other"]) == []
    for number in range(5):
        made.desk.fire(alert(f"A/{number}"))
    assert outbox.ready(["desk", "other"]) == ["desk"]
    made.deliver()
    made.desk.fire(alert("A/9"))
    assert outbox.ready(["desk", "other"]) == []  # over the limit: no process is started in vain
