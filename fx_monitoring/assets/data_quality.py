"""data_quality_report: everything that is known about a session's data, on one page."""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from fx_assets.freshness.checks import CHECK as NEWEST_BAR
from fx_assets.freshness.failed_partitions import CHECK as FAILED_PARTITIONS
from fx_assets.freshness.newest import WATCHED
from fx_assets.inputs import table_inputs
from fx_assets.quality.findings import CHECKS
from fx_assets.quality.stored import CANDLES
from fx_assets.resources.home import HomeResource
from fx_assets.sessions import previous_session, running_session
from fx_assets.silver.lookahead_check import CHECK as NO_LOOKAHEAD
from fx_assets.silver.news_check import CHECK as NEWS_CLOCK
from fx_assets.silver.news_check import NEWS
from fx_assets.tables import define_asset
from fx_monitoring.assets.common import Shared, listed
from fx_monitoring.configuration import load_monitoring
from fx_monitoring.quality import data_page
from fx_monitoring.quality.data_facts import CheckFact, gather
from fx_serving.client.clock import now, to_iso

CHECK = "ordinary"
_LISTED = 20
# Of what Dagster stores about a check; a planned evaluation is none yet.
_VERDICTS = {"SUCCEEDED": True, "FAILED": False}


def build(shared: Shared) -> Sequence[dg.AssetsDefinition]:
    """The asset."""

    # No return annotation where a value is returned: Dagster reads MaterializeResult there as "no value".
    @define_asset(
        deps=[dg.AssetDep(["silver", "candles"]), dg.AssetDep(["gold", "features"])],
        io_manager_key="records_monitoring",
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset="data_quality_report",
                description="Nothing about the session's data is out of the ordinary.",
            )
        ],
        **shared.common(
            "One page about a session's data: tables and their schemas, completeness, quarantine, missing values, "
            "sources, clocks and checks.",
            {"html"},
        ),
    )
    def data_quality_report(context: dg.AssetExecutionContext, home: HomeResource):
        at, keep, session = now(), load_monitoring().quality.keep_reports, context.partition_key
        # The newest evaluation of a check says nothing about a session long past.
        checks = newest_checks(context.instance, check_keys(shared)) if session >= _yesterday(shared, at) else []
        facts = gather(home.lake, shared.configuration, session, at, checks)
        path, worries = data_page.write(home.stores, facts, keep), facts.worries
        return dg.MaterializeResult(
            value={
                "session": facts.session,
                "at": to_iso(at),
                "worries": worries,
                "tables": {t.table: {"rows": t.rows, "schema": t.status} for t in facts.tables},
                "completeness": {a.instrument: a.share for a in facts.arrived},
                "quarantined": {a.instrument: a.quarantined for a in facts.arrived},
                "sources": {a.instrument: dict(a.sources) for a in facts.arrived},
                "missing": {m.feature: m.share for m in facts.missing if m.share > 0},
                "page": str(path),
            },
            metadata={
                "page": dg.MetadataValue.path(path),
                "needs_a_look": listed(worries[:_LISTED], "nothing"),
                **{name: dg.MetadataValue.md(text) for name, text in data_page.markdown(facts).items()},
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name=CHECK,
                    passed=not worries,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"needs_a_look": listed(worries[:_LISTED], "nothing")},
                )
            ],
        )

    return [data_quality_report]


def _yesterday(shared: Shared, at: datetime) -> str:
    all_week = shared.configuration.all_week
    return previous_session(running_session(at, all_week), all_week)


def check_keys(shared: Shared) -> list[dg.AssetCheckKey]:
    """The checks on the tables of the other code location."""
    tables = list(table_inputs(shared.configuration))
    pairs = [(table, name) for table in tables for name in ("schema", NO_LOOKAHEAD, FAILED_PARTITIONS)]
    pairs += [(CANDLES, name) for name in CHECKS]
    pairs += [(table, NEWEST_BAR) for table in WATCHED]
    pairs += [(NEWS, NEWS_CLOCK)]
    return [dg.AssetCheckKey(dg.AssetKey(table.split("/")), name) for table, name in pairs]


def newest_checks(instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]) -> list[CheckFact]:
    """The newest evaluation of each check that was ever evaluated, failed ones first."""
    found = []
    for key, record in instance.event_log_storage.get_latest_asset_check_execution_by_key(keys).items():
        if record.status.value in _VERDICTS:
            at = datetime.fromtimestamp(record.create_timestamp, UTC)
            asset = key.asset_key.to_user_string()
            found.append(CheckFact(asset, key.name, _VERDICTS[record.status.value], at, record.partition))
    return sorted(found, key=lambda fact: (fact.passed, fact.asset, fact.check))
