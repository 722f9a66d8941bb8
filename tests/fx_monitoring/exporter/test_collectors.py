"""Each collector against the files and databases of a home, written by the code that writes them in earnest."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest
import sqlalchemy
import yaml

from fx_assets.stack.environment import INSTANCE
from fx_monitoring.exporter.background import Background, Collector
from fx_monitoring.exporter.collectors import (
    alerts,
    build,
    drift,
    freshness,
    health,
    machine,
    missing,
    online_store,
    quality,
    redis,
    rollouts,
    runs,
    schema,
    slo,
    trading,
)
from fx_monitoring.exporter.collectors.instance import SharedInstance
from fx_serving.client.home import Stores
from fx_serving.client.rollout_log import RolloutLogError
from tests.servers.monitored import CLOCK, MODEL, NOW, MonitoredHome
from tests.servers.postgres import postgres_server
from tests.servers.redis import RedisServer

Figures = dict[tuple[str, ...], float]


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setenv("FX_CLOCK", CLOCK)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Iterator[MonitoredHome]:
    before = os.environ.get("FX_CLOCK")
    os.environ["FX_CLOCK"] = CLOCK
    made = MonitoredHome(tmp_path_factory.mktemp("watched"))
    yield made
    made.instance.dispose()
    os.environ.pop("FX_CLOCK") if before is None else os.environ.update(FX_CLOCK=before)


def figures(collector: Collector) -> Figures:
    """One attempt; asserts that it is well and within its limit."""
    work = Background(collector)
    work.once()
    state = work.state()
    assert state.up, state.problem
    return {(sample.name, *sample.labels): sample.value for sample in state.samples}


def test_an_empty_home_has_no_figures_and_no_failure(tmp_path, home):
    for collector in build(Stores(tmp_path), home.configuration):
        work = Background(collector)
        work.once()
        assert work.state().up, (collector.name, work.state().problem)
    assert not list(tmp_path.iterdir()), "the exporter only reads"


def test_freshness(home):
    collector = freshness.build(home.stores, home.configuration)
    found = figures(collector)
    assert found["data_freshness_hours", "silver", "candles"] == 0
    assert found["fx_data_freshness_limit_hours", "silver", "candles"] == 1.25
    assert found["fx_market_open",] == 1
    assert found["fx_market_open_seconds",] > 3 * 86400
    home.tables(until=NOW - timedelta(hours=3))
    try:
        found = figures(collector)
        assert found["data_freshness_hours", "gold", "features"] == 3
        assert found["fx_data_instruments_late", "gold", "features"] == len(home.symbols)
    finally:
        home.tables()


def test_a_closed_market_makes_nothing_late(home, monkeypatch):
    home.tables()
    monkeypatch.setenv("FX_CLOCK", "2022-03-05T12:00:00Z")  # a Saturday
    found = figures(freshness.build(home.stores, home.configuration))
    assert found["fx_market_open",] == found["fx_market_open_seconds",] == 0
    assert found["data_freshness_hours", "silver", "candles"] == 28  # Thursday 18:00 to Friday 22:00


def test_missing_values(home):
    collector = missing.build(home.stores, home.configuration)
    usual = figures(collector)
    assert 0 <= usual["missing_value_rate", "rsi_14"] < 0.1
    assert usual["missing_value_rate", "atr_14"] == 0
    home.tables(missing=0.7)
    try:
        found = figures(collector)
        assert found["missing_value_rate", "rsi_14"] > 0.5
        assert found["fx_missing_value_rate_usual", "rsi_14"] < 0.1
        assert not [key for key in found if key[-1] in ("time", "instrument", "available_at")]
    finally:
        home.tables()


def test_runs_by_asset_and_job(home):
    instance = SharedInstance(home.stores.home)
    collector = runs.build(instance)
    before = figures(collector)
    assert before["fx_asset_run_success_ratio", "silver/candles"] == 1
    assert 0 < before["fx_asset_run_seconds", "silver/candles"] < 60
    made = home.runs(good=False)
    queued = home.queue(3)
    home.daemons(silent_s=1000)
    try:
        found = figures(collector)
        assert found["fx_asset_runs_day", "silver/candles", "failure"] == 1
        assert found["fx_asset_run_success_ratio", "silver/candles"] < 1
        jobs = {key[1] for key in found if key[0] == "fx_job_runs_day"}
        assert len(jobs) == 1
        assert found["fx_job_run_success_ratio", *jobs] == found["fx_asset_run_success_ratio", "gold/features"]
        assert found["fx_runs_unfinished", "queued"] == 3
        assert found["fx_runs_queued_oldest_seconds",] >= 0
        assert min(value for key, value in found.items() if key[0] == "fx_daemon_heartbeat_age_seconds") >= 1000
    finally:
        home.forget([*made, *queued])
        home.daemons()
    after = figures(collector)
    assert after["fx_asset_runs_day", "silver/candles", "failure"] == 0
    assert after["fx_runs_queued_oldest_seconds",] == 0


@pytest.mark.server
def test_runs_and_checks_that_dagster_keeps_in_postgresql(tmp_path, program):
    with postgres_server(program) as url:
        settings = yaml.safe_load(INSTANCE.read_text()) | {"storage": {"postgres": {"postgres_url": url}}}
        (tmp_path / "dagster").mkdir()
        (tmp_path / "dagster" / "dagster.yaml").write_text(yaml.safe_dump(settings))
        made = MonitoredHome(tmp_path)
        made.runs(good=False)
        made.queue(2)
        instance = SharedInstance(tmp_path)
        found = figures(runs.build(instance))
        assert found["fx_asset_runs_day", "gold/features", "success"] == 1
        assert found["fx_asset_runs_day", "gold/features", "failure"] == 1
        assert 0 < found["fx_asset_run_seconds", "gold/features"] < 60
        assert found["fx_runs_unfinished", "queued"] == 2
        assert 0 <= found["fx_runs_queued_oldest_seconds",] < 300
        assert max(value for key, value in found.items() if key[0] == "fx_daemon_heartbeat_age_seconds") < 300
        assert figures(schema.build(instance))["schema_validation_status", "gold"] == 1
        instance.open().dispose()
        made.instance.dispose()


def test_schema(home):
    collector = schema.build(SharedInstance(home.stores.home))
    assert figures(collector)["schema_validation_status", "gold"] == 1
    made = home.runs(valid=False)
    try:
        found = figures(collector)
        assert found["schema_validation_status", "gold"] == found["schema_validation_status", "monitoring"] == 0
        assert found["fx_schema_checks_failed", "silver"] == 1
    finally:
        home.forget(made)
        home.runs()
    assert figures(collector)["schema_validation_status", "gold"] == 1


def test_drift_quality_health_and_service_levels(home):
    found = figures(drift.build(home.stores))
    assert found["fx_drift_level", MODEL] == 0
    assert found["prediction_drift_kl_divergence", MODEL] == 0.01
    assert found["fx_feature_drift_psi", MODEL, "rsi_14"] == 0.03
    assert found["fx_feature_drift_level", MODEL, "rsi_14"] == 0
    found = figures(quality.build(home.stores))
    assert found["model_accuracy", MODEL, "20d"] == 0.63
    assert (found["model_calibration_brier", MODEL], found["fx_model_calibration_brier_expected", MODEL]) == (
        0.21,
        0.215,
    )
    assert found["fx_model_quality_verdict", MODEL, "5d"] == 0
    found = figures(health.build(home.stores))
    assert (found["fx_quant_health",], found["fx_health_tier", "infrastructure", "disk"]) == (0, 0)
    found = figures(slo.build(home.stores))
    assert (found["fx_slo_budget_left_ratio", "data"], found["fx_slo_burn_rate", "data", "1h"]) == (0.8, 0.5)


def test_a_status_file_that_cannot_be_read_is_told_with_its_name(home):
    work = Background(slo.build(home.stores))
    path = home.stores.home / "monitoring" / "slo.json"
    content = path.read_bytes()
    path.write_bytes(b'{"rows": ')
    try:
        work.once()
        assert work.state().up is False
        assert str(path) in str(work.state().problem)
    finally:
        path.write_bytes(content)


def test_trading(home):
    found = figures(trading.build(home.stores, home.configuration))
    assert {key[1] for key in found if key[0] == "sharpe_ratio"} <= {"5d", "20d", "all"}
    assert found["fx_signals_last_hour",] == 1
    assert found["fx_trades_closed",] == 6
    assert found["max_drawdown_pct",] < 15
    home.trading(loss=0.3, signal_at=NOW - timedelta(hours=3))
    try:
        found = figures(trading.build(home.stores, home.configuration))
        assert found["max_drawdown_pct",] > 15
        assert found["simulated_pnl",] < -0.2
        assert found["fx_signals_last_hour",] == 0
    finally:
        home.trading()


def test_alerts(home):
    collector = alerts.build(home.stores)
    assert figures(collector)["fx_alerts_open", "warning"] == 1
    home.delivery(waited_s=1000)
    try:
        assert figures(collector)["fx_alert_send_oldest_seconds", "chat"] >= 1000
    finally:
        home.delivery()


def test_the_online_store_is_really_read(home):
    collector = online_store.build(home.stores, home.configuration)
    found = figures(collector)
    assert found["fx_online_store_up", "sqlite"] == 1
    assert found["fx_online_store_read_seconds", "technical"] > 0
    assert found["data_freshness_hours", "online", "technical"] == 0
    path = home.stores.home / "feast" / "online.db"
    content = path.read_bytes()
    path.write_bytes(b"no database at all, and long enough to be taken for one" * 20)
    try:
        work = Background(collector)
        work.once()
        state = work.state()
        assert (state.up, state.samples[0].name, state.samples[0].value) == (False, "fx_online_store_up", 0)
        assert "online store" in str(state.problem)
    finally:
        path.write_bytes(content)


@pytest.mark.server
def test_redis(tmp_path, program, monkeypatch):
    assert redis.build() is None
    with RedisServer(tmp_path, program("redis-server", "redis-server"), "hunter2-hunter2") as server:
        monkeypatch.setenv("FX_REDIS_URL", server.url)
        collector = redis.build()
        assert collector is not None
        found = figures(collector)
        assert found["fx_redis_up",] == 1
        assert 0 < found["fx_redis_memory_used_bytes",] < found["fx_redis_memory_limit_bytes",]
        server.kill()
        work = Background(collector)
        work.once()
        assert [sample.value for sample in work.state().samples] == [0]
        assert "hunter2" not in str(work.state().problem)


def test_machine(home):
    found = figures(machine.build(home.stores, home.configuration))
    assert 0 < found["fx_disk_free_ratio", "home"] < 1
    assert found["fx_disk_free_bytes", "lake"] > 0
    assert 0 < found["fx_memory_available_ratio",] < 1


def test_rollouts(home):
    collector = rollouts.build(home.stores)
    assert figures(collector) == {}
    path = home.stores.state_db
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE rollouts (model TEXT, state TEXT, finished_at TEXT)")
        rows = [("succeeded", "2022-03-01T10:00:00Z"), ("succeeded", "2022-03-02T10:00:00Z"), ("canary", None)]
        db.executemany("INSERT INTO rollouts VALUES ('m', ?, ?)", rows)
    try:
        found = figures(collector)
        assert (found["fx_rollouts", "m", "succeeded"], found["fx_rollouts", "m", "canary"]) == (2, 1)
        assert found["fx_rollout_finished_timestamp_seconds", "m", "succeeded"] == 1646215200
        assert ("fx_rollout_finished_timestamp_seconds", "m", "canary") not in found
        path.write_bytes(b"garbage" * 1000)
        with pytest.raises(RolloutLogError):
            list(collector.collect())
    finally:
        path.unlink()


def test_an_instrument_silent_for_longer_than_anybody_looks_back_is_the_one_furthest_behind(home):
    """Without a figure of its own the others would speak for it, and the alert would end by itself."""
    frames = {key: home.lake.read("gold/features", [key])[key] for key in home.lake.keys("gold/features")}
    silent = home.symbols[0]
    try:
        home.lake.write("gold/features", {key: frame[frame["instrument"] != silent] for key, frame in frames.items()})
        found = figures(freshness.build(home.stores, home.configuration))
    finally:
        home.tables()
    limit = found["fx_data_freshness_limit_hours", "gold", "features"]
    assert found["data_freshness_hours", "gold", "features"] > 20 * limit
    assert found["fx_data_instruments_late", "gold", "features"] == 1


def test_a_run_that_dagster_starts_again_by_itself_is_no_failure(home):
    """Its process was killed; the run that repeats it counts."""
    before = figures(runs.build(SharedInstance(home.stores.home)))
    (killed,) = home.runs(good=False)
    home.instance.add_run_tags(killed, {"dagster/will_retry": "true"})
    home.runs()
    after = figures(runs.build(SharedInstance(home.stores.home)))
    for key in (("fx_asset_runs_day", "silver/candles", "failure"), ("fx_job_runs_day", "assets", "failure")):
        assert after.get(key, 0) == before.get(key, 0)
    good = "fx_asset_runs_day", "silver/candles", "success"
    assert after[good] == before[good] + 1


def test_a_daemon_that_was_never_heard_of_is_silent(home):
    """Without a figure there would be no alert: DaemonDown compares one."""
    home.instance.wipe_daemon_heartbeats()
    try:
        found = figures(runs.build(SharedInstance(home.stores.home)))
    finally:
        home.daemons()
    ages = {key[1]: age for key, age in found.items() if key[0] == "fx_daemon_heartbeat_age_seconds"}
    assert {kind.upper() for kind in ages} == set(home.instance.get_required_daemon_types())
    assert set(ages.values()) == {float("inf")}


def test_an_event_that_shows_after_later_ones_is_read():
    """In PostgreSQL ids are given before a transaction is over, and whoever began first may end last."""
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection:
        columns = "id INTEGER, run_id TEXT, step_key TEXT, asset_key TEXT, dagster_event_type TEXT"
        connection.exec_driver_sql(f"CREATE TABLE event_logs ({columns})")
        add = "INSERT INTO event_logs VALUES (?, ?, 'make', '[\"gold\", \"features\"]', 'ASSET_MATERIALIZATION')"
        connection.exec_driver_sql(add, (5, "run-5"))
        steps = runs.Steps()
        steps.look(connection)
        connection.exec_driver_sql(add, (4, "run-4"))
        steps.look(connection)
        assert set(steps.made) == {"run-4", "run-5"}
        connection.exec_driver_sql("DELETE FROM event_logs")
        connection.exec_driver_sql(add, (1, "run-1"))  # another database, whose events are counted from one
        steps.look(connection)
        assert "run-1" in steps.made
