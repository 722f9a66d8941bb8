"""The nightly close: the session that has ended is fetched once more and its whole chain made again, and what the
newest sessions lack is filled.

A broker corrects candles after a session's end, and nothing else asks for a settled session again. What is missing or
outdated is found as `fx backfill` finds it, in the newest sessions only: older holes are the check failed_partitions'
and `fx backfill`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import dagster as dg

from fx_assets.automation.table import SESSION, Ask, Asked, Asks, already, ended_session
from fx_assets.bronze.due import FETCH_AGAIN, ONLY_MISSING, fetched_by_us
from fx_assets.bronze.files import CANDLES, Bronze
from fx_assets.configuration import Configuration
from fx_assets.lake import Lake
from fx_assets.live.holds import held_back
from fx_assets.quality.held import Held, in_words
from fx_assets.runs.backfill.survey import Survey
from fx_assets.runs.sessions import begun_sessions
from fx_assets.runs.steps import ONLINE, TABLES
from fx_serving.client.clock import now
from fx_serving.client.home import Stores

ROW = JOB = "nightly_close"
# About a month: what is older was seen by some thirty nights.
NEWEST = 22


@dataclass(frozen=True)
class Block:
    """Neighbouring sessions that are made in one run. again: whether the last one is fetched whatever is there."""

    first: str
    last: str
    again: bool


def blocks(due: Sequence[tuple[str, bool]], again: str | None) -> list[Block]:
    """Runs of sessions that are due. due: (session, whether anything of it is), sorted. again: made in any case.

    A change spreads to the sessions that look back at it, so those of different blocks do not depend on each other.
    """
    found = []
    for wanted, group in groupby(due, key=lambda entry: entry[1] or entry[0] == again):
        keys = [key for key, _ in group]
        if wanted:
            found.append(Block(keys[0], keys[-1], keys[-1] == again))
    return found


def build_job() -> Any:
    """All tables of some sessions, and the online features."""
    keys = [dg.AssetKey(key.split("/")) for key in (*TABLES, *ONLINE)]
    return dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.assets(*keys),
        description="Makes ended sessions again, from the sources to the features.",
    )


def asks(configuration: Configuration, lake: Lake, stores: Stores) -> Asks:
    """What the ticks of the row ask for."""
    return {ROW: lambda _: _ask(configuration, lake, stores)}


def _ask(configuration: Configuration, lake: Lake, stores: Stores) -> Ask:
    def ask(context: dg.ScheduleEvaluationContext) -> Asked:
        ended = ended_session(configuration)
        every = [key for key in begun_sessions(configuration, now()) if key <= ended]
        if not every:
            return "no session has ended yet"
        newest = every[-1]
        if reason := already(context.instance, ROW, newest):
            return reason
        # Where no source is asked (files that were imported), there is nothing to fetch again.
        again = newest if fetched_by_us(configuration, CANDLES) else None
        found = blocks(_due(configuration, lake, stores, every), again)
        held = {block: held_back(configuration, stores.home, block.first, block.last) for block in found}
        for words in (in_words(keys) for keys in held.values() if keys):
            context.log.warning(words)
        requests = [_request(block, newest) for block in found if not held[block]]
        if not requests:
            return next((in_words(keys) for keys in held.values() if keys), f"nothing is due up to {newest}")
        return requests

    return ask


def _due(configuration: Configuration, lake: Lake, stores: Stores, every: Sequence[str]) -> list[tuple[str, bool]]:
    """The newest of the ended sessions, each with whether anything of it is missing or outdated."""
    bronze = Bronze(lake.store)
    made = lake.keys("gold/features")
    # A home that was begun today does not fill the years before it: that is for a person to ask for.
    first = min(max(every[-NEWEST:][0], made[0]), every[-1]) if made else every[-1]
    survey = Survey(configuration, lake, bronze, now(), first, every[-1], held=Held(stores.home, bronze, configuration))
    work = survey.work()
    return [(key, any(row[number] for row in work.due.values())) for number, key in enumerate(work.sessions)]


def _request(block: Block, newest: str) -> dg.RunRequest:
    tags = {SESSION: block.last, ONLY_MISSING: "true"}
    if block.again:
        tags[FETCH_AGAIN] = block.last
    if block.first != block.last:
        tags["dagster/asset_partition_range_start"] = block.first
        tags["dagster/asset_partition_range_end"] = block.last
    names = [*TABLES, *(ONLINE if block.last == newest else ())]
    return dg.RunRequest(
        run_key=f"{JOB}-{block.first}-{block.last}",
        partition_key=block.last if block.first == block.last else None,
        asset_selection=[dg.AssetKey(name.split("/")) for name in names],
        tags=tags,
    )
