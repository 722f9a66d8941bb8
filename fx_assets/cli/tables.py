"""The tables that `fx status` shows. Reads stores; starts nothing."""

from __future__ import annotations

from rich.table import Table

from fx_assets.bronze.files import Bronze
from fx_assets.configuration import Configuration
from fx_assets.freshness.newest import WATCHED, table_lags
from fx_assets.lake import Lake, lake_root
from fx_assets.live.gating import in_two_zones
from fx_assets.market_hours import market_hours
from fx_assets.models.rollout import service_url
from fx_assets.runs.steps import TABLES
from fx_serving.client.clock import now
from fx_serving.client.files import DamagedFile, read_json
from fx_serving.client.home import Stores
from fx_serving.client.http import ServiceError, ServingClient


def lake_table(stores: Stores, configuration: Configuration) -> Table:
    """Each table: sessions made, first and last, its newest row and how old that is by the data clock."""
    table = Table("table", "sessions", "first", "last", "newest row", "age", title="tables", title_justify="left")
    where = lake_root(stores.home, configuration.data.storage)
    lake, bronze = Lake(where), Bronze(where)
    for name in TABLES:
        if name.startswith("bronze"):
            keys, newest, age = sorted(set().union(*bronze.sessions(name).values())), "", ""
        else:
            keys = lake.keys(name)
            newest, age = _newest(lake, name, keys)
        if keys:
            table.add_row(name, str(len(keys)), keys[0], keys[-1], newest, age)
        else:
            table.add_row(name, "0", "-", "-", "-", "-", style="dim")
    return table


def _newest(lake: Lake, table: str, keys: list[str]) -> tuple[str, str]:
    """The newest available_at (of bad candles: bar open) of the last session that has rows."""
    column = "time" if table == "silver/quarantine" else "available_at"
    for key in reversed(keys):
        frame = lake.read(table, [key], [column]).get(key)
        if frame is not None and len(frame):
            newest = frame[column].max()
            hours = (now() - newest).total_seconds() / 3600
            # What is known of the news so far also answers the decisions still to come in the session.
            return newest.strftime("%Y-%m-%d %H:%M"), f"{max(hours, 0.0):.1f} h"
    return "-", "-"


def freshness_table(stores: Stores, configuration: Configuration) -> Table:
    """Each watched table and instrument: newest row, how far it is behind the market, what is allowed, the verdict."""
    title = "freshness (lag in minutes of trading; limits: data.yaml, freshness)"
    table = Table("table", "instrument", "newest", "lag", "limit", "verdict", title=title, title_justify="left")
    lake = Lake(lake_root(stores.home, configuration.data.storage))
    for name in WATCHED:
        for lag in table_lags(lake, configuration, name, now()):
            newest = "-" if lag.newest is None else f"{lag.newest:%Y-%m-%d %H:%M}"
            minutes = "-" if lag.lag_minutes is None else f"{lag.lag_minutes:.0f}"
            style = {"fresh": "green", "late": "bold red", "empty": "dim"}[lag.verdict]
            limit = f"{lag.limit_minutes:g}"
            table.add_row(name, lag.instrument, newest, minutes, limit, f"[{style}]{lag.verdict}[/]")
    return table


def market_lines(configuration: Configuration) -> list[str]:
    """What time it is for data, and each calendar: open until when, or closed until when."""
    moment, lines = now(), []
    calendars: dict[str, list[str]] = {}
    for symbol, instrument in configuration.instruments.instruments.items():
        calendars.setdefault(instrument.calendar, []).append(symbol)
    for name, symbols in calendars.items():
        hours = market_hours(name)
        if hours.is_open(moment):
            change = hours.next_close(moment)
            state = "open" + (f" until {in_two_zones(change)}" if change else "")
        else:
            change = hours.next_open(moment)
            state = "closed" + (f", opens {in_two_zones(change)}" if change else "")
        lines.append(f"market {name} ({', '.join(symbols)}) at {in_two_zones(moment)}: {state}")
    return lines


def models_table(stores: Stores, configuration: Configuration) -> Table:
    """Each model: champion and challenger in the registry, bundles on disk."""
    from fx_assets.models.registry import CHALLENGER, CHAMPION, exists, open_registry, version_with_alias

    table = Table("model", "gates", "champion", "newest", "bundles", title="models", title_justify="left")
    registry = open_registry(stores.home) if exists(stores.home) else None
    for name, entry in configuration.models.models.items():
        champion = version_with_alias(registry, name, CHAMPION) if registry else None
        newest = version_with_alias(registry, name, CHALLENGER) if registry else None
        bundles = sorted(p.name for p in (stores.bundles / name).glob("[!.]*"))
        table.add_row(name, entry.gates, champion or "none", newest or "none", ", ".join(bundles) or "none")
    return table


def drift_table(stores: Stores, configuration: Configuration) -> Table:
    """The newest drift verdict of each model."""
    table = Table("model", "session", "level", "largest PSI", "rows", "action", title="drift", title_justify="left")
    for name in configuration.models.models:
        try:
            found = read_json(stores.drift / f"{name}.json", "It is rewritten by the next run of the job drift.")
        except DamagedFile as error:
            table.add_row(name, "-", str(error), "-", "-", "-", style="red")
            continue
        if found is None:
            table.add_row(name, "-", "no report", "-", "-", "-", style="dim")
            continue
        largest = "-" if found["max_psi"] is None else f"{found['max_psi']:.3f}"
        action = found.get("action", "-")
        table.add_row(name, found["session"], found["level"], largest, str(found["rows"]), action)
    return table


def service_lines(stores: Stores) -> list[str]:
    """Whether the deployment service answers, and its components; of a degraded one the first reason."""
    url = service_url(stores)
    try:
        with ServingClient(url, timeout_s=2) as client:
            health = client.health()
    except ServiceError as error:
        return [f"deployment service: {error}"]
    parts = [f"{name} {part['status']}" for name, part in health.get("components", {}).items()]
    reasons = [
        f"  {name}: {part['reason'].split('; ')[0]}"
        for name, part in health.get("components", {}).items()
        if part.get("reason")
    ]
    return [f"deployment service at {url}: {health['status']} ({', '.join(parts)})", *reasons]
