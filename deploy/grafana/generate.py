"""python deploy/grafana/generate.py: writes dashboards/*.json from the panels named here.

A dashboard's JSON is long and says everything six times; what a person edits is this list.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "fx-prometheus"}
WIDTH, HEIGHT, IN_ROW = 8, 7, 3
GREEN, YELLOW, RED, GREY = "green", "yellow", "red", "text"


@dataclass(frozen=True)
class Panel:
    """One panel. queries: (expression, legend). unit: Grafana's name of it. limits: (value, colour) from there on.
    words: what values of a state mean.
    """

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    limits: tuple[tuple[float, str], ...] = ()
    words: dict[int, tuple[str, str]] = field(default_factory=dict)
    about: str = ""


YES_NO = {0: ("no", RED), 1: ("yes", GREEN)}
LIGHTS = {0: ("GREEN", GREEN), 1: ("YELLOW", YELLOW), 2: ("RED", RED)}
BANDS = {
    -1: ("inconclusive", GREY),
    0: ("none", GREEN),
    1: ("minor", GREEN),
    2: ("moderate", YELLOW),
    3: ("critical", RED),
}
VERDICTS = {0: ("good", GREEN), 1: ("inconclusive", GREY), 2: ("worse", RED)}
REDIS = "Only where Redis holds the features."
OPEN = {0: ("closed", GREY), 1: ("open", GREEN)}


def one(title: str, expression: str, legend: str = "", unit: str = "short", **more: Any) -> Panel:
    """A panel of one query."""
    return Panel(title, ((expression, legend),), unit, **more)


def state(title: str, expression: str, legend: str, words: dict[int, tuple[str, str]]) -> Panel:
    """Words for the newest value."""
    return Panel(title, ((expression, legend),), "none", "stat", words=words)


DATA = (
    state("Schema valid", "schema_validation_status", "{{layer}}", YES_NO),
    state("Market", "fx_market_open", "now", OPEN),
    one(
        "Lag over limit",
        "sort_desc(layer_pipeline:data_freshness:limit_ratio)",
        "{{layer}}/{{pipeline}}",
        "percentunit",
        kind="bargauge",
        limits=((0, GREEN), (1, YELLOW), (3, RED)),
    ),
    one("Behind the market, trading time", 'data_freshness_hours{layer!="online"}', "{{layer}}/{{pipeline}}", "h"),
    one("Online store behind the market", 'data_freshness_hours{layer="online"}', "{{pipeline}}", "h"),
    one("Age of served features", "max by (view) (fx_feature_age_seconds)", "{{view}}", "s"),
    one("Instruments late", "fx_data_instruments_late", "{{layer}}/{{pipeline}}"),
    one(
        "Missing values, the ten with most",
        "topk(10, missing_value_rate)",
        "{{feature}}",
        "percentunit",
        kind="bargauge",
        limits=((0, GREEN), (0.5, YELLOW)),
        about="Of the newest session. Spread features need recorded bid and ask.",
    ),
    one(
        "Missing beyond the usual",
        "topk(10, feature:missing_value_rate:excess)",
        "{{feature}}",
        "percentunit",
        kind="bargauge",
        limits=((0, GREEN), (0.05, YELLOW), (0.2, RED)),
        about="Less the median of the 20 sessions before.",
    ),
    one(
        "Features that drift (PSI), the ten with most",
        "topk(10, fx_feature_drift_psi * on (model, feature) (fx_feature_drift_level > bool 0))",
        "{{feature}}",
        kind="bargauge",
        about="Of the newest judged session; 0 for what chance explains.",
        limits=((0, GREEN), (0.1, YELLOW), (0.25, RED)),
    ),
    state("Drift band", "fx_drift_level", "{{model}}", BANDS),
    state("Feed broken", "fx_drift_feed_broken", "{{model}}", {0: ("no", GREEN), 1: ("yes", RED)}),
)
MODEL = (
    Panel(
        "Accuracy",
        (("model_accuracy", "{{model}} {{window}}"), ("fx_model_accuracy_expected", "{{model}} model card")),
        "percentunit",
    ),
    Panel("AUC", (("fx_model_auc", "{{model}} {{window}}"), ("fx_model_auc_expected", "{{model}} model card"))),
    Panel(
        "Brier score",
        (
            ("model_calibration_brier", "{{model}}"),
            ("fx_model_calibration_brier_low", "{{model}} lower end"),
            ("fx_model_calibration_brier_expected", "{{model}} model card"),
        ),
    ),
    one("Expected calibration error", "fx_model_ece", "{{model}} {{window}}", "percentunit"),
    one("Quality below the model card", "fx_model_quality_drop_ratio", "{{model}} {{window}}", "percentunit"),
    state("Verdict on quality", "fx_model_quality_verdict", "{{model}} {{window}}", VERDICTS),
    one("Predictions with an outcome", "fx_model_outcomes", "{{model}} {{window}}"),
    one(
        "Prediction drift (KL)",
        "prediction_drift_kl_divergence",
        "{{model}}",
        limits=((0, GREEN), (0.1, YELLOW)),
    ),
    one("Prediction drift (PSI)", "fx_prediction_drift_psi", "{{model}}"),
    one("Largest PSI", "fx_drift_psi_max", "{{model}}", limits=((0, GREEN), (0.15, YELLOW), (0.25, RED))),
    one("Share of traffic", "fx_traffic_weight", "{{model}} {{version}} {{slot}}", "percent"),
    Panel(
        "Rollouts",
        (("fx_rollouts", "{{model}} {{state}}"), ("fx_rollout_running", "{{model}} running")),
    ),
    one(
        "Candidate's failures",
        "sum by (model, version, reason) (rate(fx_canary_failures_total[5m])) or vector(0)",
        "{{model}} {{version}} {{reason}}",
        "reqps",
    ),
)
BUSINESS = (
    Panel(
        "quant_health",
        (("fx_quant_health", "all tiers"), ('fx_health_tier{scope="quant"}', "{{tier}}")),
        "none",
        "stat",
        words=LIGHTS,
    ),
    one(
        "Drawdown",
        "max_drawdown_pct",
        "from a peak",
        "percent",
        kind="stat",
        limits=((0, GREEN), (10, YELLOW), (15, RED)),
    ),
    Panel(
        "Simulated gains, share of capital",
        (
            ("simulated_pnl", "less the spread"),
            ("fx_simulated_pnl_gross", "before the spread"),
            ("fx_simulated_pnl_session", "this session"),
        ),
        "percentunit",
    ),
    one("Sharpe ratio", "sharpe_ratio", "{{window}}"),
    Panel("Signals an hour", (("fx_signals_per_hour", "this session"), ("fx_signals_last_hour", "last hour"))),
    Panel("Trades", (("fx_trades_closed", "closed"), ("fx_open_positions", "open {{model}}"))),
    one("Trades won", "fx_trades_win_ratio", "won", "percentunit"),
    one("Bar's close to order", "fx_trader_latency_seconds", "{{which}}", "s"),
    one("Predictions a second", "model_slot:fx_predictions:rate5m", "{{model}} {{slot}}", "reqps"),
    one(
        "Error budget left",
        "fx_slo_budget_left_ratio",
        "{{slo}}",
        "percentunit",
        kind="bargauge",
        limits=((0, RED), (0.001, YELLOW), (0.25, GREEN)),
    ),
    Panel(
        "Service levels",
        (("fx_slo_achieved_ratio", "{{slo}}"), ("fx_slo_target_ratio", "{{slo}} target")),
        "percentunit",
    ),
    one("Burn rate", "fx_slo_burn_rate", "{{slo}} {{window}}"),
)
INFRASTRUCTURE = (
    state("Answers", "up", "{{job}}", YES_NO),
    Panel(
        "infrastructure_health",
        (("fx_infrastructure_health", "all tiers"), ('fx_health_tier{scope="infrastructure"}', "{{tier}}")),
        "none",
        "stat",
        words=LIGHTS,
    ),
    one("Open alerts", "fx_alerts_open", "{{severity}}", kind="stat", limits=((0, GREEN), (1, YELLOW))),
    Panel(
        "Time to answer",
        (
            ("model:fx_prediction_seconds:p50_5m", "{{model}} p50"),
            ("model:fx_prediction_seconds:p95_5m", "{{model}} p95"),
            ("model:fx_prediction_seconds:p99_5m", "{{model}} p99"),
        ),
        "s",
    ),
    Panel(
        "Refused",
        (
            ("job:fx_predictions_refused:rate5m", "all"),
            ("sum by (reason) (rate(fx_predictions_refused_total[5m]))", "{{reason}}"),
        ),
        "reqps",
    ),
    one("Failed by the service", "job:fx_predictions_failed:ratio5m", "share", "percentunit"),
    Panel(
        "Prediction log",
        (
            ("fx_prediction_log_behind_bytes", "bytes not taken in"),
            ("fx_prediction_log_waiting", "records not on disk"),
            ("fx_prediction_log_dropped_total", "records given up"),
        ),
    ),
    Panel("Being answered", (("fx_requests_in_flight", "predictions"), ("fx_controller_lease", "controller's lease"))),
    one("Feast online store, read", "fx_online_store_read_seconds", "{{view}}", "s"),
    state("Online store answers", "fx_online_store_up", "{{store}}", YES_NO),
    Panel(
        "Redis",
        (("fx_redis_memory_used_bytes", "used"), ("fx_redis_memory_limit_bytes", "limit")),
        "bytes",
        about=REDIS,
    ),
    one(
        "Redis memory",
        "job:fx_redis_memory:used_ratio",
        "used",
        "percentunit",
        about=REDIS,
    ),
    one("Disk free", "fx_disk_free_ratio", "{{store}}", "percentunit", limits=((0, RED), (0.1, GREEN))),
    Panel(
        "Memory and load",
        (("fx_memory_available_ratio", "memory free"), ("fx_load_per_core", "load per core")),
        "percentunit",
    ),
    one(
        "Runs that made the asset, the ten worst",
        "bottomk(10, fx_asset_run_success_ratio)",
        "{{asset}}",
        "percentunit",
        kind="bargauge",
        limits=((0, RED), (0.95, YELLOW), (0.99, GREEN)),
        about="Of the last 24 hours.",
    ),
    one("Time to make an asset, the ten slowest", "topk(10, fx_asset_run_seconds)", "{{asset}}", "s", kind="bargauge"),
    Panel("Runs of 24 hours", (("fx_job_runs_day > 0", "{{dagster_job}} {{outcome}}"),)),
    one("Mean length of runs", "sort_desc(fx_job_run_seconds)", "{{dagster_job}}", "s", kind="bargauge"),
    Panel("Queue", (("fx_runs_unfinished", "{{status}}"), ("fx_backfills_running", "backfills"))),
    one("Daemons' silence", "fx_daemon_heartbeat_age_seconds", "{{daemon}}", "s"),
    Panel(
        "Notices",
        (("fx_alert_sends_waiting", "waiting {{route}}"), ("fx_alert_sends_failed_day", "given up {{route}}")),
        about="Only where alerts are sent somewhere (alerts.yaml).",
    ),
    state("Collectors", "fx_collector_up", "{{collector}}", YES_NO),
    one("Time to collect", "fx_collector_seconds", "{{collector}}", "s"),
)
DASHBOARDS: dict[str, tuple[str, str, tuple[Panel, ...]]] = {
    "data-quality": ("Data quality", "Freshness, missing values, schemas and drift of the features.", DATA),
    "model-performance": ("Model performance", "Accuracy, calibration, drift of the predictions, rollouts.", MODEL),
    "business": ("Business", "Paper trading, health verdicts and service levels.", BUSINESS),
    "infrastructure": ("Infrastructure", "The service, the runs, the stores and the machine.", INFRASTRUCTURE),
}


def panel_json(number: int, panel: Panel) -> dict[str, Any]:
    """One panel as Grafana wants it."""
    steps: list[dict[str, Any]] = [{"color": colour, "value": value} for value, colour in panel.limits]
    steps = [{"color": GREEN, "value": None}] if not steps else [{**steps[0], "value": None}, *steps[1:]]
    words = [
        {"type": "value", "options": {str(value): {"text": text, "color": colour}}}
        for value, (text, colour) in panel.words.items()
    ]
    options: dict[str, Any] = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    if panel.kind != "timeseries":
        options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
        options |= {"colorMode": "background"} if panel.kind == "stat" else {"displayMode": "lcd"}
    return {
        "id": number + 1,
        "title": panel.title,
        "description": panel.about,
        "type": panel.kind,
        "datasource": SOURCE,
        "gridPos": {"h": HEIGHT, "w": WIDTH, "x": WIDTH * (number % IN_ROW), "y": HEIGHT * (number // IN_ROW)},
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "mappings": words, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "options": options,
        "targets": [
            {
                "refId": chr(ord("A") + i),
                "datasource": SOURCE,
                "expr": expression,
                "legendFormat": legend,
                "instant": panel.kind != "timeseries",
            }
            for i, (expression, legend) in enumerate(panel.queries)
        ],
    }


def render(name: str) -> str:
    """One dashboard's file."""
    title, about, panels = DASHBOARDS[name]
    content = {
        "uid": f"fx-{name}",
        "title": f"FX: {title}",
        "description": about,
        "tags": ["fx"],
        "schemaVersion": 37,
        "version": 1,
        "editable": False,
        "timezone": "utc",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "annotations": {"list": []},
        "templating": {"list": []},
        "links": [{"type": "dashboards", "tags": ["fx"], "title": "FX", "asDropdown": True}],
        "panels": [panel_json(number, panel) for number, panel in enumerate(panels)],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for dashboard in DASHBOARDS:
        (FOLDER / f"{dashboard}.json").write_text(render(dashboard))
