"""Which sessions a rollback of silver and gold concerns, and in which runs: pure reading, nothing is started."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import groupby

from fx_assets.bronze.files import ALL_NEWS, CANDLES, NEWS, Bronze
from fx_assets.configuration import Configuration
from fx_assets.errors import ConfigError
from fx_assets.inputs import table_inputs
from fx_assets.lake import Lake
from fx_assets.quality.held import TABLE as HELD
from fx_assets.runs.plan import PlannedRun
from fx_assets.runs.steps import TABLES
from fx_assets.storage import Store

# Made from bronze itself: what the checks say of them decides which sessions the rest may be made of.
FROM_BRONZE = ["silver/candles", "silver/quarantine", "silver/news_sentiment"]
REST = [table for table in TABLES if not table.startswith("bronze/") and table not in FROM_BRONZE]
TAGS = {"fx/command": "rollback-data"}


def changed_since(store: Store, configuration: Configuration, sessions: Sequence[str], as_of: datetime) -> list[str]:
    """The sessions that fetches after `as_of` have added to, sorted."""
    now, then = Bronze(store), Bronze(store, as_of)
    instruments = list(configuration.instruments.instruments)
    changed: set[str] = set()
    for table, names in ((CANDLES, instruments), (NEWS, [ALL_NEWS])):
        before, after = then.digests(table, sessions, names), now.digests(table, sessions, names)
        changed |= {session for session in sessions if before[session] != after[session]}
    return sorted(changed)


def rollback_run(
    lake: Lake, configuration: Configuration, as_of: datetime, first: str | None = None, last: str | None = None
) -> PlannedRun | None:
    """The first run, over the tables made from bronze; None when no fetch after `as_of` matters to what was made.

    Without `first` and `last`: from the session before the first changed one (whose labels look ahead) to the newest
    one made (whose features look back). Raises ConfigError for a range in which nothing was made.
    """
    made = lake.keys("silver/candles")
    chosen = [key for key in made if (first is None or key >= first) and (last is None or key <= last)]
    if not chosen:
        span = f"it has {made[0]} to {made[-1]}" if made else "it has none"
        raise ConfigError(
            f"silver/candles: no session from {first or 'the start'} to {last or 'the end'} was made; {span}. "
            "Choose others: only what was made can be rolled back."
        )
    if first is None:
        changed = changed_since(lake.store, configuration, chosen, as_of)
        if not changed:
            return None
        ahead = table_inputs(configuration)["gold/labels"]["candles"].ahead
        chosen = chosen[max(0, chosen.index(changed[0]) - ahead) :]
    return PlannedRun(assets=FROM_BRONZE, first=chosen[0], last=chosen[-1], tags=TAGS)


def rest_of_rollback(
    lake: Lake, configuration: Configuration, first: PlannedRun, held: Collection[str]
) -> tuple[list[PlannedRun], list[str]]:
    """What follows the first run: a run over each stretch of its sessions that may be built on; and the other sessions.

    held: sessions whose week shows that a clock was wrong as of then; nothing that looks back or ahead at them is made.
    """
    stamps = lake.stamps("silver/candles")
    made = sorted(stamps)
    blocked = {key for key in made if (stamp := stamps[key]) is not None and stamp.problems}
    looking = [i for inputs in table_inputs(configuration).values() for i in inputs.values() if i.table == HELD]
    before, ahead = max(i.before for i in looking), max(i.ahead for i in looking)
    for at in (at for at, key in enumerate(made) if key in held):
        blocked.update(made[max(0, at - ahead) : at + before + 1])
    keys = [key for key in made if str(first.first) <= key <= str(first.last)]
    stretches = [list(part) for good, part in groupby(keys, lambda key: key not in blocked) if good]
    return [PlannedRun(assets=REST, first=part[0], last=part[-1], tags=TAGS) for part in stretches], sorted(
        blocked & set(keys)
    )
