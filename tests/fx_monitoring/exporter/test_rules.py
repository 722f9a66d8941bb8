"""The files below deploy/: what promtool, amtool and the catalogue of metrics say of them, without any server."""

import importlib.util
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from fx_monitoring.exporter.catalogue import METRICS
from tests.servers.prometheus import RULES, Alertmanager, Receiver, metric_names
from tests.servers.serving import wait_until

ROOT = Path(__file__).resolve().parents[3]
UNITS = Path(__file__).with_name("alerts.test.yml")
GRAFANA = ROOT / "deploy" / "grafana"
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))}
SERVICE = re.findall(r'"(fx_[a-z_]+)"', (ROOT / "fx_serving/dataplane/metrics.py").read_text())
SERVICE += re.findall(r'"(fx_[a-z_]+)"', (ROOT / "fx_serving/dataplane/exposition.py").read_text())
SERIES = {f"{name}{ending}" for name in SERVICE for ending in ("", "_total", "_bucket", "_sum", "_count")}


def rules(kind: str) -> list[dict[str, Any]]:
    files = [yaml.safe_load(path.read_text()) for path in sorted(RULES.glob("*.rules.yml"))]
    return [rule for file in files for group in file["groups"] for rule in group["rules"] if kind in rule]


def expressions() -> list[str]:
    """Every expression of the rules and dashboards."""
    panels = [panel for dashboard in DASHBOARDS.values() for panel in dashboard["panels"]]
    return [r["expr"] for r in (*rules("record"), *rules("alert"))] + [t["expr"] for p in panels for t in p["targets"]]


