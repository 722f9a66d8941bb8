"""platform/environment: before the week opens, is everything there that trading needs? And when its check is due.

It looks at what `fx doctor` looks at, and at what only a running platform can be asked: its service, its pools, and
how new its data are. Ports are left out: the platform itself holds them.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from fx_assets.automation.table import Ask, Asked, Asks
from fx_assets.configuration import Configuration
from fx_assets.models.rollout import service_url
from fx_assets.resources.home import HomeResource
from fx_assets.runs import pools
from fx_assets.stack import examine
from fx_assets.tables import CODE_VERSION, OWNER, define_asset
from fx_serving.client.environment import Finding, read_result, write_result
from fx_serving.client.home import Stores
from fx_serving.client.http import ServiceError, ServingClient

ROW = JOB = "environment_check"
KEY = dg.AssetKey(["platform", "environment"])
# Of a platform that is at work; to start one takes more.
WORKING_MEMORY_GIB = 0.5


def build(configuration: Configuration) -> dg.AssetsDefinition:
    """The asset with its check."""

    @define_asset(
        key=KEY,
        group_name="platform",
        description="Whether everything is there that trading needs. While its check fails, trading steps refuse.",
        owners=[OWNER],
        tags={"layer": "platform"},
        code_version=CODE_VERSION,
        check_specs=[dg.AssetCheckSpec("well", asset=KEY, description="Nothing has to be mended.")],
    )
    def environment(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        deploys = any(entry.deploy for entry in configuration.models.models.values())
        found = [*checked(home.stores, deploys), *pool_findings(context.instance, configuration)]
        result = write_result(home.stores, found)
        bad = [finding.what for finding in result.bad]
        return dg.MaterializeResult(
            metadata={"bad": bad or ["none"], "findings": dg.MetadataValue.md(table(result.findings))},
            check_results=[dg.AssetCheckResult(check_name="well", passed=result.passed, metadata={"bad": bad})],
        )

    return environment


def build_job() -> Any:
    """The job that makes the asset."""
    return dg.define_asset_job(JOB, dg.AssetSelection.assets(KEY), description="Is everything there to trade?")


def checked(stores: Stores, deploys: bool) -> Iterator[Finding]:
    """What `fx doctor` looks at, less the ports; and, where anything is deployed, whether the service answers."""
    for good, what, remedy in examine.examine(stores.home, ports=False, memory_gib=WORKING_MEMORY_GIB):
        yield Finding(good, what, "" if good else remedy)
    if deploys:
        yield service_finding(stores)


def service_finding(stores: Stores) -> Finding:
    """Whether the deployment service answers."""
    url = service_url(stores)
    try:
        with ServingClient(url) as client:
            client.traffic()
    except ServiceError as error:
        return Finding(False, f"the deployment service at {url} does not answer ({error})", "Start it: fx up")
    return Finding(True, f"the deployment service answers at {url}")


def pool_findings(instance: dg.DagsterInstance, configuration: Configuration) -> Iterator[Finding]:
    """Whether every pool that the table names exists. A pool without a slot holds its steps for ever."""
    storage = instance.event_log_storage
    limits = {pool.name: pool.limit for pool in storage.get_pool_limits()} if _pooled(storage) else {}
    for name in sorted({row.pool for row in configuration.automation.rows.values() if row.pool}):
        if name not in pools.LIMITS:
            remedy = f"Use one of {', '.join(pools.LIMITS)} in automation.yaml"
            yield Finding(False, f"automation.yaml: there is no pool '{name}'", remedy)
        elif limits.get(name, 1) < 1:
            yield Finding(False, f"pool {name} has no slot", "Give it one: Dagster UI, Deployment, Concurrency")
        else:
            yield Finding(True, f"pool {name}")


def _pooled(storage: Any) -> bool:
    return storage.supports_global_concurrency_limits


def asks(configuration: Configuration, stores: Stores) -> Asks:
    """What the ticks of the row ask for."""
    return {ROW: lambda _: _ask(configuration, stores)}


def _ask(configuration: Configuration, stores: Stores) -> Ask:
    row = configuration.automation.row(ROW)

    def ask(context: dg.ScheduleEvaluationContext) -> Asked:
        reason = not_due(stores, row.cron[0], row.timezone, context.scheduled_execution_time)
        return reason or dg.RunRequest(run_key=ROW)

    return ask


def not_due(stores: Stores, cron: str, timezone: str, at: datetime) -> str | None:
    """Why no check is due at a moment (aware): the newest one passed, and is of this week. cron: when a week's check is
    made. A check that never was is not made up in the middle of a week.
    """
    from dagster._utils.schedules import reverse_cron_string_iterator

    result = read_result(stores)
    due = next(reverse_cron_string_iterator(at.timestamp(), cron, timezone))
    if due == at.astimezone(due.tzinfo):
        return None
    if result is None:
        return f"the first check is made at the next tick of {cron}"
    if not result.passed:
        return None
    if result.at < due.astimezone(UTC):
        return None  # it was missed: the platform did not run
    return f"the check of {result.at:%Y-%m-%d %H:%M} UTC passed"


def table(findings: list[Finding]) -> str:
    """What was found, as a Markdown table."""
    rows = [f"| {'ok' if f.good else 'BAD'} | {f.what} | {f.remedy} |" for f in findings]
    return "\n".join(["| | what | remedy |", "| --- | --- | --- |", *rows])
