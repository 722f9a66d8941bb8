"""How the `fx` command shows answers on a terminal. Formatting only.

Tables fit into 80 columns: what one copies or must not misread is never cut, and sentences stand below.
"""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Column, Table

from fx_serving.cli_common import age_in_words, in_words


def wide_console() -> Console:
    """A console; where the output is no terminal, wide enough that no table is cut."""
    found = Console()
    return found if found.is_terminal else Console(width=max(140, found.width))


console = wide_console()
_COLOURS = {
    "succeeded": "green",
    "concluded": "green",
    "rolled_back": "red",
    "failed": "red",
    "aborted": "yellow",
    "superseded": "yellow",
}
_VERDICTS = {"pass": "green", "fail": "red", "inconclusive": "yellow", "off": "dim"}


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "all features given"
    return age_in_words(seconds)


def _whole(header: str) -> Column:
    """A column that others give way to."""
    return Column(header, no_wrap=True)


def _minute(time: str) -> str:
    """An ISO time to the minute."""
    return time[:16].replace("T", " ")


def _said(about: str, words: str) -> None:
    """A sentence about a row, below its table."""
    console.print(f"{about}: {words}", markup=False, highlight=False)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def prediction(answer: dict[str, Any]) -> None:
    """One prediction."""
    table = Table(title=f"{answer['instrument']} at {answer['timestamp']}", show_header=False, title_justify="left")
    table.add_row("answer", f"[bold]{answer['label']}[/bold]")
    table.add_row("probability", f"{answer['prediction']:.4f}")
    table.add_row("confidence", f"{answer['confidence']:.4f}")
    slot = answer["slot"] + (" (the candidate failed)" if answer["fell_back"] else "")
    table.add_row("model", f"{answer['model']} version {answer['model_version']}, {slot}")
    table.add_row("feature age", _age(answer["feature_age_s"]))
    if answer.get("outlier_score") is not None:
        share = f"{answer['outlier_score']:.0%} of the training rows are closer to the rest"
        table.add_row("outlier score", share)
    table.add_row("prediction id", answer["prediction_id"])
    table.add_row("features", f"{len(answer['features_used'])} values; --show-features lists them")
    console.print(table)
    _explanation(answer)


