"""fx alerts: what is wrong, who has it, and whether those who should be told can be."""

from __future__ import annotations

import getpass
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fx_assets.cli.common import Home, duration, plain_errors, use_home, wide_console

if TYPE_CHECKING:
    from fx_monitoring.alerts import Desk, OpenAlert

app = typer.Typer(help="What is wrong now, who has it, and whether the people to be told can be.", no_args_is_help=True)
By = Annotated[str | None, typer.Option("--by", help="Your name. Default: the user who is logged in.", metavar="NAME")]
_SPAN = re.compile(r"^(\d+(?:\.\d+)?)(m|h|d)$")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _desk(home: Any) -> Desk:
    from fx_monitoring.alerts import Desk
    from fx_serving.client.home import Stores

    return Desk(Stores(use_home(home)))


@app.command("list")
@plain_errors
def list_(
    every: Annotated[bool, typer.Option("--all", help="Resolved ones too, the newest first.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    home: Home = None,
) -> None:
    """Show open alerts with what to do, the worst first; then whether messages get out.

    Example:  fx alerts list --all
    """
    import msgspec

    desk = _desk(home)
    found = desk.newest(limit) if every else desk.open()[:limit]
    if as_json:
        typer.echo(msgspec.json.encode(found))
        return
    console = wide_console()
    if not found:
        typer.echo("nothing is open" if not every else "nothing was ever wrong")
    for alert in found:
        for line in _lines(desk, alert):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    for pattern, until, by, why in desk.silences():
        typer.echo(f"silenced until {until:%Y-%m-%d %H:%M} UTC: {pattern}  ({by}: {why})")
    console.print(_routes(desk))


def _lines(desk: Desk, alert: OpenAlert) -> list[str]:
    state = f"acknowledged by {alert.acked_by}" if alert.acked_by else "open"
    if alert.resolved_at:
        state = f"resolved {alert.resolved_at:%Y-%m-%d %H:%M} UTC: {alert.why}"
    times = f"since {alert.first_seen:%Y-%m-%d %H:%M} UTC, {alert.count}x"
    return [
        f"{alert.severity.upper():8} {alert.key}  ({alert.owner}, {times}, {state})",
        f"    {alert.title}",
        f"    {alert.detail}",
        *([] if alert.resolved_at else [f"    do: {alert.remedy}"]),
        f"    look: {alert.link}   runbook: {desk.configuration.links.runbooks}/{alert.name}.md",
    ]


def _routes(desk: Desk) -> Any:
    """How each route does; never an address."""
    from rich.table import Table

    from fx_monitoring.alerts.configuration import variable
    from fx_monitoring.alerts.figures import figures_at

    found = figures_at(desk.path, desk.clock())
    table = Table(title="routes", title_justify="left", caption_justify="left")
    table.caption = "addresses: those of this shell's environment; what sends is fx up, which has its own"
    for column in ("route", "addresses", "takes", "waiting", "given up", "last sent"):
        table.add_column(column, overflow="fold")  # the name of a variable is of no use without its end
    for name, route in desk.configuration.routes.items():
        sent = found.last_sent_at.get(name) if found else None
        table.add_row(
            name,
            str(len(urls)) if (urls := desk.configuration.addresses(name)) else f"none: set {variable(name)}",
            ", ".join(route.severities) + (f" of {', '.join(route.owners)}" if route.owners else ""),
            str(found.waiting.get(name, 0) if found else 0),
            str(found.failed.get(name, 0) if found else 0),
            "never" if sent is None else f"{duration((desk.clock() - sent).total_seconds())} ago",
        )
    return table


@app.command("test")
@plain_errors
def try_out(
    route: Annotated[str | None, typer.Option(help="Of alerts.yaml. Default: every route with an address.")] = None,
    home: Home = None,
) -> None:
    """Send a test message to every address of the routes, now, and say of each whether it got there. Code 1 if not.

    Addresses are apprise URLs in the environment, several with spaces between them; by route, as here of duty:

        export FX_ALERT_URLS_DUTY='mailto://user:password@example.org?to=duty@example.org'

    Example:  fx alerts test --route duty
    """
    from fx_assets.errors import FxError
    from fx_monitoring.alerts import delivery
    from fx_monitoring.alerts.configuration import variable

    desk = _desk(home)
    routes, addresses = desk.configuration.routes, desk.configuration.addresses
    if route is not None and route not in routes:
        raise FxError(f"--route: {route!r} is not a route of alerts.yaml. Use one of {', '.join(routes)}.")
    asked = [route] if route else [name for name in routes if addresses(name)]
    if not asked or not addresses(asked[0]):
        name = route or next(iter(routes), "desk")
        raise FxError(
            f"{variable(name)}: not set, so nobody would be told. Set it to one or more apprise URLs, such as"
            f" 'slack://TokenA/TokenB/TokenC/#desk', and run this again. Services: https://github.com/caronc/apprise"
        )
    failed = 0
    for name in asked:
        message = _test_message(desk, name)
        for number, address in enumerate(found := addresses(name), 1):
            reason = delivery.send(address, message)
            failed += reason is not None
            what = f"{name}, address {number} of {len(found)} ({delivery.scheme(address)})"
            typer.secho(f"{what}: {reason or 'sent'}", fg="red" if reason else "green")
    if failed:
        typer.echo("Mend the address in the environment of fx up and of this shell, and run this again.")
        raise typer.Exit(1)


def _test_message(desk: Desk, route: str) -> Any:
    from fx_monitoring.alerts.model import Message

    return Message(
        subject="[test] fx alerts test",
        body=f"Alerts of the route {route} arrive here. Nothing is wrong and nothing is to be done.\n"
        f"Sent {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC by {getpass.getuser()}.",
        severity="info",
        resolved=False,
        key=f"test/{route}",
        link=desk.configuration.links.dagster,
    )


@app.command()
@plain_errors
def ack(
    key: Annotated[str, typer.Argument(help="As fx alerts list shows it, such as DiskLow/home.")],
    by: By = None,
    home: Home = None,
) -> None:
    """Say that you have it: no more reminders until it is resolved or becomes worse.

    Example:  fx alerts ack DiskLow/home
    """
    desk = _desk(home)
    if not desk.ack(key, by or getpass.getuser()):
        raise _not_open(desk, key)
    typer.echo(f"{key}: acknowledged; it resolves by itself when it is over")


@app.command()
@plain_errors
def close(
    key: Annotated[str, typer.Argument(help="As fx alerts list shows it.")],
    why: Annotated[str, typer.Option(help="For those who read it later.")] = "closed by hand",
    by: By = None,
    home: Home = None,
) -> None:
    """End an alert that nothing ends by itself, such as a failed run that nobody will repeat.

    One whose trouble is still there opens again within a minute.
    Example:  fx alerts close RunFailed/costs_monthly --why "not needed"
    """
    desk = _desk(home)
    if not desk.resolve(key, f"{why} ({by or getpass.getuser()})"):
        raise _not_open(desk, key)
    typer.echo(f"{key}: closed")


@app.command()
@plain_errors
def silence(
    pattern: Annotated[str, typer.Argument(help="A key, or a pattern such as 'DataStale/*' (quote it).")],
    span: Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 1d; 0m ends it.", metavar="SPAN")] = "2h",
    why: Annotated[str, typer.Option(help="For those who wonder.")] = "no reason given",
    by: By = None,
    home: Home = None,
) -> None:
    """Tell nobody of alerts that fit, for a while. They are still recorded, and told afterwards if they are still open.

    Example:  fx alerts silence 'DataStale/*' --for 3h --why "broker maintenance"
    """
    from fx_assets.errors import FxError

    if not (found := _SPAN.match(span)):
        raise FxError(f"--for: {span!r} is not a span of time. Write it as 30m, 2h or 1d.")
    desk = _desk(home)
    until = desk.clock() + timedelta(**{_UNITS[found[2]]: float(found[1])})
    count = desk.silence(pattern, until, by or getpass.getuser(), why)
    if until <= desk.clock():
        typer.echo(f"{pattern}: not silenced any more; of what is open {count} fit")
    else:
        typer.echo(f"{pattern}: silent until {until:%Y-%m-%d %H:%M} UTC; {count} open alerts fit now")


def _not_open(desk: Desk, key: str) -> Exception:
    from fx_assets.errors import FxError

    known = ", ".join(alert.key for alert in desk.open()[:10]) or "none"
    return FxError(f"{key}: no such open alert. Open are: {known}.")
