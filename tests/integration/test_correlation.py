"""A Dagster run that asks the real service for a rollout: its id is in both logs, the audit record and the trace."""

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import httpx
import pytest
from typer.testing import CliRunner

from fx_assets.logs import handler
from fx_assets.models.rollout import ask_for_rollout
from fx_assets.stack.environment import INSTANCE
from fx_assets.tables.definition import define_asset
from fx_serving.cli import app
from fx_serving.client import log_reader, logs, tracing
from fx_serving.client.http import ServingClient
from tests.servers.otlp import otlp_server
from tests.servers.serving import make_trick_bundle, publish_features, start_service, wait_until

SESSION = "2022-03-04"
TRACE = "00-" + "a1" * 16 + "-" + "b2" * 8 + "-01"
TOKEN = "a-secret-of-the-desk-123"


@define_asset(name="deployment", partitions_def=dg.StaticPartitionsDefinition([SESSION]))
def deployment(context) -> None:
    """As the release's asset asks."""
    from fx_serving.client.home import Stores

    context.log.info("asking")
    logging.getLogger("fx_assets.models").warning("with %s", os.environ["FX_SERVING_TOKEN"])
    ask_for_rollout(Stores(Path(os.environ["FX_HOME"])), "move_60m", "1", {}, f"run-{context.run.run_id[:8]}")


@pytest.fixture(scope="module")
def collector():
    with otlp_server() as started:
        yield started


@pytest.fixture(scope="module")
def service(tmp_path_factory, collector):
    home = tmp_path_factory.mktemp("home")
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with start_service(home, environment={**environment, "FX_SERVING_TOKEN": TOKEN}) as started:
        publish_features(started.stores)
        make_trick_bundle(started.stores, "1", 1.0)
        yield started