def run(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.server
def test_promtool_and_amtool_accept_the_files(program):
    promtool = program("promtool", "prometheus")
    run(promtool, "check", "config", RULES / "prometheus.yml")
    run(promtool, "check", "rules", "--lint=all", "--lint-fatal", *sorted(RULES.glob("*.rules.yml")))
    amtool = program("amtool", "prometheus-alertmanager")
    run(amtool, "check-config", ROOT / "deploy" / "alertmanager" / "alertmanager.yml")


@pytest.mark.server
def test_the_rules_do_what_their_unit_tests_say(program):
    assert "SUCCESS" in run(program("promtool", "prometheus"), "test", "rules", UNITS)


@pytest.mark.server
def test_a_store_that_is_down_silences_the_collectors_that_read_it_and_no_other(program, tmp_path):
    """One trouble, one notice: that they cannot collect is no news."""
    found = program("prometheus-alertmanager", "prometheus-alertmanager")
    told = [{"alertname": "OnlineStoreDown", "severity": "critical", "owner": "data"}]
    for name in ("redis", "online_store", "runs"):
        told.append({"alertname": "CollectorFailing", "severity": "warning", "owner": "platform", "collector": name})
    with Receiver() as receiver, Alertmanager(tmp_path, found, receiver.url) as manager:
        url = f"{manager.url}/api/v2/alerts"
        httpx.post(url, json=[{"labels": labels} for labels in told], timeout=10, trust_env=False).raise_for_status()
        wait_until(lambda: len(receiver.told) >= 2)
        assert {labels.get("collector", labels["alertname"]) for _, _, labels, _ in receiver.told} == {
            "OnlineStoreDown",
            "runs",
        }
        assert manager.silenced() == {("CollectorFailing", "warning")}


def test_every_alert_says_who_what_and_what_to_do():
    found = rules("alert")
    assert len(found) > 25
    for rule in found:
        name = rule["alert"]
        assert rule["labels"]["severity"] in ("warning", "critical"), name
        assert rule["labels"]["owner"] in ("data", "models", "trading", "platform"), name
        assert rule["annotations"].keys() == {"summary", "remedy", "runbook_url"}, name
        assert rule["annotations"]["runbook_url"] == "{{ $externalLabels.runbooks }}/" + f"{name}.md"
        assert rule["for"] != "0s", f"{name}: a restart would tell people"
        assert rule["keep_firing_for"], f"{name}: one that flaps would be told again and again"


@pytest.mark.parametrize("name", sorted({rule["alert"] for rule in rules("alert")}))
def test_every_alert_has_its_runbook(name):
    assert (ROOT / "docs" / "runbooks" / f"{name}.md").is_file()


def test_expressions_name_only_metrics_that_there_are():
    recorded = {rule["record"] for rule in rules("record")}
    known = METRICS.keys() | SERIES | recorded | {"up"}
    for expression in expressions():
        names = metric_names(expression)
        assert names, expression
        assert names <= known, f"{expression}: {names - known}"


def test_every_recorded_figure_is_used():
    used = {name for expression in expressions() for name in metric_names(expression)}
    assert {rule["record"] for rule in rules("record")} <= used


def test_no_secret_and_no_address_of_a_stranger_stands_in_the_files():
    text = (ROOT / "deploy/alertmanager/alertmanager.yml").read_text() + (RULES / "prometheus.yml").read_text()
    assert not re.findall(r"https?://(?!127\.0\.0\.1)[^\s]+", text)
    config = yaml.safe_load((ROOT / "deploy/alertmanager/alertmanager.yml").read_text())
    said = [
        key
        for receiver in config["receivers"]
        for kind in receiver.values()
        if isinstance(kind, list)
        for c in kind
        for key in c
    ]
    assert not {"api_url", "routing_key", "service_key", "url", "password"} & set(said)


# ---- dashboards ---------------------------------------------------------------------------------------------------


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("generate_dashboards", GRAFANA / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_dashboards_are_what_the_generator_writes():
    made = generator()
    assert (
        DASHBOARDS.keys()
        == made.DASHBOARDS.keys()
        == {"business", "data-quality", "infrastructure", "model-performance"}
    )
    for name in DASHBOARDS:
        written = (GRAFANA / "dashboards" / f"{name}.json").read_text()
        assert written == made.render(name), "Run: python deploy/grafana/generate.py"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_can_be_provisioned(name):
    dashboard = DASHBOARDS[name]
    source = yaml.safe_load((GRAFANA / "provisioning/datasources/fx.yaml").read_text())["datasources"][0]
    assert dashboard["uid"] == f"fx-{name}"
    assert len({d["uid"] for d in DASHBOARDS.values()}) == len(DASHBOARDS)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"]) >= 12
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in dashboard["panels"]]
    assert len(set(places)) == len(places)
    for panel in dashboard["panels"]:
        assert panel["title"]
        assert panel["type"] in ("timeseries", "stat", "bargauge")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"]
        for target in panel["targets"]:
            assert target["datasource"] == {"type": "prometheus", "uid": source["uid"]}
            labels = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert "{{" not in re.sub(r"\{\{\w+\}\}", "", target["legendFormat"])
            known = {
                label for n in metric_names(target["expr"]) for label in (METRICS[n].labels if n in METRICS else labels)
            }
            assert labels <= known | set(re.findall(r"\w+", target["expr"])), target


def test_metrics_of_every_area_are_shown_somewhere():
    """No figure is collected for nothing: each is on a dashboard, in a rule, or told in the exporter's own words."""
    used = {name for expression in expressions() for name in metric_names(expression)}
    quiet = {
        "fx_schema_checks_failed",
        "fx_drift_rows",
        "fx_drift_report_timestamp_seconds",
        "fx_trader_run_timestamp_seconds",
        "fx_asset_runs_day",
        "fx_asset_made_timestamp_seconds",
        "fx_runs_queued_oldest_seconds",
        "fx_redis_clients",
        "fx_disk_free_bytes",
        "fx_memory_available_bytes",
        "fx_collector_age_seconds",
        "fx_heartbeat_timestamp_seconds",
    }
    assert METRICS.keys() - used == quiet
