"""What live runs leave alone: sessions that `fx backfill` holds back, and tables that would be built on them."""

from __future__ import annotations

from pathlib import Path

from fx_assets.bronze.files import Bronze
from fx_assets.configuration import Configuration
from fx_assets.inputs import table_inputs
from fx_assets.lake import lake_root
from fx_assets.runs.backfill.held import TABLE, Held
from fx_assets.sessions import previous_session


def held_back(configuration: Configuration, home: Path, first: str, last: str) -> list[str]:
    """The held sessions that tables of the sessions first to last would be built on; nearly always none."""
    held = Held(home, Bronze(lake_root(home, configuration.data.storage)), configuration).sessions()
    if not held:
        return []
    made_of = [source for sources in table_inputs(configuration).values() for source in sources.values()]
    for _ in range(max(source.before for source in made_of if source.table == TABLE)):
        first = previous_session(first, configuration.all_week)
    return sorted(session for session in held if first <= session <= last)


def in_words(held: list[str]) -> str:
    """Why a live run makes no tables."""
    return (
        f"silver/candles of {', '.join(held[:5])}{' and more' if len(held) > 5 else ''} is held back, because its week "
        "shows that a clock is off; nothing is built on it. `fx backfill` says how to mend it"
    )
