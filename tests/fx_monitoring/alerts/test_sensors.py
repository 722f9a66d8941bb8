"""The sensors on a Dagster instance: what failed opens an alert, what goes well ends it, ticks are short."""

import dagster as dg
import pytest

from fx_assets.automation import rollouts
from fx_assets.configuration import load_configuration
from fx_monitoring.alerts import Desk, dagster_watch, sensors
from fx_monitoring.alerts.configuration import AlertsFile
from fx_serving.client.home import Stores
from tests.servers.faults import FaultApp, serve
from tests.servers.receivers import Hook
from tests.servers.serving import wait_until


class Fate:
    """Whether the asset and its checks go well."""

    raises = False
    fresh = True
    plausible = True


@dg.asset(
    key=["silver", "candles"],
    check_specs=[
        dg.AssetCheckSpec("newest_bar", asset=["silver", "candles"]),
        dg.AssetCheckSpec("plausible", asset=["silver", "candles"]),
    ],
)
def candles():
    if Fate.raises:
        try:
            raise ValueError("https://me:s3cret@broker.example: token refused; set a new one")
        except ValueError as cause:
            raise RuntimeError("step") from cause
    warn, remedy = dg.AssetCheckSeverity.WARN, {"remedy": "look there", "late": ["EUR_USD"]}
    return dg.MaterializeResult(
        check_results=[
            dg.AssetCheckResult(check_name="newest_bar", passed=Fate.fresh, severity=warn, metadata=remedy),
            dg.AssetCheckResult(check_name="plausible", passed=Fate.plausible, metadata=remedy),
        ]
    )


@dg.asset(check_specs=[dg.AssetCheckSpec("drift", asset="drift_report")])
def drift_report():
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(check_name="drift", passed=False)])


@dg.asset(
    key=["move", "promotion_decision"],
    check_specs=[dg.AssetCheckSpec("gates", asset=["move", "promotion_decision"])],
)
def promotion_decision():
    warn, missed = dg.AssetCheckSeverity.WARN, {"missed": ["none"] if Fate.plausible else ["calibrated"]}
    check = dg.AssetCheckResult(check_name="gates", passed=Fate.plausible, severity=warn, metadata=missed)
    return dg.MaterializeResult(check_results=[check])


@dg.asset(
    key=["move_60m", "deployment"], check_specs=[dg.AssetCheckSpec("rolled_out", asset=["move_60m", "deployment"])]
)
def deployment():
    """As the deployment asset, which only asks for the rollout: how it ends is known later."""
    warn = dg.AssetCheckSeverity.WARN
    return dg.MaterializeResult(
        check_results=[dg.AssetCheckResult(check_name="rolled_out", passed=False, severity=warn)]
    )


class Daemon:
    """Ticks sensors as the daemon does: a cursor is kept between ticks, and nothing else."""

    def __init__(self, stores: Stores, instance: dg.DagsterInstance) -> None:
        self.stores, self.instance = stores, instance
        self._cursors: dict[str, str | None] = {}
        self.restart()

    def restart(self) -> None:
        """A new code server: everything is built anew."""
        built = sensors.build(load_configuration(), self.stores)
        self.sensors = {sensor.name: sensor for sensor in built}

    def tick(self, name: str) -> str:
        context = dg.build_sensor_context(instance=self.instance, cursor=self._cursors.get(name), sensor_name=name)
        found = self.sensors[name].evaluate_tick(context)
        self._cursors[name] = found.cursor
        return found.skip_message or ""

    def run(self, job: str = "live", partition: str | None = None) -> dg.ExecuteInProcessResult:
        jobs = [dg.define_asset_job(job, [candles])]
        made = dg.Definitions(assets=[candles], jobs=jobs, executor=dg.in_process_executor)
        tags = {"fx/row": "live"} if job == "live" else {}
        config = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        return made.resolve_job_def(job).execute_in_process(
            instance=self.instance, raise_on_error=False, tags=tags, run_config=config
        )

    def open(self) -> dict[str, str]:
        return {alert.key: alert.severity for alert in Desk(self.stores).open()}


@pytest.fixture
def daemon(tmp_path):
    Fate.raises, Fate.fresh, Fate.plausible = False, True, True
    with dg.DagsterInstance.ephemeral() as instance:
        made = Daemon(Stores(tmp_path), instance)
        made.tick("alert_failed_runs")
        yield made


def test_every_row_of_the_table_has_its_sensor_and_is_on(daemon):
    table = load_configuration().automation
    for name, sensor in daemon.sensors.items():
        assert table.row(name).sensor == name
        assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
        assert sensor.minimum_interval_seconds == table.row(name).every_seconds


