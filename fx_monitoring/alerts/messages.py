"""The words: what one alert says, and how many of them become one message."""

from __future__ import annotations

from collections.abc import Sequence

from fx_monitoring.alerts.model import Kind, Message, Notice, OpenAlert, rank

_LISTED = 20
_DETAIL = 1500


def subject(alert: OpenAlert, kind: Kind) -> str:
    """One line."""
    marks = {"fired": alert.severity.upper(), "repeat": f"still {alert.severity.upper()}", "resolved": "resolved"}
    return f"[{marks[kind]}] {alert.title}"


def body(alert: OpenAlert, kind: Kind, runbooks: str) -> str:
    """What the person on duty needs: what, what to do, where to look, since when, whose it is."""
    detail = alert.detail if len(alert.detail) <= _DETAIL else alert.detail[:_DETAIL] + " ..."
    lines = [detail]
    if kind == "resolved":
        lines.append(f"Over because: {alert.why}")
    else:
        lines += [f"Do: {alert.remedy}", f"Runbook: {runbooks.rstrip('/')}/{alert.name}.md"]
    lines += [
        f"Look: {alert.link}",
        f"Owner: {alert.owner}. First seen {alert.first_seen:%Y-%m-%d %H:%M} UTC, last {alert.last_seen:%Y-%m-%d %H:%M}"
        f" UTC, reported {alert.count} {'time' if alert.count == 1 else 'times'}.",
        f"Key: {alert.key}" + ("" if kind == "resolved" else f"   (fx alerts ack {alert.key})"),
    ]
    return "\n".join(line for line in lines if line)


def compose(notices: Sequence[Notice]) -> Message:
    """One message of one notice, or of several: those of quiet hours, or what a route's limit left no room for."""
    if len(notices) == 1:
        (one,) = notices
        return Message(
            subject=one.subject,
            body=one.body,
            severity=one.severity,
            resolved=one.kind == "resolved",
            key=one.key,
            link=one.link,
        )
    newest: dict[str, list[Notice]] = {}
    for notice in sorted(notices, key=lambda n: n.id):
        newest.setdefault(notice.key, []).append(notice)
    stories = sorted(newest.values(), key=_first_the_worst)
    over = sum(told[-1].kind == "resolved" for told in stories)
    what = "during quiet hours" if all(notice.held for notice in notices) else "in one message, to spare you a storm"
    lines = [_line(told) for told in stories[:_LISTED]]
    if len(stories) > _LISTED:
        lines.append(f"and {len(stories) - _LISTED} more")
    open_now = [told[-1] for told in stories if told[-1].kind != "resolved"]
    return Message(
        subject=f"[{len(stories)} alerts] {what}: {len(stories) - over} open, {over} resolved",
        body="\n".join([*lines, "All of them, with remedies: fx alerts list"]),
        severity=max(open_now, key=lambda notice: rank(notice.severity)).severity if open_now else "info",
        resolved=not open_now,
        key=f"several/{notices[0].route}",
        link=stories[0][-1].link,
    )


def _first_the_worst(told: Sequence[Notice]) -> tuple[bool, int, int]:
    return told[-1].kind == "resolved", -rank(told[-1].severity), told[0].id


def _line(told: Sequence[Notice]) -> str:
    return f"- {told[-1].subject} ({told[-1].key})"
