"""`fx rollout` and `fx traffic`: start, follow and steer rollouts from the terminal.

Only typer is imported at module level: `fx --help` must answer at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from fx_serving.cli_common import Json, Url, ask, fail, parse_pairs, show

rollout_app = typer.Typer(
    help="Roll out a new model version: canary steps with gates, back by itself when it misbehaves.",
    no_args_is_help=True,
)
traffic_app = typer.Typer(help="Which version gets which share of the traffic, and how it does.")

Id = Annotated[
    str | None, typer.Argument(metavar="ID", help="Of a rollout, or how it begins. Default: the running one.")
]
Reason = Annotated[str | None, typer.Option(help="For the audit trail.")]
Timeout = Annotated[float, typer.Option(help="How long to follow it, in seconds.")]
# What counts as well for the exit code of those that follow a rollout.
_WELL = ("succeeded", "concluded")
_LIST = "fx rollout status lists all"
_ID_LENGTH = 12
_LOOKED_AT = 500  # as many rollouts as the service lists at once


@rollout_app.command("start")
def start(
    model: Annotated[str, typer.Argument(help="Such as move_60m.")],
    version: Annotated[str, typer.Argument(help="An exported version.")],
    policy: Annotated[
        list[str] | None,
        typer.Option(help="name=value, such as window_s=30, steps=[10,50,100] or supersede=queued. Repeatable."),
    ] = None,
    kind: Annotated[str, typer.Option(help="canary, or ab: an experiment with a fixed split.")] = "canary",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Verify, test and score unseen, without traffic.")] = False,
    reason: Reason = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its end; exit code 1 unless it succeeds.")] = False,
    timeout: Timeout = 3600,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also while the environment check fails, which holds automatic rollouts.")
    ] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Roll out a version step by step; it goes back by itself when errors or slowness exceed the policy.

    Refused while the environment check of this home fails, unless with --anyway. A dry run is never refused, and a
    service at another address (--url) is not this home's.
    """
    if not (anyway or dry_run or url):
        _hold()
    if kind not in ("canary", "ab"):
        raise typer.BadParameter(f"{kind!r}: must be canary or ab", param_hint="--kind")
    overrides = parse_pairs(policy or [], "--policy", words=True)
    started = ask(url, lambda c: c.start_rollout(model, version, overrides, kind=kind, dry_run=dry_run, reason=reason))
    if wait:
        _follow(started["id"], timeout, url, as_json)
    else:
        show(started, as_json, "rollout")


def _hold() -> None:
    """End here where trading steps are blocked, saying why and how to go on."""
    from fx_serving.client.environment import blocked
    from fx_serving.client.home import Stores

    if why := blocked(Stores.default()):
        fail(f"{why} To roll out all the same: --anyway.")


@rollout_app.command("status")
def status(
    rollout_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="Or how it begins. Default: all of them.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Only this model's.")] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """One rollout with its steps, gates and events, or the list of all."""
    if rollout_id:
        whole = _whole_id(rollout_id, url)
        show(ask(url, lambda c: c.rollout(whole)), as_json, "rollout")
    else:
        show(ask(url, lambda c: c.rollouts(model)), as_json, "rollouts")


@rollout_app.command("watch")
def watch(rollout_id: Id = None, timeout: Timeout = 86400, url: Url = None, as_json: Json = False) -> None:
    """Follow a rollout to its end, event by event; exit code 1 unless it succeeds. Ctrl-C leaves it running."""
    _follow(_running(rollout_id, url), timeout, url, as_json)


@rollout_app.command("pause")
def pause(rollout_id: Id = None, reason: Reason = None, url: Url = None, as_json: Json = False) -> None:
    """Go no further: the traffic stays as it is, and a failing gate still takes it back."""
    _order("pause_rollout", rollout_id, reason, url, as_json)


@rollout_app.command("resume")
def resume(rollout_id: Id = None, reason: Reason = None, url: Url = None, as_json: Json = False) -> None:
    """Go on with a paused rollout: the running step begins anew."""
    _order("resume_rollout", rollout_id, reason, url, as_json)


@rollout_app.command("approve")
def approve(rollout_id: Id = None, reason: Reason = None, url: Url = None, as_json: Json = False) -> None:
    """Let the step that waits for an approval begin."""
    _order("approve_rollout", rollout_id, reason, url, as_json)


@rollout_app.command("promote")
def promote(rollout_id: Id = None, reason: Reason = None, url: Url = None, as_json: Json = False) -> None:
    """Skip what is left of the steps: the candidate is deployed now."""
    _order("promote_rollout", rollout_id, reason, url, as_json)