def test_a_failed_run_opens_one_alert_and_a_good_one_ends_it(daemon):
    daemon.run()
    Fate.raises = True
    for _ in range(3):
        daemon.run()
        daemon.tick("alert_failed_runs")
    daemon.tick("alert_failed_runs")
    daemon.restart()
    daemon.tick("alert_failed_runs")
    (alert,) = Desk(daemon.stores).open()
    assert (alert.key, alert.count, alert.owner) == ("RunFailed/live", 3, "data")
    assert "token refused; set a new one" in alert.detail
    assert "s3cret" not in alert.detail
    assert "/runs/" in alert.link
    daemon.tick("alert_watch")
    assert daemon.open() == {"RunFailed/live": "warning"}
    Fate.raises = False
    daemon.run()
    daemon.tick("alert_watch")
    assert daemon.open() == {}
    assert "succeeded" in (Desk(daemon.stores).newest(1)[0].why or "")


def test_a_run_that_is_started_again_by_itself_is_no_alert_yet(daemon):
    Fate.raises = True
    run = daemon.run().dagster_run
    daemon.instance.add_run_tags(run.run_id, {"dagster/will_retry": "true"})
    daemon.tick("alert_failed_runs")
    assert daemon.open() == {}


def test_an_asset_asked_for_by_hand_is_known_by_its_name(daemon):
    Fate.raises = True
    dg.materialize([candles], instance=daemon.instance, raise_on_error=False)
    daemon.tick("alert_failed_runs")
    assert list(daemon.open()) == ["RunFailed/silver/candles"]
    Fate.raises = False
    dg.materialize([candles], instance=daemon.instance)
    daemon.tick("alert_watch")
    assert daemon.open() == {}


def test_checks_open_and_end_alerts_by_their_newest_evaluation(daemon):
    Fate.fresh, Fate.plausible = False, False
    daemon.run()
    daemon.run()
    daemon.tick("alert_watch")
    assert daemon.open() == {
        "DataStale/silver/candles": "critical",
        "CheckFailed/silver/candles/plausible": "critical",
    }
    found = {alert.key: alert for alert in Desk(daemon.stores).open()}["CheckFailed/silver/candles/plausible"]
    assert (found.remedy, found.count) == ("look there", 1)
    assert "EUR_USD" in found.detail
    daemon.tick("alert_watch")
    Fate.plausible = True
    daemon.run()
    said = daemon.tick("alert_watch")
    assert said == "1 open: DataStale/silver/candles"
    Fate.fresh = True
    daemon.run()
    daemon.restart()
    assert daemon.tick("alert_watch") == "nothing is open"


def test_a_rejected_candidate_is_told_to_those_who_train_until_one_passes(daemon):
    Fate.plausible = False
    dg.materialize([promotion_decision], instance=daemon.instance)
    daemon.tick("alert_watch")
    (alert,) = Desk(daemon.stores).open()
    assert (alert.key, alert.severity, alert.owner) == ("CandidateRejected/move", "warning", "models")
    assert alert.title == "a new version of move missed its gates"
    assert "calibrated" in alert.detail
    Fate.plausible = True
    dg.materialize([promotion_decision], instance=daemon.instance)
    assert daemon.tick("alert_watch") == "nothing is open"


def test_checks_that_are_told_from_the_files_behind_them_are_not_told_twice(daemon):
    dg.materialize([drift_report], instance=daemon.instance)
    assert daemon.tick("alert_watch") == "nothing is open"


def test_a_rollout_that_runs_is_no_trouble_and_one_that_ends_badly_is_until_the_next_one_ends_well(daemon):
    def end(state: str) -> None:
        found = {"id": "r1", "model": "move_60m", "version": "3", "state": state, "reason": "p99: 900 ms", "steps": []}
        for event in rollouts.events({**found, "finished_at": "2026-11-21T21:13:46Z", "policy": {"steps": []}}):
            if isinstance(event, dg.AssetCheckEvaluation):
                daemon.instance.report_runless_asset_event(event)

    dg.materialize([deployment], instance=daemon.instance)
    assert daemon.tick("alert_watch") == "nothing is open"
    end("rolled_back")
    assert daemon.tick("alert_watch") == "1 open: RolloutFailed/move_60m"
    assert [alert.owner for alert in Desk(daemon.stores).open()] == ["models"]
    dg.materialize([deployment], instance=daemon.instance)
    assert daemon.tick("alert_watch") == "1 open: RolloutFailed/move_60m", "the next one has not ended yet"
    end("succeeded")
    assert daemon.tick("alert_watch") == "nothing is open"


def test_the_checks_told_elsewhere_exist():
    """A check that is renamed would be told twice, or a new asset's never."""
    from fx_assets.definitions import build_definitions as assets
    from fx_monitoring.definitions import build_definitions as monitoring

    known = {
        f"{key.asset_key.to_user_string()}/{key.name}"
        for made in (assets(), monitoring())
        for key in made.get_repository_def().asset_graph.asset_check_keys
    }
    assert known >= dagster_watch._TOLD_ELSEWHERE
    assert {name.rpartition("/")[2] for name in known} >= set(dagster_watch._KNOWN)


