"""Every metric of the exporter: what it is called, what it tells, in which unit. docs/metrics.md says the same.

Names without the prefix fx_ are those that dashboards of other teams expect; all others follow Prometheus' practice
(base units, the unit at the end). Everything is a gauge: the exporter states how things are, and counts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One metric. labels: in the order in which a sample gives their values."""

    name: str
    labels: tuple[str, ...]
    unit: str
    meaning: str


@dataclass(frozen=True)
class Sample:
    """One figure of a metric."""

    name: str
    labels: tuple[str, ...]
    value: float


def _made(*rows: tuple[str, str, str, str]) -> dict[str, Metric]:
    return {name: Metric(name, tuple(labels.split()), unit, meaning) for name, labels, unit, meaning in rows}


METRICS = _made(
    # ---- data ----
    ("data_freshness_hours", "layer pipeline", "h", "Trading time without rows of the instrument furthest behind"),
    ("fx_data_freshness_limit_hours", "layer pipeline", "h", "What data_freshness_hours may be (data.yaml: freshness)"),
    ("fx_data_instruments_late", "layer pipeline", "", "Instruments without a row, or later than the limit"),
    ("fx_market_open", "", "0, 1", "1: at least one instrument is traded now, by the data clock"),
    ("fx_market_open_seconds", "", "s", "How long it has been open; 0 while every market is closed"),
    ("missing_value_rate", "feature", "share", "Values missing in the newest session of gold/features"),
    ("fx_missing_value_rate_usual", "feature", "share", "Median of the same over the 20 sessions before"),
    ("schema_validation_status", "layer", "0, 1", "1: the newest schema check of every table of the layer passed"),
    ("fx_schema_checks_failed", "layer", "", "Tables of the layer whose newest schema check failed"),
    # ---- models ----
    ("fx_feature_drift_psi", "model feature", "", "Population stability index of the newest judged session"),
    ("fx_feature_drift_level", "model feature", "-1 to 3", "As fx_drift_level, of one feature: more than chance"),
    ("fx_drift_psi_max", "model", "", "The largest that counts for the verdict"),
    ("fx_drift_level", "model", "-1 to 3", "Band in force: none 0, minor 1, moderate 2, critical 3, inconclusive -1"),
    ("fx_drift_feed_broken", "model", "0, 1", "1: the feed, and not the market, is what drifted"),
    ("fx_drift_rows", "model", "", "Distinct feature rows of the judged window"),
    ("fx_drift_report_timestamp_seconds", "model", "unix s", "When the newest drift status was written"),
    ("prediction_drift_kl_divergence", "model", "nat", "Kullback-Leibler divergence of the predictions' distribution"),
    ("fx_prediction_drift_psi", "model", "", "Population stability index of the predictions"),
    ("model_accuracy", "model window", "share", "Predictions that came true, of those with an outcome"),
    ("fx_model_accuracy_expected", "model", "share", "The model card's accuracy"),
    ("fx_model_auc", "model window", "share", "Area under the ROC curve"),
    ("fx_model_auc_expected", "model", "share", "The model card's area under the ROC curve"),
    ("fx_model_ece", "model window", "share", "Expected calibration error"),
    ("model_calibration_brier", "model", "", "Brier score over the longest judged window"),
    ("fx_model_calibration_brier_low", "model", "", "Lower end of its interval"),
    ("fx_model_calibration_brier_expected", "model", "", "The model card's Brier score"),
    ("fx_model_quality_drop_ratio", "model window", "share", "How far quality is below the model card's, of it"),
    ("fx_model_quality_verdict", "model window", "0, 1, 2", "good 0, inconclusive 1, worse 2"),
    ("fx_model_outcomes", "model window", "", "Predictions with a known outcome"),
    ("fx_rollouts", "model state", "", "Rollouts of the home by their state"),
    ("fx_rollout_finished_timestamp_seconds", "model state", "unix s", "When the newest that ended so did"),
    # ---- money ----
    ("simulated_pnl", "", "share of capital", "Paper trading: all gains less the spread"),
    ("fx_simulated_pnl_gross", "", "share of capital", "The same before the spread"),
    ("fx_simulated_pnl_session", "", "share of capital", "The same of the running session, less the spread"),
    ("sharpe_ratio", "window", "per year", "Sharpe ratio of paper trading, annualised; absent until it can be told"),
    ("max_drawdown_pct", "", "%", "Largest loss from a peak of paper trading"),
    ("fx_signals_per_hour", "", "1/h", "Trading signals of the running session for each hour the market was open"),
    ("fx_signals_last_hour", "", "", "Trading signals of the last hour"),
    ("fx_trades_closed", "", "", "Trades of paper trading that are closed"),
    ("fx_trades_win_ratio", "", "share", "Closed trades with a gain"),
    ("fx_open_positions", "model", "", "Positions held now"),
    ("fx_trader_latency_seconds", "which", "s", "Bar's close to order: of the last order, and of the slowest"),
    ("fx_trader_run_timestamp_seconds", "", "unix s", "When the paper trader last looked"),
    # ---- health ----
    ("fx_quant_health", "", "0, 1, 2", "GREEN 0, YELLOW 1, RED 2: the worst tier"),
    ("fx_infrastructure_health", "", "0, 1, 2", "The same of the machines"),
    ("fx_health_tier", "scope tier", "0, 1, 2", "Each tier of both"),
    ("fx_slo_target_ratio", "slo", "share", "What the service level objective asks for"),
    ("fx_slo_achieved_ratio", "slo", "share", "What was achieved in its window"),
    ("fx_slo_budget_left_ratio", "slo", "share", "Error budget left: 1 untouched, 0 spent, below 0 overdrawn"),
    ("fx_slo_burn_rate", "slo window", "", "Budget spent in the window over what the objective allows: 1 is just so"),
    ("fx_alerts_open", "severity", "", "Alerts of the platform's own desk that are open"),
    ("fx_alert_sends_waiting", "route", "", "Notices of a route that wait to be sent"),
    ("fx_alert_sends_failed_day", "route", "", "Notices of a route given up in the last 24 hours"),
    ("fx_alert_send_oldest_seconds", "route", "s", "Age of the oldest tried in vain or overdue; 0 without one"),
    ("fx_heartbeat_timestamp_seconds", "", "unix s", "When the dead man's switch was last told that all is well"),
    # ---- runs ----
    ("fx_asset_runs_day", "asset outcome", "", "Runs of the last 24 hours that were to make the asset"),
    ("fx_asset_run_success_ratio", "asset", "share", "Those that made it"),
    ("fx_asset_run_seconds", "asset", "s", "How long its step took when it was last made"),
    ("fx_asset_made_timestamp_seconds", "asset", "unix s", "When it was last made, in the last 24 hours"),
    ("fx_job_runs_day", "dagster_job outcome", "", "Runs that ended in the last 24 hours, by job"),
    ("fx_job_run_success_ratio", "dagster_job", "share", "Those that succeeded"),
    ("fx_job_run_seconds", "dagster_job", "s", "Their mean length"),
    ("fx_runs_unfinished", "status", "", "Runs that are queued, starting or started"),
    ("fx_runs_queued_oldest_seconds", "", "s", "How long the oldest queued run has waited; 0 without one"),
    ("fx_backfills_running", "", "", "Backfills that still request runs"),
    ("fx_daemon_heartbeat_age_seconds", "daemon", "s", "Since each daemon of Dagster said that it lives; +Inf: never"),
    # ---- machines ----
    ("fx_online_store_up", "store", "0, 1", "1: Feast's online store was read"),
    ("fx_online_store_read_seconds", "view", "s", "Time of the last real read of every instrument's row of the view"),
    ("fx_redis_up", "", "0, 1", "1: Redis answers"),
    ("fx_redis_memory_used_bytes", "", "B", "Memory that Redis has taken"),
    ("fx_redis_memory_limit_bytes", "", "B", "Its maxmemory, or the machine's memory where it has none"),
    ("fx_redis_clients", "", "", "Open connections of Redis"),
    ("fx_disk_free_bytes", "store", "B", "Room on the disk of a store"),
    ("fx_disk_free_ratio", "store", "share", "The same, of the whole disk"),
    ("fx_memory_available_bytes", "", "B", "Memory that programs can still take"),
    ("fx_memory_available_ratio", "", "share", "The same, of the machine's"),
    ("fx_load_per_core", "", "", "Load average of one minute over the number of cores"),
    # ---- the exporter itself ----
    ("fx_collector_up", "collector", "0, 1", "1: the collector's last attempt succeeded within its time limit"),
    ("fx_collector_seconds", "collector", "s", "How long the last attempt took"),
    ("fx_collector_age_seconds", "collector", "s", "How old its figures are"),
)