@pytest.fixture(scope="module")
def run(service, collector):
    """The run that asked for the first rollout, to its end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FX_HOME", str(service.home))
        patch.setenv("FX_SERVING_URL", service.url)
        patch.setenv("FX_SERVING_TOKEN", TOKEN)
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        folder = service.home / "dagster"
        folder.mkdir()
        shutil.copy(INSTANCE, folder)
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            result = dg.materialize([deployment], instance=instance, partition_key=SESSION)
        tracing.stop()
        assert result.success
    (started,) = service.client.rollouts()
    done = service.client.wait_rollout(started["id"], 120, poll_s=0.1)
    assert done["state"] == "succeeded", done
    return result.run_id, done["id"]


def written(service, **ids: str) -> list[dict]:
    return list(log_reader.read(service.stores.logs, keep=log_reader.Wanted(ids=ids)))


def test_the_run_is_named_in_its_own_lines_the_services_and_the_audit_record(service, run):
    run_id, rollout_id = run
    found = wait_until(lambda: [e for e in written(service, run_id=run_id) if e.get("rollout_id")] or None)
    assert {e["rollout_id"] for e in found} == {rollout_id}
    assert found[0]["process"] == "controller"
    own = [e for e in written(service, run_id=run_id) if "rollout_id" not in e]
    assert {e.get("partition") for e in own} == {SESSION}
    said = [e["message"] for e in own]
    assert any(message.endswith("asking") for message in said)
    assert any(message.startswith("RUN_SUCCESS") for message in said)
    assert said.count("deployment: with ***") == 1
    records = service.client.audit()
    (queued,) = [r for r in records if r["rollout_id"] == rollout_id and r["what"] == "queued"]
    assert queued["detail"]["run_id"] == run_id
    assert all("run_id" not in r["detail"] for r in records if r["what"] != "queued")
    assert service.client.verify_audit()["whole"]


def test_the_controllers_lines_carry_the_rollout(service, run):
    mine = wait_until(lambda: written(service, rollout_id=run[1]))
    assert all(run[1] in e["message"] for e in mine)
    assert len(mine) >= 3


def test_spans_of_run_service_and_rollout_are_one_trace(service, run, collector):
    run_id, rollout_id = run
    wait_until(lambda: collector.named("rollout finalizing"))
    (step,) = collector.named("step deployment")
    assert (step.service, step.attributes["fx.run_id"], step.attributes["fx.partition"]) == (
        "fx-dagster", run_id, SESSION,
    )  # fmt: skip
    (worker,) = [s for s in collector.named("POST /rollouts") if s.service == "fx-worker" and s.trace == step.trace]
    assert worker.parent == step.id
    (controller,) = [s for s in collector.named("controller POST /rollouts") if s.trace == step.trace]
    assert controller.parent == worker.id
    states = [s for s in collector.named("rollout ") if s.trace == step.trace]
    assert {"rollout queued", "rollout verifying", "rollout finalizing"} <= {s.name for s in states}
    assert {s.attributes["fx.rollout_id"] for s in states} == {rollout_id}
    assert all(s.parent == controller.id and s.seconds >= 0 for s in states)


def test_a_client_s_trace_goes_on_in_the_prediction(service, run, collector):
    body = {"instrument": "GBP_USD", "request_id": "traced-1"}
    headers = {"traceparent": TRACE, "Authorization": f"Bearer {TOKEN}"}
    assert httpx.post(f"{service.url}/predict", json=body, headers=headers, trust_env=False).status_code == 200
    (span,) = wait_until(lambda: [s for s in collector.named("POST /predict") if s.trace == "a1" * 16])
    assert span.parent == "b2" * 8
    assert span.attributes["fx.prediction_id"] == "traced-1"


def test_a_failed_prediction_is_found_by_its_id(service, run):
    body = {"instrument": "GBP_USD", "request_id": "bad-1", "features": {"rsi_14": 1e9}}
    headers = {"x-fx-run-id": "0f3c-run", "Authorization": f"Bearer {TOKEN}"}
    answer = httpx.post(f"{service.url}/predict", json=body, headers=headers, trust_env=False, timeout=30)
    assert answer.status_code == 500
    (entry,) = wait_until(lambda: written(service, prediction_id="bad-1"))
    assert (entry["level"], entry["request_id"], entry["run_id"]) == ("warning", "bad-1", "0f3c-run")


@pytest.mark.parametrize("bad", ["a" * 65, "a b", "<script>", '"}', "../x", ""])
def test_what_is_no_run_id_is_passed_over(service, run, bad):
    headers = {"x-fx-run-id": bad, "Authorization": f"Bearer {TOKEN}"}
    answer = httpx.get(f"{service.url}/rollouts", headers=headers, trust_env=False)
    assert answer.status_code == 200
    assert logs.valid_run_id(bad) is None


def test_fx_logs_tells_the_course_of_a_run(service, run):
    run_id, rollout_id = run
    home = ["--home", str(service.home)]
    shown = CliRunner().invoke(app, ["logs", "--since", "1d", "--run", run_id[:8], "--json", *home])
    assert shown.exit_code == 0, shown.output
    found = [json.loads(found) for found in shown.output.splitlines()]
    assert [e["ts"] for e in found] == sorted(e["ts"] for e in found)
    assert {e["run_id"] for e in found} == {run_id}
    read = CliRunner().invoke(app, ["logs", "--rollout", rollout_id, "serving", *home])
    assert f"rollout_id={rollout_id}" in read.output
    assert "queued" in read.output
    assert not CliRunner().invoke(app, ["logs", "--level", "critical", *home]).stdout


def test_the_token_is_in_no_file(service, run):
    for path in (*service.stores.logs.iterdir(), service.home / "serve.log"):
        assert TOKEN not in path.read_text()


def test_people_still_read_the_service_where_it_was_started(service, run):
    said = (service.home / "serve.log").read_text()
    assert "INFO    controller fx_serving.controller: rollout" in said
    assert '{"ts"' not in said


def test_nothing_is_sent_without_a_run_or_a_trace(service, run):
    with ServingClient(service.url, token=TOKEN) as client:
        client.rollouts()
    assert not tracing.on()
    assert not logs.current()


def test_tracing_needs_its_extra_and_says_so(service):
    """Where OpenTelemetry is not installed the work goes on."""
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from fx_serving.client import logs, tracing; logs.setup('x')\n"
        "assert not tracing.start('x'); assert tracing.headers() == {}\n"
        "with tracing.span('a'): pass"
    )
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "pip install 'fx-platform[tracing]'" in done.stderr


def test_a_run_without_a_home_writes_no_file(tmp_path, monkeypatch):
    monkeypatch.delenv("FX_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    handler.RunHandler().emit(logging.makeLogRecord({"levelno": 40, "msg": "x"}))
    assert list(tmp_path.iterdir()) == []