def test_what_cannot_be_read_is_in_the_ticks_words(daemon):
    path = daemon.stores.home / "monitoring" / "health.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{")
    assert "cannot look at QuantHealthRed" in daemon.tick("alert_watch")


def test_delivery_starts_a_process_when_something_is_due_and_waits_for_none(daemon, monkeypatch):
    assert "no route has an address" in daemon.tick("alert_delivery")
    hook = Hook()
    app = FaultApp(hook)
    with serve(app) as served:
        monkeypatch.setenv("FX_ALERT_URLS", f"json://127.0.0.1:{served.port}")
        assert daemon.tick("alert_delivery") == "nothing is due"
        Fate.raises = True
        daemon.run()
        daemon.tick("alert_failed_runs")
        assert "started for desk" in daemon.tick("alert_delivery")
        wait_until(hook.bodies)
        wait_until(lambda: daemon.tick("alert_delivery") == "nothing is due")
    assert [body["title"] for body in hook.bodies()] == ["[WARNING] a run of live failed"]


def test_the_heartbeat_says_why_it_is_silent(daemon, monkeypatch):
    assert "FX_HEARTBEAT_URL is not set" in daemon.tick("heartbeat")
    app = FaultApp(Hook())
    with serve(app) as served:
        monkeypatch.setenv("FX_HEARTBEAT_URL", f"{served.url}/beat")
        monkeypatch.setenv("FX_CLOCK", "2022-03-04T22:00:00Z")
        assert "started" in daemon.tick("heartbeat")
        wait_until(lambda: app.seen)
        Desk(daemon.stores, AlertsFile()).fire(_delivery_alert())
        assert "no heartbeat is sent: alerts do not reach" in daemon.tick("heartbeat")


def _delivery_alert():
    from tests.fx_monitoring.alerts.conftest import alert

    return alert("AlertDeliveryFailing/desk", "critical", title="alerts do not reach the route desk")


def test_a_run_that_was_repeated_before_anybody_looked_is_no_alert(daemon):
    """The daemon was dead, or a person was faster than its next tick: what failed went well since."""
    Fate.raises = True
    daemon.run()
    Fate.raises = False
    daemon.run()
    daemon.tick("alert_failed_runs")
    daemon.tick("alert_watch")
    assert Desk(daemon.stores).newest(5) == []


def test_a_good_run_from_before_the_alert_was_told_ends_it(daemon):
    """It began after the failure, was still at work when the alert was opened, and is done now."""
    Fate.raises = True
    daemon.run()
    Fate.raises = False
    run = daemon.run().dagster_run
    daemon.instance.run_storage.handle_run_event(run.run_id, _event(run, dg.DagsterEventType.RUN_START), None)
    daemon.tick("alert_failed_runs")
    assert daemon.open() == {"RunFailed/live": "warning"}
    daemon.instance.run_storage.handle_run_event(run.run_id, _event(run, dg.DagsterEventType.RUN_SUCCESS), None)
    daemon.tick("alert_watch")
    assert daemon.open() == {}


def _event(run: dg.DagsterRun, kind: dg.DagsterEventType) -> dg.DagsterEvent:
    return dg.DagsterEvent(kind.value, run.job_name)


def test_checks_are_told_after_dagster_has_moved_to_another_database(daemon):
    """There the events are counted from one again."""
    for _ in range(3):
        daemon.run()
    daemon.tick("alert_watch")
    with dg.DagsterInstance.ephemeral() as other:
        moved = Daemon(daemon.stores, other)
        Fate.plausible = False
        moved.run()
        moved.tick("alert_watch")
        assert moved.open() == {"CheckFailed/silver/candles/plausible": "critical"}


def test_a_check_that_failed_before_a_long_backfill_is_told(daemon):
    """The daemon was dead meanwhile, and thousands of checks have been recorded since it looked last."""
    daemon.run()
    daemon.tick("alert_watch")
    Fate.plausible = False
    daemon.run()
    with daemon.instance.event_log_storage.index_connection() as connection:
        connection.exec_driver_sql(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 6000) "
            "INSERT INTO asset_check_executions (asset_key, check_name, run_id, execution_status) "
            "SELECT '[\"other\"]', 'schema', 'run', 'PLANNED' FROM n"
        )
    daemon.tick("alert_watch")
    assert daemon.open() == {"CheckFailed/silver/candles/plausible": "critical"}


def test_a_record_of_dagster_that_cannot_be_read_blinds_nobody(daemon):
    """One of another version, for instance: files and runs are looked at all the same."""
    daemon.run()
    with daemon.instance.event_log_storage.index_connection() as connection:
        connection.exec_driver_sql("UPDATE asset_check_executions SET evaluation_event = '{'")
    Fate.raises = True
    daemon.run()
    daemon.tick("alert_failed_runs")
    path = daemon.stores.home / "monitoring" / "environment.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"passed": false, "findings": []}')
    said = daemon.tick("alert_watch")
    assert "EnvironmentBlocked/trading" in daemon.open()
    assert "cannot look at checks: " in said
