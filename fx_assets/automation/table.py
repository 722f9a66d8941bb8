"""From the rows of automation.yaml to Dagster's schedules and sensors: both code locations build theirs here.

A tick says what is to run, or in words why nothing: markets are closed, the data clock stands still, the session was
done. Ticks that were missed while no daemon ran are not made up: Dagster evaluates the newest one only, since no
schedule here is bound to partitions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from fx_assets.configuration import Configuration
from fx_assets.configuration.automation import MODEL, Row
from fx_assets.live.gating import closed_reason
from fx_assets.partitions import fx_sessions
from fx_assets.sessions import previous_session, running_session
from fx_serving.client.clock import now, stands_still

# What the runs of a row carry: what was asked for, and for which session.
ROW, SESSION = "fx/row", "fx/session"
AT_WORK = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
PARTITION = "dagster/partition"

# What a tick asks for, or in words why nothing.
Asked = dg.RunRequest | Sequence[dg.RunRequest] | str
Ask = Callable[[dg.ScheduleEvaluationContext], Asked]
# By row: given the model (empty where the row's job is not one of several models), what its ticks ask.
Asks = Mapping[str, Callable[[str], Ask]]


def sensor_options(configuration: Configuration, name: str) -> dict[str, Any]:
    """Arguments of dg.sensor for the row of a name: how often, on or off, and the tags that say whose it is."""
    row = configuration.automation.row(name)
    on = configuration.automation.on(name)
    return {
        "name": name,
        "minimum_interval_seconds": row.every_seconds,
        "default_status": dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED,
        "tags": _tags(row),
    }


def schedules(
    configuration: Configuration, jobs: Sequence[Any], asks: Asks | None = None
) -> list[dg.ScheduleDefinition]:
    """A schedule for each row whose job is among `jobs`; for each model, where the row's job is one of several."""
    table = configuration.automation
    made = []
    for name, row in table.rows.items():
        if row.sensor or row.part_of or row.profile not in (None, table.training_cadence):
            continue
        for job in jobs:
            if row.serves(job.name):
                model = _model(row, job.name)
                ask = (asks or {}).get(name)
                made.append(_schedule(configuration, name, row, job, model, ask(model) if ask else None))
    return made


def schedule_name(name: str, model: str) -> str:
    """A row's schedule; one for each model where its job is one of several."""
    return f"{name}_{model}" if model else name


def still_reason() -> str | None:
    """Why what looks for new data rests, however often it ticks; None where data time moves.

    Schedules tick by the wall clock: without this, a sample looked at on a Saturday would be trained on once more.
    """
    if not stands_still():
        return None
    return f"the data clock (FX_CLOCK) stands still at {now():%Y-%m-%d %H:%M} UTC: nothing new can come"


def resting_reason(configuration: Configuration, row: Row) -> str | None:
    """Why a row has nothing to do at this moment of the data clock."""
    if row.market_hours and (reason := closed_reason(configuration, now())):
        return reason
    return still_reason() if row.clock == "data" else None


def ended_session(configuration: Configuration) -> str:
    """The newest session that is over."""
    return previous_session(running_session(now(), configuration.all_week), configuration.all_week)


def already(instance: dg.DagsterInstance, name: str, session: str) -> str | None:
    """Why a session is not asked for again: a run of the row has made it, or is about to. None where none has."""
    filters = dg.RunsFilter(tags={ROW: name, SESSION: session}, statuses=[dg.DagsterRunStatus.SUCCESS, *AT_WORK])
    found = instance.get_runs(filters, limit=1)
    if not found:
        return None
    done = found[0].status == dg.DagsterRunStatus.SUCCESS
    return f"session {session} was done by run {found[0].run_id[:8]}" if done else f"session {session} is being done"


def at_work(instance: dg.DagsterInstance, job: str, session: str = "") -> str | None:
    """Why a job is not asked for once more, for a session where it has sessions: a run, whoever asked for it, waits or
    works. None without one.
    """
    tags, whose = ({PARTITION: session}, f" for {session}") if session else ({}, "")
    found = instance.get_runs(dg.RunsFilter(job_name=job, tags=tags, statuses=AT_WORK), limit=1)
    return f"run {found[0].run_id[:8]} of {job}{whose} waits or works" if found else None


def _model(row: Row, job: str) -> str:
    """The model in a job's name; empty where the row names one job."""
    if row.job is None or MODEL not in row.job:
        return ""
    before, _, after = row.job.partition(MODEL)
    return job[len(before) : len(job) - len(after)]


def _schedule(
    configuration: Configuration, name: str, row: Row, job: Any, model: str, ask: Ask | None
) -> dg.ScheduleDefinition:
    asked = ask or _by_session(configuration, name, row, job.name)

    def tick(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        if reason := resting_reason(configuration, row):
            yield dg.SkipReason(reason)
            return
        found = asked(context)
        if isinstance(found, str):
            yield dg.SkipReason(found)
            return
        at = context.scheduled_execution_time.isoformat()
        for request in [found] if isinstance(found, dg.RunRequest) else found:
            yield request._replace(
                # Run keys are remembered for ever, and what failed is to be tried again at the next tick.
                run_key=f"{request.run_key or name}-{at}",
                tags={ROW: name, **request.tags},
                run_config=request.run_config or row.run_config,
            )

    on = configuration.automation.on(name)
    return dg.ScheduleDefinition(
        name=schedule_name(name, model),
        job=job,
        cron_schedule=row.cron[0] if len(row.cron) == 1 else list(row.cron),
        execution_timezone=row.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING if on else dg.DefaultScheduleStatus.STOPPED,
        description=row.does,
        execution_fn=tick,
        tags=_tags(row),
    )


def _by_session(configuration: Configuration, name: str, row: Row, job: str) -> Ask:
    """What a row asks that needs no thought: its job, for the session that it names, unless one still works.

    On a machine that is slower than the row's cadence, runs would otherwise queue up in front of everything else.
    """

    def ask(context: dg.ScheduleEvaluationContext) -> Asked:
        if row.session == "none":
            return at_work(context.instance, job) or dg.RunRequest(run_key=name)
        ended = row.session == "ended"
        session = ended_session(configuration) if ended else running_session(now(), configuration.all_week)
        if not fx_sessions(configuration).has_partition_key(session):
            return f"{session} is not a session of instruments.yaml"
        if ended and (reason := already(context.instance, name, session)):
            return reason
        if working := at_work(context.instance, job, session):
            return working
        return dg.RunRequest(run_key=f"{name}-{session}", partition_key=session, tags={SESSION: session})

    return ask


def _tags(row: Row) -> dict[str, str]:
    found = {"owner": row.owner}
    if row.sla_minutes is not None:
        found["sla_minutes"] = f"{row.sla_minutes:g}"
    if row.pool is not None:
        found["pool"] = row.pool
    return found
