"""What the clock's and the live sensor's requests leave alone: tables that would be built on sessions held back."""

from __future__ import annotations

from pathlib import Path

from fx_assets.bronze.files import Bronze
from fx_assets.configuration import Configuration
from fx_assets.inputs import table_inputs
from fx_assets.lake import lake_root
from fx_assets.quality.held import TABLE, Held
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
