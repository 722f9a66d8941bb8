"""fx health: whether data, models, money and machines are well, why not, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from fx_assets.cli.common import Home, plain_errors, use_home, wide_console

if TYPE_CHECKING:
    from fx_monitoring.health import Health, Tier

STYLES = {"GREEN": "green", "YELLOW": "yellow", "RED": "bold red"}
MISSING = "no verdict yet: the job `monitor` makes it, every 15 minutes while a market is open, or by hand in the UI"


@plain_errors
def health(
    as_json: Annotated[bool, typer.Option("--json", help="For programs: both verdicts as they are kept.")] = False,
    home: Home = None,
) -> None:
    """Show the newest verdicts, every tier with its reason, and of what is not GREEN the remedy.

    Ends with 1 where one of them is RED, or there is none yet.
    """
    import msgspec

    from fx_monitoring.health import latest_health, latest_infrastructure
    from fx_serving.client.home import Stores

    stores = Stores(use_home(home))
    found = {"quant_health": latest_health(stores), "infrastructure_health": latest_infrastructure(stores)}
    if as_json:
        typer.echo(msgspec.json.encode(found))
    else:
        console = wide_console()
        for name, verdict in found.items():
            for line, style in _lines(name, verdict):
                console.print(line, style=style, highlight=False, markup=False, soft_wrap=True)
    if any(verdict is None or verdict.status == "RED" for verdict in found.values()):
        raise typer.Exit(1)


def _lines(name: str, verdict: Health | None) -> Iterator[tuple[str, str | None]]:
    """A verdict as lines with their styles: its colour first, then the tiers, the worst first."""
    if verdict is None:
        yield f"{name}: {MISSING}", "yellow"
        return
    session = f"session {verdict.session}, " if verdict.session else ""
    yield f"{name} is {verdict.status}  ({session}at {verdict.at:%Y-%m-%d %H:%M} UTC)", STYLES[verdict.status]
    order = list(STYLES)[::-1]
    for tier in sorted(verdict.tiers, key=lambda tier: order.index(tier.status)):
        yield f"  {tier.status:6} {tier.name}: {tier.why}{_limit(tier)}", STYLES[tier.status]
        if tier.remedy:
            yield f"           do: {tier.remedy}", None


def _limit(tier: Tier) -> str:
    return f"  ({tier.limit})" if tier.limit and tier.status != "GREEN" else ""
