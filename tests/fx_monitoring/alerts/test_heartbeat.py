"""The heartbeat: sent while daemon, monitoring and delivery are well, and for no other reason withheld."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from fx_assets.configuration import load_configuration
from fx_monitoring.alerts import figures, heartbeat
from fx_serving.client.files import atomic_write
from tests.fx_monitoring.alerts.conftest import alert
from tests.servers.faults import FaultApp, dead_port, serve
from tests.servers.receivers import Hook

OPEN = datetime(2026, 11, 17, 15, tzinfo=UTC)  # a Tuesday
WEEKEND = datetime(2026, 11, 21, 15, tzinfo=UTC)
SUNDAY_EVENING = datetime(2026, 11, 22, 22, 20, tzinfo=UTC)  # open for twenty minutes


@pytest.fixture
def made(office, monkeypatch):
    """A desk in market hours, the data clock on the same time, and a health verdict of one minute ago."""
    found = office()

    def at(moment: datetime, verdict_age: timedelta | None = timedelta(minutes=1)):
        found.clock.at = moment
        monkeypatch.setenv("FX_CLOCK", f"{moment.isoformat()}@{datetime.now(UTC).isoformat()}")
        if verdict_age is not None:
            atomic_write(found.stores.health, b"{}")
            when = (moment - verdict_age).timestamp()
            os.utime(found.stores.health, (when, when))
        daemons = {"SENSOR": moment.timestamp() - 20, "SCHEDULER": moment.timestamp() - 30}
        return heartbeat.unwell(found.desk, found.stores, load_configuration(), daemons)

    found.at = at
    return found


def test_all_is_well(made):
    assert made.at(OPEN) == []


def test_monitoring_that_fell_silent_is_not_well(made):
    assert "never written" in made.at(OPEN, None)[0]
    assert "health.json is 50 min old" in made.at(OPEN, timedelta(minutes=50))[0]


def test_at_the_weekend_and_just_after_it_monitoring_rests(made):
    assert made.at(WEEKEND, timedelta(days=1)) == []
    assert made.at(SUNDAY_EVENING, timedelta(days=2)) == []


def test_a_sample_whose_clock_stands_still_is_not_monitored(made, monkeypatch):
    made.at(OPEN, None)
    monkeypatch.setenv("FX_CLOCK", OPEN.isoformat())
    assert heartbeat.unwell(made.desk, made.stores, load_configuration(), {}) == []


def test_a_daemon_that_fell_silent_is_not_well(made):
    made.at(OPEN)
    old = {"SENSOR": OPEN.timestamp(), "SCHEDULER": (OPEN - timedelta(minutes=10)).timestamp()}
    (said,) = heartbeat.unwell(made.desk, made.stores, load_configuration(), old)
    assert said == "the daemon SCHEDULER was last heard of 2026-11-17 14:50 UTC"
    (said,) = heartbeat.unwell(made.desk, made.stores, load_configuration(), {"BACKFILL": None})
    assert said == "the daemon BACKFILL was never heard of"


def test_alerts_that_do_not_get_out_or_in_are_not_well(made):
    made.at(OPEN)
    made.desk.fire(alert("AlertDeliveryFailing/desk", "critical", title="alerts do not reach the route desk"))
    assert made.at(OPEN) == ["alerts do not reach the route desk"]
    made.desk.resolve("AlertDeliveryFailing/desk", "well")
    made.stores.alerts_db.unlink()
    for name in ("alerts.db-wal", "alerts.db-shm"):
        made.stores.alerts_db.with_name(name).unlink(missing_ok=True)
    made.stores.alerts_db.write_bytes(b"no database at all " * 100)
    assert "alerts cannot be recorded" in made.at(OPEN)[0]


def test_a_ping_is_kept_and_its_failure_is_told_without_the_address(made, monkeypatch):
    app = FaultApp(Hook())
    with serve(app) as served:
        monkeypatch.setenv("FX_HEARTBEAT_URL", f"{served.url}/s3cret")
        assert heartbeat.ping(made.desk) is None
        before = figures(made.stores, made.clock())
        app.fault("server_error")
        made.clock.add(minutes=1)
        assert heartbeat.ping(made.desk) == "answered HTTP 500"
        assert app.seen[0].path == "/s3cret"
    for url in (f"http://127.0.0.1:{dead_port()}/s3cret", "no address", "file:///etc/hostname"):
        monkeypatch.setenv("FX_HEARTBEAT_URL", url)
        said = heartbeat.ping(made.desk)
        assert said is not None
        assert "s3cret" not in said
    assert figures(made.stores, made.clock()) == before
