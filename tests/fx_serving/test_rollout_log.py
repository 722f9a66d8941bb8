"""The controller's database as others read it: real rollouts, and a trail that was tampered with."""

import sqlite3

import pytest

from fx_serving.client import rollout_log
from fx_serving.client.rollout_log import RolloutLogError


def test_what_the_running_service_recorded_is_read_beside_it(service):
    path = service.stores.state_db
    # Other tests of this service deploy other models, too.
    served = {model: slots["blue"]["version"] for model, slots in service.client.traffic()["models"].items()}
    assert rollout_log.deployed(path) == served
    assert served["move_60m"] == "1"
    listed = rollout_log.rollouts_of(path, "move_60m", "1")
    assert {(r["model"], r["version"]) for r in listed} == {("move_60m", "1")}
    assert [r["created_at"] for r in listed] == sorted((r["created_at"] for r in listed), reverse=True)
    found = next(r for r in listed if r["state"] == "succeeded")
    assert rollout_log.rollout(path, found["id"]) == found
    assert service.client.rollout(found["id"])["version"] == found["version"]
    assert rollout_log.rollout(path, "nobody") is None
    assert rollout_log.rollouts_of(path, "move_60m", "99") == []
    assert rollout_log.broken_audit(path) is None


def test_a_changed_audit_record_is_found(service, tmp_path):
    copy = tmp_path / "state.db"
    with sqlite3.connect(service.stores.state_db) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    assert rollout_log.broken_audit(copy) is None
    with sqlite3.connect(copy) as db:
        db.execute("UPDATE audit SET why = 'because' WHERE seq = 2")
    assert rollout_log.broken_audit(copy) == 2
    with sqlite3.connect(copy) as db:
        db.execute("DELETE FROM audit WHERE seq = 1")
    assert rollout_log.broken_audit(copy) == 1


def test_reading_changes_nothing(service, tmp_path):
    copy = tmp_path / "state.db"
    with sqlite3.connect(service.stores.state_db) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    before = copy.read_bytes()
    rollout_log.deployed(copy)
    rollout_log.rollouts_of(copy, "move_60m", "1")
    assert copy.read_bytes() == before


def test_no_database_is_no_rollout_and_a_damaged_one_is_named(tmp_path):
    path = tmp_path / "state.db"
    assert rollout_log.deployed(path) == {}
    assert rollout_log.rollout(path, "r") is None
    assert rollout_log.broken_audit(path) is None
    assert not path.exists()
    path.write_bytes(b"no database" * 100)
    with pytest.raises(RolloutLogError, match=r"state\.db: cannot be read: .*backup"):
        rollout_log.deployed(path)
