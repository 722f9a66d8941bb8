"""What a fetch brought and what failed, as small Markdown tables for the UI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fx_assets.bronze.fetch import Outcome


def summary(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """How many files and rows were written."""
    files = [file for outcome in outcomes for file in outcome.files]
    return {"files": len(files), "rows": sum(file.rows for file in files)}


def fetch_table(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Files and rows by session: the newest ten sessions."""
    lines = ["| session | files | rows |", "| --- | --- | --- |"]
    for key in sorted(counts, reverse=True)[:10]:
        lines.append(f"| {key} | {counts[key]['files']} | {counts[key]['rows']} |")
    return "\n".join(lines)


def failures_table(failed: Sequence[Mapping[str, Any]]) -> str:
    """Why sources were passed over, most frequent first."""
    lines = ["| source | for | times | what it said |", "| --- | --- | --- | --- |"]
    for entry in failed:
        words = str(entry["words"]).replace("|", "/").replace("\n", " ")
        lines.append(f"| {entry['source']} | {entry['what']} | {entry['times']} | {words} |")
    return "\n".join(lines)


def without_answer(lacking: Mapping[tuple[str, str], str]) -> list[str]:
    """What no source answered for, by (session, instrument): a line for each instrument, with its first error."""
    told: dict[str, list[str]] = {}
    for (_, instrument), words in sorted(lacking.items()):
        told.setdefault(instrument, []).append(words)
    more = {instrument: f" ({len(words) - 1} more of its sessions)" for instrument, words in told.items() if words[1:]}
    return [words[0] + more.get(instrument, "") for instrument, words in told.items()]