def _explanation(answer: dict[str, Any]) -> None:
    """Which features made the answer, where that was asked."""
    if answer.get("explanation_note"):
        console.print(answer["explanation_note"], style="yellow")
    found = answer.get("explanation")
    if not found:
        return
    table = Table("feature", "value", "contribution", title=f"by {found['method']}, in log odds", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for one in found["contributions"]:
        table.add_row(one["feature"], f"{one['value']:.6g}", f"{one['contribution']:+.4f}")
    console.print(table)


def predictions(answer: dict[str, Any]) -> None:
    """Predictions of many instruments."""
    answered = [one for one in answer["predictions"] if "error" not in one]
    table = Table(*map(_whole, ("instrument", "answer", "probability", "outlier")), "model", "slot", "feature age")
    for one in answered:
        table.add_row(
            one["instrument"],
            f"[bold]{one['label']}[/bold]",
            f"{one['prediction']:.4f}",
            _number(one.get("outlier_score"), ".2f"),
            f"{one['model']} {one['model_version']}",
            one["slot"],
            _age(one["feature_age_s"]),
        )
    if answered:
        console.print(table)
    for one in answered:
        console.print(f"{one['instrument']}  prediction id {one['prediction_id']}", highlight=False, soft_wrap=True)
    for one in answer["predictions"]:
        if "error" in one:
            problem = in_words(str(one["error"]["detail"]))
            console.print(f"{one['instrument'] or '-'}: {problem}", style="red", markup=False, highlight=False)
        if one.get("explanation") or one.get("explanation_note"):
            console.print(one["instrument"], style="bold")
            _explanation(one)


def features(used: dict[str, float]) -> None:
    """The values that were scored, in the model's order."""
    table = Table("feature", "value")
    table.columns[1].justify = "right"
    for name, value in used.items():
        table.add_row(name, f"{value:.6g}")
    console.print(table)


def feedback(answer: dict[str, Any]) -> None:
    """One receipt."""
    known = "known already, as" if answer.get("status") == "known" else "recorded as"
    late = " (late)" if answer.get("late") else ""
    console.print(f"{known} {answer['feedback_id']}{late}")
    if answer.get("note"):
        console.print(answer["note"], style="yellow")


def traffic(answer: dict[str, Any]) -> None:
    """Shares and counts per model and slot."""
    if not answer["models"]:
        console.print("No model is deployed. Roll one out: fx rollout start MODEL VERSION")
        return
    table = Table("model", "slot", "version", "share %", "requests", "errors", "p99 ms")
    for model, slots in answer["models"].items():
        for slot in ("blue", "green"):
            found = slots[slot]
            if found:
                table.add_row(
                    model,
                    slot,
                    found["version"],
                    f"{found['weight']:g}",
                    str(found["requests"]),
                    str(found["errors"]),
                    _number(found["p99_ms"], ".1f"),
                )
    console.print(table)
    if answer["lease"] == "lost":
        console.print("The controller is not seen to live: all traffic is on blue, rollouts wait.", style="yellow")


def rollouts(answer: list[dict[str, Any]]) -> None:
    """The list of rollouts."""
    if not answer:
        console.print("No rollout yet. Start one: fx rollout start MODEL VERSION")
        return
    table = Table(_whole("id"), "model", "version", _whole("state"), _whole("share %"), _whole("started (UTC)"))
    for one in answer:
        colour = _COLOURS.get(one["state"], "cyan")
        table.add_row(
            one["id"],
            one["model"],
            one["version"],
            f"[{colour}]{one['state']}[/{colour}]",
            f"{one['weight']:g}",
            _minute(one["created_at"]),
        )
    console.print(table)
    for one in answer:
        if one["reason"]:
            _said(one["id"], one["reason"])


def rollout(answer: dict[str, Any]) -> None:
    """One rollout: state, steps, gates, events."""
    colour = _COLOURS.get(answer["state"], "cyan")
    kind = {"ab": "experiment"}.get(answer["kind"], "dry run" if answer["dry_run"] else "rollout")
    console.print(
        f"{kind} {answer['id']}: {answer['model']} {answer['from_version'] or '(none)'} -> "
        f"{answer['version']}  "
        f"[{colour}]{answer['state']}[/{colour}]  {answer['weight']:g} %{_waits(answer)}"
    )
    if answer["reason"]:
        console.print(answer["reason"], markup=False)
    if answer["steps"]:
        table = Table(
            "share %", "instruments", _whole("started (UTC)"), "requests", "errors", "p99 ms", _whole("outcome")
        )
        for step in answer["steps"]:
            table.add_row(
                f"{step['weight']:g}",
                ", ".join(step["instruments"]) if step["instruments"] else "all",
                _minute(step["started_at"]),
                str(step["requests"]),
                str(step["errors"]),
                _number(step["p99_ms"], ".1f"),
                step["outcome"] or "running",
            )
        console.print(table)
    gates = [gate for gate in answer["gates"] if gate["verdict"] != "off"]
    if gates:
        table = Table(_whole("gate"), _whole("verdict"), "value", "limit", "samples")
        for gate in gates:
            colour = _VERDICTS.get(gate["verdict"], "cyan")
            table.add_row(
                gate["gate"],
                f"[{colour}]{gate['verdict']}[/{colour}]",
                _number(gate["value"], ".4g"),
                _number(gate["limit"], ".4g"),
                str(gate["n"]),
            )
        console.print(table)
        for gate in gates:
            _said(gate["gate"], gate["why"])
    if answer["verdict"]:
        said = answer["verdict"]
        console.print(f"verdict: {said.get('winner') or 'none'}; {said.get('why', '')}", markup=False)
    for event in answer["events"]:
        line = f"{event['at'][:19]}  {event['what']}: {event['why']}"
        who = "" if event["actor"] == "controller" else f"  [{event['actor']}]"
        console.print(line + who, style="dim", highlight=False, markup=False)


def _waits(answer: dict[str, Any]) -> str:
    said = ["paused"] if answer["paused"] else []
    if answer["awaiting"]:
        said.append(f"waits for {'an approval' if answer['awaiting'] == 'approval' else 'evidence'}")
    return f"  [yellow]{', '.join(said)}[/yellow]" if said else ""


def restored(answer: dict[str, Any]) -> None:
    """A version that answers again."""
    console.print(
        f"{answer['model']}: version {answer['version']} answers again, in place of {answer['replaced']}", markup=False
    )


def audit(records: list[dict[str, Any]]) -> None:
    """Records of the audit trail: what, when, who and of which rollout in one line, and why below it."""
    if not records:
        console.print("No record yet.")
    for one in records:
        rollout_id = f"rollout {one['rollout_id']}" if one["rollout_id"] else ""
        words = (one["what"], one["model"], rollout_id, f"by {one['actor']}")
        line = f"{one['seq']:>5}  {one['at'][:19].replace('T', ' ')}  {'  '.join(filter(None, words))}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
        console.print(Padding(escape(one["why"]), (0, 0, 0, 7)), style="dim", highlight=False)


def audit_check(found: dict[str, Any]) -> None:
    """Whether the audit trail is whole."""
    if not found["whole"]:
        console.print(f"record {found['seq']}: {found['why']}", style="red", markup=False)
        return
    end = "" if found["head_checked"] else "; nothing tells whether its end was cut off (serving/audit.head is missing)"
    console.print(f"whole: {found['records']} records, the last {found['hash'][:16]}{end}", highlight=False)


def state_status(found: dict[str, Any]) -> None:
    """Which revision the database of the service has."""
    if found["revision"] is None:
        told = f"no tables yet; the service makes them when it starts, as revision {found['newest']}"
    elif found["pending"]:
        pending = ", ".join(found["pending"])
        told = f"revision {found['revision']}; the next start of the service, or fx state upgrade, adds {pending}"
    else:
        told = f"revision {found['revision']}, the newest one that this release knows"
    _said(found["where"], told)


def state_moved(found: dict[str, Any]) -> None:
    """From which revision to which the database went."""
    if found["before"] == found["after"]:
        _said(found["where"], f"has revision {found['after']} already; nothing to do")
        return
    _said(found["where"], f"revision {found['before']} -> {found['after']}")
    if found["copy"]:
        _said("As it was before", found["copy"])


def tokens(rows: list[dict[str, Any]]) -> None:
    """Access tokens, the revoked ones included."""
    if not rows:
        console.print(
            "No token was ever made: on loopback everybody may operate. Make one: fx token create NAME --role ROLE",
            highlight=False,
        )
        return
    table = Table(
        _whole("id"), Column("name", overflow="fold"), _whole("role"), _whole("rate/s"), _whole("in force (UTC)")
    )
    for row in rows:
        ended = row["revoked_at"]
        since = f"[dim]revoked {_minute(ended)}[/dim]" if ended else f"since {_minute(row['created_at'])}"
        table.add_row(row["id"], row["name"], row["role"], _number(row["rate_per_s"], "g"), since)
    console.print(table)
