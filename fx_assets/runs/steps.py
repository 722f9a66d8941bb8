"""The runs that commands and the demo ask for, by name. Dagster is imported late: only to list the sessions."""

from __future__ import annotations

from fx_assets.configuration import Configuration
from fx_assets.runs.plan import MONITORING_LOCATION, PlannedRun
from fx_assets.runs.sessions import chosen_sessions

TABLES = [
    "bronze/candles",
    "bronze/news",
    "silver/candles",
    "silver/quarantine",
    "silver/technical",
    "silver/microstructure",
    "silver/volatility",
    "silver/regime",
    "silver/news_sentiment",
    "gold/market_features",
    "gold/news_signals",
    "gold/features",
    "gold/labels",
]
ONLINE = ["feature_registry", "online_features"]
TRAINING = [
    "training_set",
    "model_study",
    "trained_model",
    "model_evaluation",
    "promotion_decision",
    "promoted_model",
]
DEPLOYMENT = ["model_bundle", "deployment"]


def session_list(configuration: Configuration) -> list[str]:
    """All sessions of the configuration, sorted."""
    from fx_assets.partitions import fx_sessions

    return list(fx_sessions(configuration).get_partition_keys())


def tables_run(configuration: Configuration, first: str, last: str) -> PlannedRun:
    """Every bronze, silver and gold table of the sessions from `first` to `last` (dates), in one range run.

    Raises ConfigError for a date that is none, or a range without a session.
    """
    chosen = chosen_sessions(session_list(configuration), first, last, configuration.all_week)
    return PlannedRun(assets=TABLES, first=chosen[0], last=chosen[-1])


def online_run() -> PlannedRun:
    """The feature registry, the online store and the blobs the service reads."""
    return PlannedRun(assets=ONLINE)


def reference_run(tables: list[str]) -> PlannedRun:
    """Copies of reference files; each is made only of a file that has changed."""
    return PlannedRun(assets=tables)


def model_run(model: str, session: str, steps: list[str]) -> PlannedRun:
    """Some steps of one model for one session."""
    return PlannedRun(assets=[f"{model}/{step}" for step in steps], first=session, last=session)


def monitoring_run(session: str) -> PlannedRun:
    """The predictions of one session, and their drift."""
    return PlannedRun(assets=["predictions", "drift_report"], location=MONITORING_LOCATION, first=session, last=session)
