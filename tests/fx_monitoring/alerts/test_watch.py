"""From the files that others leave to alerts: each opens once, ends by itself, and what cannot be read ends nothing."""

from typing import Any

import msgspec
import pytest

from fx_monitoring.alerts import watch
from fx_serving.client.files import atomic_write
from tests.fx_monitoring.alerts.conftest import alert


@pytest.fixture
def made(office):
    # So much room has no disk of a test: its alert is tested apart.
    found = office(disk={"warning_gib": 0, "critical_gib": 0})
    found.stores.home.mkdir()
    return found


def put(made, path, content) -> None:
    target = made.stores.home / "monitoring" / path
    atomic_write(target, content if isinstance(content, bytes) else msgspec.json.encode(content))


def look(made) -> dict[str, str]:
    """The severity of what is open, by key."""
    assert watch.look(made.desk, made.stores) == []
    return {found.key: found.severity for found in made.desk.open()}


def drift(action: str, level: str = "critical") -> dict:
    explains = [{"feature": "realised_24", "psi": 0.41, "share": 0.8}]
    decision = {"reasons": ["0.41 is above 0.25", "1 of 2 sessions"]}
    base = {"format": 2, "model": "move_60m", "version": "3", "session": "2026-11-16", "level": level}
    return {**base, "action": action, "explains": explains, "decision": decision}


def test_nothing_there_is_nothing_wrong(made):
    assert look(made) == {}


def test_drift_by_its_action_and_a_broken_feed_apart(made):
    for action, wanted in [
        ("alert", {"FeatureDrift/move_60m": "warning"}),
        ("retrain", {"FeatureDrift/move_60m": "critical"}),
        ("hold", {"FeatureDrift/move_60m": "warning"}),
        ("block", {"FeedBroken/move_60m": "critical"}),
        ("log", {}),
        ("none", {}),
    ]:
        put(made, "drift/move_60m.json", drift(action))
        assert look(made) == wanted
    put(made, "drift/move_60m.json", drift("alert"))
    look(made)
    (found,) = made.desk.open()
    assert "realised_24 (PSI 0.41)" in found.detail
    assert "action alert; 0.41 is above 0.25; 1 of 2 sessions. Most of it" in found.detail
    assert found.link.endswith("/assets/drift_report")


def test_a_status_of_an_earlier_format_is_not_an_alert(made):
    put(made, "drift/move_60m.json", {"format": 1, "model": "move_60m", "session": "2026-11-16", "level": "critical"})
    assert look(made) == {}


def test_quality_of_all_instruments_counts(made):
    row = {"instrument": "all", "window": "20d", "n": 900, "verdict": "worse"}
    kept = {"format": 1, "model": "move_60m", "session": "2026-11-16", "at": "2026-11-16T12:00:00Z"}
    put(made, "quality/move_60m.json", {**kept, "rows": [row, {**row, "instrument": "EUR_USD"}]})
    assert look(made) == {"ModelQualityDrop/move_60m": "warning"}
    put(made, "quality/move_60m.json", {**kept, "rows": [row | {"verdict": "good"}, row | {"instrument": "X"}]})
    assert look(made) == {}


def test_health_is_one_alert_of_its_worst_colour(made):
    tier = {"name": "drawdown", "status": "RED", "value": 17.0, "limit": 15.0, "why": "17 % lost", "remedy": "stop it"}
    for status, wanted in [
        ("YELLOW", {"QuantHealthYellow/all": "warning"}),
        ("RED", {"QuantHealthRed/all": "critical"}),
        ("GREEN", {}),
    ]:
        tiers = [{**tier, "name": "sharpe", "status": "YELLOW"}] if status == "RED" else []
        tiers += [{**tier, "status": status}, {**tier, "name": "drift", "status": "GREEN"}]
        put(made, "health.json", {"status": status, "at": "2026-11-16T12:00:00Z", "tiers": tiers})
        assert look(made) == wanted
        if wanted:
            (found,) = made.desk.open()
            assert (found.remedy, found.title) == ("stop it", f"quant health is {status}: drawdown")
            assert ("sharpe YELLOW: 17 % lost." in found.detail) is (status == "RED")


