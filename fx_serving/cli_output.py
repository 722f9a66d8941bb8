"""How the `fx` command shows answers on a terminal. Formatting only."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

console = Console()
_COLOURS = {"succeeded": "green", "rolled_back": "red", "failed": "red", "aborted": "yellow"}


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "all features given"
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


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
    table.add_row("prediction id", answer["prediction_id"])
    table.add_row("features", f"{len(answer['features_used'])} values; --show-features lists them")
    console.print(table)


def features(used: dict[str, float]) -> None:
    """The values that were scored, in the model's order."""
    table = Table("feature", "value")
    table.columns[1].justify = "right"
    for name, value in used.items():
        table.add_row(name, f"{value:.6g}")
    console.print(table)


def feedback(answer: dict[str, Any]) -> None:
    """One receipt."""
    console.print(f"recorded as {answer['feedback_id']}")


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
    table = Table("id", "model", "version", "from", "state", "share %", "started", "reason")
    for one in answer:
        colour = _COLOURS.get(one["state"], "cyan")
        table.add_row(
            one["id"],
            one["model"],
            one["version"],
            one["from_version"] or "-",
            f"[{colour}]{one['state']}[/{colour}]",
            f"{one['weight']:g}",
            one["created_at"][:19],
            one["reason"] or "",
        )
    console.print(table)


def rollout(answer: dict[str, Any]) -> None:
    """One rollout: state, steps, events."""
    colour = _COLOURS.get(answer["state"], "cyan")
    console.print(
        f"rollout {answer['id']}: {answer['model']} {answer['from_version'] or '(none)'} -> "
        f"{answer['version']}  "
        f"[{colour}]{answer['state']}[/{colour}]  {answer['weight']:g} %"
    )
    if answer["reason"]:
        console.print(answer["reason"])
    if answer["steps"]:
        table = Table("share %", "started", "requests", "errors", "p99 ms", "outcome")
        for step in answer["steps"]:
            table.add_row(
                f"{step['weight']:g}",
                step["started_at"][:19],
                str(step["requests"]),
                str(step["errors"]),
                _number(step["p99_ms"], ".1f"),
                step["outcome"] or "running",
            )
        console.print(table)
    for event in answer["events"]:
        console.print(f"{event['at'][:19]}  {event['what']}: {event['why']}", style="dim", highlight=False)
