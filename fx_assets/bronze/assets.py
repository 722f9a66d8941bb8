"""bronze/candles and bronze/news: what the sources answered, as files that are never modified."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from fx_assets.bronze.due import FETCH_AGAIN, ONLY_MISSING, due, fetched_by_us, newest_fetches
from fx_assets.bronze.failover import Sources
from fx_assets.bronze.fetch import Moment, NoAnswer, Outcome, fetch_candles, fetch_news
from fx_assets.bronze.files import ALL_NEWS, CANDLES, NEWS, Bronze
from fx_assets.bronze.report import failures_table, fetch_table, summary, without_answer
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
_GIVE_UP = 20  # sessions of an instrument in a row without any answer; no more of it are asked for then
_TOLD = 3  # failures that a message names


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
                    description="Every source that was asked answered. Where another one did, its candles were taken "
                    "(a warning); where none did, a live run goes on without them (an error), and any other fails.",
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
        fetched = fetched_by_us(configuration, CANDLES)
        wanted = _wanted(context, bronze, CANDLES, list(instruments), fetched, moment)
        with Sources(configuration.instruments) as sources:

            def fetch(session: str, symbol: str) -> Outcome:
                return fetch_candles(bronze, sources, symbol, instruments[symbol], session, moment)

            return _fetched(context, wanted, fetched, fetch, sources)

    @define_asset(
        key=["bronze", "news"],
        description="Headlines as fetched: one gzip NDJSON file a fetch.",
        **common("news"),
    )
    def news(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        bronze, moment = home.bronze, Moment(now(), datetime.now(UTC))
        names = configuration.instruments.news.sources
        fetched = fetched_by_us(configuration, NEWS)
        wanted = _wanted(context, bronze, NEWS, [ALL_NEWS], fetched, moment)
        with Sources(configuration.instruments) as sources:

            def fetch(session: str, _: str) -> Outcome:
                return fetch_news(bronze, sources, names, session, moment, tables.all_week)

            return _fetched(context, wanted, fetched, fetch, sources)

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
        lacking |= dict.fromkeys({context.run.tags.get(FETCH_AGAIN, "")} & {*keys}, fetched)
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
    every: Sequence[str],
    fetch: Callable[[str, str], Outcome],
    sources: Sources,
) -> dg.MaterializeResult:
    """Fetch every session of the run and report files, rows and failures for each.

    every: what sources are asked for. Raises StoreError, after the rest was fetched, with what no source answered
    for. But in a live run, which the next one follows, an instrument without an answer is told by the check, and the
    others go on without it, unless nothing at all of a session could be fetched.
    """
    tasks = [(session, what) for session, names in wanted.items() for what in names]
    outcomes, lacking = _in_threads(context, tasks, fetch)
    live = REASON_TAG in context.run.tags
    empty = {session for session in wanted if every and all((session, what) in lacking for what in every)}
    if errors := [str(error) for task, error in lacking.items() if not live or task[0] in empty]:
        more = f"\n... and {len(errors) - _TOLD} more" if len(errors) > _TOLD else ""
        raise StoreError("\n".join(errors[:_TOLD]) + more)
    outcomes |= {task: Outcome(failed=(str(error),)) for task, error in lacking.items()}
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
    told = without_answer({task: str(error) for task, error in lacking.items()})
    check = dg.AssetCheckResult(
        check_name="fetched",
        passed=not failed and not told,
        severity=dg.AssetCheckSeverity.ERROR if told else dg.AssetCheckSeverity.WARN,
        metadata={"sessions": len(wanted), "failed": dg.MetadataValue.json(failed), "without an answer": len(lacking)},
        description="\n".join(told) or None,
    )
    return dg.MaterializeResult(metadata=metadata, check_results=[check])


def _in_threads(
    context: dg.AssetExecutionContext, tasks: Sequence[tuple[str, str]], fetch: Callable[[str, str], Outcome]
) -> tuple[dict[tuple[str, str], Outcome], dict[tuple[str, str], NoAnswer]]:
    """The outcome of every (session, instrument), or why no source answered for it.

    Raises whatever else goes wrong, such as a full disk.
    """
    outcomes: dict[tuple[str, str], Outcome] = {}
    lacking: dict[tuple[str, str], NoAnswer] = {}
    lock = threading.Lock()
    started = logged = time.monotonic()
    fruitless: Counter[str] = Counter()

    def one(task: tuple[str, str]) -> None:
        nonlocal logged
        try:
            if fruitless[task[1]] >= _GIVE_UP:
                why = f"it was not asked for after {_GIVE_UP} of its sessions in a row"
                raise NoAnswer(f"{task[1]}, session {task[0]}", [why])
            outcome = fetch(*task)
        except NoAnswer as error:
            with lock:
                lacking[task] = error
                fruitless[task[1]] += 1
            return
        with lock:
            outcomes[task], fruitless[task[1]] = outcome, 0
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
            unexpected = next((e for f in done if (e := f.exception())), None)
        finally:
            pool.shutdown(cancel_futures=True)
    if unexpected is not None:
        raise unexpected
    return outcomes, lacking


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
