"""From Dagster's own records to troubles: runs that failed, checks that failed, and when either is over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from fx_assets.automation.table import ROW
from fx_assets.configuration import Configuration
from fx_monitoring.alerts.desk import Desk
from fx_monitoring.alerts.model import Alert, OpenAlert, Severity
from fx_monitoring.redact import without_credentials

RUN, RESTORED = "RunFailed", "FileRestored"
ROLLED_OUT = "rolled_out"  # the check of a model's deployment
CHECKS = "checks"
AD_HOC = "__"  # how the names begin that Dagster gives to runs of assets without a job
WILL_RETRY = "dagster/will_retry"
# Checks are recorded when they are planned and again when they end: so far back one may have ended only now.
_BACK = 5000
_DETAIL = 500
# Whose the checks of an asset are, by the first part of its key; of others, which belong to a model, the models'.
_OWNERS = {
    **dict.fromkeys(("bronze", "silver", "gold", "feature_registry", "online_features", "data_quality_report"), "data"),
    **dict.fromkeys(("paper_trader", "paper_trading"), "trading"),
    "platform": "platform",
}
# What a check of this name means by failing: the alert's name, its severity where it is not the check's own, owner.
_KNOWN: dict[str, tuple[str, Severity | None, str]] = {
    "newest_bar": ("DataStale", "critical", "data"),
    "failed_partitions": ("PartitionsFailed", "warning", "data"),
    "gates": ("CandidateRejected", "warning", "models"),
    ROLLED_OUT: ("RolloutFailed", "warning", "models"),
}
# Told from the files behind them, with more to say.
_TOLD_ELSEWHERE = frozenset(
    {
        "drift_report/drift",
        "drift_report/feed",
        "prediction_quality/quality",
        "quant_health/not_red",
        "infrastructure_health/not_red",
        "service_level_report/budgets",
        "platform/environment/well",
    }
)


# ---- runs ---------------------------------------------------------------------------------------------------------


def failed_run(
    desk: Desk, configuration: Configuration, instance: dg.DagsterInstance, run: dg.DagsterRun,
    steps: list[tuple[str, str]], message: str,
) -> Alert | None:  # fmt: skip
    """The alert of a failed run; None where Dagster starts it again by itself, it is on record already, or a later run
    went well: whoever looks may have been dead for hours.

    steps: (key, error) of those that failed.
    """
    if run.tags.get(WILL_RETRY, "").lower() == "true":
        return None
    what = run.job_name
    if what.startswith(AD_HOC):
        keys = sorted(key.to_user_string() for key in run.asset_selection or ())
        what = steps[0][0].replace("__", "/") if steps else (keys or ["assets"])[0]
    link = f"{desk.configuration.links.dagster.rstrip('/')}/runs/{run.run_id}"
    key = f"{RUN}/{what}"
    if any(alert.key == key and alert.link == link for alert in desk.open()):
        return None
    record = instance.get_run_record_by_id(run.run_id)
    if record is not None and record.end_time and _good_since(instance, what, record.end_time):
        return None
    partition = run.tags.get("dagster/partition") or run.tags.get("dagster/asset_partition_range_start")
    first = f"{steps[0][0]}: {steps[0][1]}" if steps else message
    return Alert(
        key=key,
        severity="warning",
        owner=_owner(configuration, run.tags.get(ROW)),
        title=f"a run of {what} failed" + (f" for {partition}" if partition else ""),
        detail=without_credentials(first)[:_DETAIL],
        link=link,
        remedy="Open the run, mend what its first error names, and run it again (re-execute from failure).",
    )


def _owner(configuration: Configuration, row: str | None) -> str:
    rows = configuration.automation.rows
    return rows[row].owner if row in rows else "platform"


def settle_runs(desk: Desk, instance: dg.DagsterInstance) -> int:
    """Resolve what went well since, and what nobody heard of for `expire_hours`; returns how many."""
    settled, old = 0, desk.clock() - timedelta(hours=desk.configuration.expire_hours)
    alerts = [alert for alert in desk.open() if alert.name in (RUN, RESTORED)]
    well = _went_well(instance, [alert for alert in alerts if alert.name == RUN])
    for alert in alerts:
        if alert.key in well:
            settled += desk.resolve(alert.key, well[alert.key])
        elif alert.last_seen < old:
            settled += desk.resolve(alert.key, f"not seen again for {desk.configuration.expire_hours:g} h")
    return settled


def _went_well(instance: dg.DagsterInstance, alerts: list[OpenAlert]) -> dict[str, str]:
    """By key, the good run since. What counts is when the failed run ended, and not when somebody looked."""
    if not alerts:
        return {}
    failed = {alert.key: alert.link.rpartition("/")[2] for alert in alerts}
    records = instance.get_run_records(dg.RunsFilter(run_ids=list(failed.values())))
    ended = {record.dagster_run.run_id: record.end_time for record in records}
    since = {alert.key: ended.get(failed[alert.key]) or alert.last_seen.timestamp() for alert in alerts}
    return {a.key: well for a in alerts if (well := _good_since(instance, a.subject, since[a.key]))}


def _good_since(instance: dg.DagsterInstance, what: str, since: float) -> str | None:
    """The good run of a job, or of an asset that was made by hand, that began after a moment; None without one."""
    began = datetime.fromtimestamp(since, UTC)
    good = dg.RunsFilter(job_name=what, statuses=[dg.DagsterRunStatus.SUCCESS], created_after=began)
    for run in instance.get_runs(good, limit=1):
        return f"run {run.run_id[:8]} succeeded"
    for found in instance.get_asset_records([dg.AssetKey(what.split("/"))]):
        made = found.asset_entry.last_materialization
        if made is not None and made.timestamp > since:
            return f"run {made.run_id[:8]} made it"
    return None


# ---- checks -------------------------------------------------------------------------------------------------------


def read_checks(desk: Desk, instance: dg.DagsterInstance) -> int:
    """Take the check evaluations since the last look, of each check the newest; returns how many alerts are new."""
    before = desk.read_to(CHECKS) or "0"
    newest, mark = _newest_evaluations(instance, before)
    if mark == before:
        return 0
    fire, resolve = [], []
    for evaluation in newest:
        if _still_runs(evaluation):
            continue
        if f"{evaluation.asset_key.to_user_string()}/{evaluation.check_name}" in _TOLD_ELSEWHERE:
            continue
        if _still_runs(evaluation):
            continue
        alert = _failed_check(desk, evaluation)
        if evaluation.passed:
            resolve.append((alert.key, "the newest evaluation of the check passed"))
        else:
            fire.append(alert)
    return desk.apply(CHECKS, mark, fire, resolve)


def _still_runs(evaluation: Any) -> bool:
    """Whether it speaks of a rollout under way, which is no end of any kind. A bad end is recorded as an error."""
    warns = evaluation.severity == dg.AssetCheckSeverity.WARN
    return evaluation.check_name == ROLLED_OUT and not evaluation.passed and warns


def _newest_evaluations(instance: dg.DagsterInstance, mark: str) -> tuple[list[Any], str]:
    """The newest evaluation of each check after a mark, and the next mark: `<newest storage id>:<newest row>`. A mark
    that is ahead of the tables is another database's, such as the one before Dagster moved to PostgreSQL.

    Straight from the table: the public calls want to know the checks' names, and those of the other code location are
    not known here; a query by event type opens the file of every run.
    """
    import sqlalchemy as db
    from dagster import EventLogEntry
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Table
    from dagster._serdes import deserialize_value

    columns = (Table.c.id, Table.c.asset_key, Table.c.check_name, Table.c.evaluation_event_storage_id)
    storage: Any = instance.event_log_storage
    ended = Table.c.execution_status.in_(["SUCCEEDED", "FAILED"])
    seen, _, row_seen = mark.partition(":")
    with storage.index_connection() as connection:
        highest = connection.execute(db.select(db.func.max(Table.c.id))).scalar() or 0
        first = min(int(row_seen or highest), highest) - _BACK
        newest_event = db.select(db.func.max(Table.c.evaluation_event_storage_id)).where(Table.c.id > first, ended)
        known = connection.execute(newest_event).scalar() or 0
        after = int(seen) if int(seen) <= known else 0
        query = db.select(*columns).where(Table.c.id > first, ended, Table.c.evaluation_event_storage_id > after)
        rows = connection.execute(query.order_by(Table.c.evaluation_event_storage_id)).fetchall()
        newest = {(row[1], row[2]): row[0] for row in rows}
        wanted = db.select(Table.c.evaluation_event).where(Table.c.id.in_(newest.values()))
        entries = [deserialize_value(row[0], EventLogEntry) for row in connection.execute(wanted)]
    evaluations = [entry.dagster_event.event_specific_data for entry in entries if entry.dagster_event is not None]
    return evaluations, f"{known}:{highest}"


def _failed_check(desk: Desk, evaluation: Any) -> Alert:
    asset, check = evaluation.asset_key.to_user_string(), evaluation.check_name
    name, severity, owner = _KNOWN.get(check, ("CheckFailed", None, _OWNERS.get(asset.partition("/")[0], "models")))
    model = asset.partition("/")[0]
    what = {"CheckFailed": f"{asset}/{check}", "CandidateRejected": model, "RolloutFailed": model}.get(name, asset)
    own: Severity = "critical" if evaluation.severity == dg.AssetCheckSeverity.ERROR else "warning"
    titles = {
        "DataStale": f"{asset} has no new rows although the market is open",
        "PartitionsFailed": f"{asset} lacks sessions that failed or were never made",
        "CandidateRejected": f"a new version of {what} missed its gates",
        "RolloutFailed": f"the rollout of {what} ended badly",
    }
    remedies = {
        "DataStale": "fx status says how far each table is behind; then look at the source.",
        "CandidateRejected": "Read its model card (fx models list); the champion goes on answering.",
        "RolloutFailed": "Read why (fx rollout status); the version before goes on answering.",
    }
    told = dict(_words(evaluation))
    return Alert(
        key=f"{name}/{what}",
        severity=severity or own,
        owner=owner,
        title=titles.get(name, f"check {check} of {asset} failed"),
        detail=without_credentials("; ".join(f"{k}: {v}" for k, v in told.items()))[:_DETAIL] or "no details",
        link=f"{desk.configuration.links.dagster.rstrip('/')}/assets/{asset}?view=checks",
        remedy=remedies.get(name) or told.get("remedy") or "Open the check, and mend what its metadata names.",
    )


def _words(evaluation: Any) -> Iterator[tuple[str, str]]:
    if evaluation.description:
        yield "why", evaluation.description
    for name, value in evaluation.metadata.items():
        if isinstance(value.value, str | int | float | list | dict):
            yield name, str(value.value)
