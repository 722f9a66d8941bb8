"""Cron expressions: whether one can be used. Dagster, which ticks by them, is too heavy for reading a file."""

from __future__ import annotations

FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def cron_problem(expression: str) -> str | None:
    """What is wrong with an expression of five fields of numbers, ranges, lists and steps; None when nothing is."""
    fields = expression.split()
    if len(fields) != len(FIELDS):
        return f"has {len(fields)} fields"
    values = []
    for text, (what, low, high) in zip(fields, FIELDS, strict=True):
        found = _values(text, low, high)
        if not found:
            return f"{text!r} is not a {what} ({low} to {high})"
        values.append(found)
    days, months = values[2], values[3]
    if fields[4] == "*" and all(_LONGEST[month - 1] < min(days) for month in months):
        return "no such month has such a day"
    return None


def _values(text: str, low: int, high: int) -> set[int]:
    """The numbers that one field names; none when it is not well formed."""
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if slash and not (step.isdigit() and int(step) > 0):
            return set()
        if span == "*":
            start, end = low, high
        elif dash and first.isdigit() and last.isdigit():
            start, end = int(first), int(last)
        elif first.isdigit() and not dash and not slash:
            start = end = int(first)
        else:
            return set()
        if not low <= start <= end <= high:
            return set()
        found.update(range(start, end + 1, int(step) if slash else 1))
    return found
