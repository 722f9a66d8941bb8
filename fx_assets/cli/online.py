"""What `fx status` says of the online feature store. It asks the store itself: Feast loads slowly."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from rich.table import Table

from fx_assets.configuration import Configuration
from fx_assets.errors import FxError
from fx_assets.feature_store.lifetime import EPOCH, age_of, expired
from fx_assets.feature_store.repository import online_store, ttls


def online_table(home: Path, configuration: Configuration) -> tuple[str, Table | None]:
    """Which store, and each instrument: its row online, how old that is by the data clock, and which views are too
    old, or too new, to predict with. Without a table where the store does not answer; the line then says why.
    """
    kind = configuration.data.feature_store.online
    lifetimes, symbols = ttls(configuration), sorted(configuration.instruments.instruments)
    try:
        store = online_store(home, configuration)
        store.ping()
        times = {view: store.times(view, symbols) for view in lifetimes}
        line = f"online features ({kind}, {store.where}): answers"
    except FxError as error:
        return f"online features ({kind}): {error}", None
    table = Table("instrument", "online row", "age", "verdict")
    for n, symbol in enumerate(symbols):
        # A row is written view by view: what counts is the view that is furthest behind.
        known = {view: found[n] for view, found in times.items()}
        there = [time for time in known.values() if time is not None]
        if not there:
            table.add_row(symbol, "-", "-", "none", style="dim")
            continue
        ages = {view: age_of(time) for view, time in known.items() if time is not None}
        ahead = [view for view, age in ages.items() if age < timedelta(0)]
        late = [v for v in known if v not in ages or (v not in ahead and expired(ages[v], lifetimes[v]))]
        found = {"expired": late, "ahead of the clock": ahead}
        told = "; ".join(f"{what}: {', '.join(which)}" for what, which in found.items() if which)
        oldest = max(ages.values())
        age = f"{oldest / timedelta(hours=1):.1f} h" if oldest >= timedelta(0) else "ahead of the clock"
        row = EPOCH + timedelta(microseconds=min(there))
        table.add_row(symbol, f"{row:%Y-%m-%d %H:%M}", age, f"[bold red]{told}[/]" if told else "[green]fresh[/]")
    return line, table