@rollout_app.command("abort")
def abort(rollout_id: Id = None, reason: Reason = None, url: Url = None, as_json: Json = False) -> None:
    """Stop a rollout: all traffic back to the deployed version."""
    _order("abort_rollout", rollout_id, reason, url, as_json)


@rollout_app.command("rollback")
def rollback(
    rollout_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="Running or finished. Default: the running one.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="In place of an id: the version before answers again.")] = None,
    reason: Reason = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """All traffic to the version before; at once, as long as that one is held ready (keep_hot_s)."""
    if model is None:
        _order("rollback_rollout", rollout_id, reason, url, as_json, remedy="give a rollout's id, or --model")
    elif rollout_id is None:
        show(ask(url, lambda c: c.restore(model, reason)), as_json, "restored")
    else:
        raise typer.BadParameter("give a rollout's id or --model, not both", param_hint="ID")


@traffic_app.callback(invoke_without_command=True)
def traffic(context: typer.Context, url: Url = None, as_json: Json = False) -> None:
    """Which version gets which share of the traffic, and how it does."""
    if context.invoked_subcommand is None:
        show(ask(url, lambda c: c.traffic()), as_json, "traffic")


@traffic_app.command("set")
def traffic_set(
    model: Annotated[str, typer.Argument(help="Such as move_60m.")],
    green: Annotated[float, typer.Argument(help="The candidate's share in per cent; blue gets the rest.")],
    reason: Reason = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Split the traffic by hand; the running rollout pauses.  Example: fx traffic set move_60m 20"""
    if not 0 <= green <= 100:
        raise typer.BadParameter(f"{green:g}: must lie within 0 and 100", param_hint="GREEN")
    show(ask(url, lambda c: c.set_traffic(model, 100 - green, green, reason)), as_json, "rollout")


def _order(
    name: str, rollout_id: str | None, reason: str | None, url: str | None, as_json: bool, remedy: str = _LIST
) -> None:
    which = _running(rollout_id, url, remedy)
    show(ask(url, lambda c: getattr(c, name)(which, reason)), as_json, "rollout")


def _running(rollout_id: str | None, url: str | None, remedy: str = _LIST) -> str:
    """The id that was given, else that of the only rollout that has not ended."""
    if rollout_id:
        return _whole_id(rollout_id, url)
    from fx_serving.client.rollout_calls import FINISHED

    found = [one for one in ask(url, lambda c: c.rollouts()) if one["state"] not in FINISHED]
    if len(found) != 1:
        fail(f"ID: several rollouts run, name one: {_names(found)}" if found else f"ID: no rollout runs; {remedy}.")
    return found[0]["id"]


def _whole_id(given: str, url: str | None) -> str:
    """The id of the only rollout whose id begins so."""
    if len(given) >= _ID_LENGTH:
        return given
    rollouts = ask(url, lambda c: c.rollouts(limit=_LOOKED_AT))
    found = [one for one in rollouts if one["id"].startswith(given)]
    if len(found) == 1:
        return found[0]["id"]
    if found:
        fail(f"ID: {given!r}: several begin so, write more of it: {_names(found)}")
    fail(f"ID: {given!r}: no rollout begins so. The newest: {_names(rollouts) or 'none'}.")


def _names(rollouts: list[dict[str, Any]], most: int = 5) -> str:
    more = f" and {len(rollouts) - most} more" if len(rollouts) > most else ""
    return ", ".join(f"{one['id']} ({one['model']} {one['version']})" for one in rollouts[:most]) + more


def _follow(rollout_id: str, timeout: float, url: str | None, as_json: bool) -> None:
    done = ask(url, lambda c: c.wait_rollout(rollout_id, timeout, None if as_json else _teller()))
    show(done, as_json, "rollout")
    if done["state"] not in _WELL:
        raise typer.Exit(1)


def _teller() -> Callable[[dict[str, Any]], None]:
    """Prints each event once, and what the rollout waits for.

    What happened before the first look has no share beside it: the one it had then is not known.
    """
    told: int | None = None

    def tell(now: dict[str, Any]) -> None:
        nonlocal told
        share = " " * 5 if told is None else f"{now['weight']:3g} %"
        for event in now["events"][told or 0 :]:
            typer.echo(f"{event['at'][11:19]}  {share}  {event['what']}: {event['why']}")
        told = len(now["events"])
        if now["awaiting"] == "approval":
            typer.echo(f"waits for an approval: fx rollout approve {now['id']}")

    return tell