def test_a_failed_environment_check_says_what_to_mend(made):
    finding = {"good": False, "what": "0.3 GiB free", "remedy": "free some"}
    put(made, "environment.json", {"format": 1, "at": "2026-11-15T21:00:00Z", "passed": False, "findings": [finding]})
    assert look(made) == {"EnvironmentBlocked/trading": "critical"}
    assert made.desk.open()[0].detail == "0.3 GiB free: free some"
    put(made, "environment.json", {"format": 1, "at": "2026-11-15T21:00:00Z", "passed": True, "findings": []})
    assert look(made) == {}


def test_late_rows_for_a_day_and_budgets_by_their_state(made):
    missed = {"run_id": "r1", "job": "nightly_close", "row": "nightly_close", "why": "took 131 min of 120"}
    row = {"name": "data", "target": 0.99, "achieved": 0.98, "window_days": 30, "budget_left": 0.1, "runs": 800}
    at = made.clock().isoformat()
    rows = [{**row, "status": "burning", "missed": [{**missed, "at": at}, {**missed, "why": "failed", "at": at}]}]
    put(made, "slo.json", {"format": 1, "at": at, "rows": rows})
    assert look(made) == {"SlaMissed/nightly_close": "warning", "SloBudgetLow/data": "warning"}
    made.deliver()
    rows[0]["status"] = "exhausted"
    put(made, "slo.json", {"format": 1, "at": at, "rows": rows})
    made.clock.add(hours=25)
    assert look(made) == {"SloBudgetLow/data": "critical"}
    rows[0] |= {"status": "no runs", "budget_left": None, "achieved": None, "missed": []}
    put(made, "slo.json", {"format": 1, "at": at, "rows": rows})
    assert look(made) == {}


def test_a_disk_that_fills(office):
    full = office(disk={"warning_gib": 10**6, "critical_gib": 0})
    full.stores.home.mkdir()
    assert look(full) == {"DiskLow/home": "warning"}
    full = office(disk={"warning_gib": 10**6, "critical_gib": 10**6})
    assert look(full) == {"DiskLow/home": "critical"}


def test_delivery_that_fails_is_itself_an_alert_and_ends_with_the_next_success(made):
    made.broken = {"json://desk.example": "down"}
    made.desk.fire(alert("A/b"))
    for _ in range(12):
        made.deliver()
        made.clock.add(minutes=1)
    assert look(made) == {"A/b": "warning", "AlertDeliveryFailing/desk": "critical"}
    made.broken = {}
    made.clock.add(minutes=30)
    made.deliver()
    assert look(made) == {"A/b": "warning"}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"status": "RED"}', b"\x00" * 40])
def test_what_cannot_be_read_is_said_and_ends_nothing(made, content):
    tier = {"name": "x", "status": "RED", "why": "y"}
    put(made, "health.json", {"status": "RED", "at": "x", "tiers": [tier]})
    look(made)
    put(made, "health.json", content)
    (said,) = watch.look(made.desk, made.stores)
    assert said.startswith("QuantHealthRed: ")
    assert [found.key for found in made.desk.open()] == ["QuantHealthRed/all"]


def test_each_repair_is_told_once_and_stays_closed(made):
    entry: dict[str, Any] = {
        "file": "serving/state.db",
        "set_aside": "state.db.bad",
        "restored_from": "copies/7",
        "why": "malformed",
    }
    lines = [{**entry, "at": "2026-11-16T10:00:00Z"}]
    put(made, "repairs.ndjson", b"\n".join(map(msgspec.json.encode, lines)) + b"\n")
    assert watch.repairs(made.desk, made.stores) == 1
    assert made.desk.resolve("FileRestored/state.db", "looked at")
    assert watch.repairs(made.desk, made.stores) == 0
    assert made.desk.open() == []
    lines.append({**entry, "at": "2026-11-16T11:00:00+00:00", "restored_from": None})
    put(made, "repairs.ndjson", b"\n".join(map(msgspec.json.encode, lines)) + b"\n")
    made.clock.add(hours=1)
    assert watch.repairs(made.desk, made.stores) == 1
    (found,) = made.desk.open()
    assert "begun anew" in found.title
    assert found.severity == "critical"


def test_looking_again_costs_no_message(made):
    put(made, "drift/move_60m.json", drift("alert"))
    look(made)
    assert len(made.deliver()) == 1
    for _ in range(20):
        made.clock.add(minutes=1)
        look(made)
        assert made.deliver() == []
