"""bronze/candles and bronze/news: what the sources answered, as files that are never modified."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from fx_assets.bronze.due import ONLY_MISSING, due, fetched_by_us, newest_fetches
from fx_assets.bronze.failover import Sources
from fx_assets.bronze.fetch import Moment, Outcome, fetch_candles, fetch_news
from fx_assets.bronze.files import ALL_NEWS, CANDLES, NEWS, Bronze
from fx_assets.bronze.report import failures_table, fetch_table, summary
from fx_assets.configuration import Configuration
from fx_assets.errors import StoreError
from fx_assets.freshness.policies import table_policy
from fx_assets.live.decide import POLL
from fx_assets.live.retention import REASON_TAG
from fx_assets.resources.home import HomeResource
from fx_assets.runs.pools import API
from fx_assets.tables import CODE_VERSION, OWNER, Tables, define_asset, transient
from fx_serving.client.clock import now

_FETCHERS = 4
_LOG_S = 10.0
# One instrument that fails does not keep the others from being fetched; many say that it is not about instruments.
_GIVE_UP = 20


def build(tables: Tables, configuration: Configuration) -> Sequence[dg.AssetsDefinition]:
    """The two bronze assets for a configuration."""
    instruments = configuration.instruments.instruments

    def common(what: str) -> dict:
        return {
            "group_name": "bronze",
            "partitions_def": tables.partitions,
            "backfill_policy": dg.BackfillPolicy.single_run(),
            "freshness_policy": table_policy(tables.data.sla(f"bronze/{what}")),
            "retry_policy": transient,
            "owners": [OWNER],
            "tags": {"layer": "bronze"},
            "kinds": {"json"},
            "pool": API,
            "code_version": CODE_VERSION,
            "check_specs": [
                dg.AssetCheckSpec(
                    "fetched",
                    asset=["bronze", what],
                    description="Every source that was asked answered. Where another one did, its candles were taken.",
                )
            ],
        }

    @define_asset(
        key=["bronze", "candles"],
        description="Candles as fetched: one gzip NDJSON file a fetch.",
        **common("candles"),
    )
    def candles(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        poll = context.run.tags.get(REASON_TAG) == POLL
        bronze, moment = home.bronze, Moment(now(), datetime.now(UTC), poll)
        if not poll:
            bronze.sweep(CANDLES)
        wanted = _wanted(context, bronze, CANDLES, list(instruments), fetched_by_us(configuration, CANDLES), moment)
        with Sources(configuration.instruments) as sources:

            def fetch(session: str, symbol: str) -> Outcome:
                return fetch_candles(bronze, sources, symbol, instruments[symbol], session, moment)

            return _fetched(context, wanted, fetch, sources)

    @define_asset(
        key=["bronze", "news"],
        description="Headlines as fetched: one gzip NDJSON file a fetch.",
        **common("news"),
    )
    def news(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        bronze, moment = home.bronze, Moment(now(), datetime.now(UTC))
        names = configuration.instruments.news.sources
        wanted = _wanted(context, bronze, NEWS, [ALL_NEWS], fetched_by_us(configuration, NEWS), moment)
        with Sources(configuration.instruments) as sources:

            def fetch(session: str, _: str) -> Outcome:
                return fetch_news(bronze, sources, names, session, moment, tables.all_week)

            return _fetched(context, wanted, fetch, sources)

    return [candles, news]


def _wanted(
    context: dg.AssetExecutionContext, bronze: Bronze, table: str, every: list[str], fetched: list[str], moment: Moment
) -> dict[str, list[str]]:
    """What to fetch for each session of the run: everything, or what is due where the run asks for only that.

    A step that is tried again does not fetch what it has fetched before.
    """
    keys = list(context.partition_keys)
    only_missing = context.run.tags.get(ONLY_MISSING, "").lower() in ("1", "true", "yes")
    if not only_missing and not context.retry_number:
        return dict.fromkeys(keys, every)
    newest = newest_fetches(bronze, table)
    if only_missing:
        lacking = due(keys, fetched, newest, moment.now, moment.wall)
        return {key: lacking.get(key, []) for key in keys}
    record = context.instance.get_run_record_by_id(context.run.run_id)
    since = datetime.fromtimestamp((record and record.start_time) or moment.wall.timestamp(), UTC)

    def done(session: str, instrument: str) -> bool:
        fetch = newest.get(instrument, {}).get(session)
        return fetch is not None and fetch.any >= since

    return {key: [name for name in every if not done(key, name)] for key in keys}


def _fetched(
    context: dg.AssetExecutionContext,
    wanted: Mapping[str, Iterable[str]],
    fetch: Callable[[str, str], Outcome],
    sources: Sources,
) -> dg.MaterializeResult:
    """Fetch every session of the run and report files, rows and failures for each."""
    tasks = [(session, what) for session, names in wanted.items() for what in names]
    outcomes = _in_threads(context, tasks, fetch)
    counts = {}
    for session in wanted:
        of_session = [outcomes[session, what] for what in wanted[session]]
        counts[session] = summary(of_session)
        context.add_asset_metadata(_figures(of_session, counts[session]), partition_key=session)
    failed = sources.passed_over()
    metadata: dict[str, Any] = {"newest": dg.MetadataValue.md(fetch_table(counts)), "requests": len(tasks)}
    if failed:
        metadata["failed sources"] = dg.MetadataValue.md(failures_table(failed))
        context.log.warning("sources that were passed over:\n" + failures_table(failed))
    check = dg.AssetCheckResult(
        check_name="fetched",
        passed=not failed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"sessions": len(wanted), "failed": dg.MetadataValue.json(failed)},
    )
    return dg.MaterializeResult(metadata=metadata, check_results=[check])


def _in_threads(
    context: dg.AssetExecutionContext, tasks: Sequence[tuple[str, str]], fetch: Callable[[str, str], Outcome]
) -> dict[tuple[str, str], Outcome]:
    """The outcome of every (session, instrument). What one source fails for is no reason not to fetch the rest.

    Raises StoreError, after the rest was fetched, with what could not be.
    """
    outcomes: dict[tuple[str, str], Outcome] = {}
    errors: list[str] = []
    lock = threading.Lock()
    started = logged = time.monotonic()

    def one(task: tuple[str, str]) -> None:
        nonlocal logged
        try:
            outcome = fetch(*task)
        except StoreError as error:
            with lock:
                errors.append(str(error))
                if len(errors) >= _GIVE_UP:
                    raise
            return
        with lock:
            outcomes[task] = outcome
            if time.monotonic() - logged > _LOG_S:
                logged = time.monotonic()
                files = sum(len(o.files) for o in outcomes.values())
                context.log.info(
                    f"fetched {len(outcomes)} of {len(tasks)} ({files} files, {logged - started:.0f} s), "
                    f"now at session {task[0]}"
                )

    with ThreadPoolExecutor(_FETCHERS) as pool:
        futures = [pool.submit(one, task) for task in tasks]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            unexpected = next((e for f in done if (e := f.exception()) and not isinstance(e, StoreError)), None)
        finally:
            pool.shutdown(cancel_futures=True)
    if unexpected is not None:
        raise unexpected
    if errors:
        more = f"\n... and {len(errors) - 3} more" if len(errors) > 3 else ""
        raise StoreError("\n".join(errors[:3]) + more)
    return outcomes


def _figures(outcomes: Sequence[Outcome], count: Mapping[str, int]) -> dict[str, Any]:
    """Metadata of one session's event."""
    files = [file for outcome in outcomes for file in outcome.files]
    failed = sorted({words for outcome in outcomes for words in outcome.failed})
    rows: dict[str, int] = {}
    for file in files:
        rows[file.source] = rows.get(file.source, 0) + file.rows
    return {
        "dagster/partition_row_count": count["rows"],
        "files": count["files"],
        "sources": rows,
        "sha256": [file.sha256 for file in files],
        **({"failed": failed} if failed else {}),
    }
