"""Quality in words: tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fx_assets.models.report import number, table
from fx_monitoring.quality.rows import ALL, QualityRow

FIGURES = ("accuracy", "auc", "brier")


def interval(row: QualityRow, name: str) -> str:
    """A figure with its interval, where it has one."""
    value, low, high = (getattr(row, name + end) for end in ("", "_low", "_high"))
    if value is None:
        return "-"
    return f"{value:.4f}" if low is None else f"{value:.4f} [{low:.4f}, {high:.4f}]"


def usual(row: QualityRow, name: str) -> str:
    """What the model card states."""
    return "-" if row.expected is None else number(getattr(row.expected, name))


def verdict_line(row: QualityRow) -> str:
    """A row's verdict in a sentence, with what it rests on."""
    why = f": {'; '.join(row.reasons)}" if row.reasons else ""
    return f"{row.verdict} over {row.window}, {row.n:,} bars of version {row.version}{why}"


def cells(row: QualityRow) -> list[str]:
    """A row's figures, each beside the card's."""
    return [
        f"{row.n:,} ({number(row.n_effective, ',.0f')})",
        str(row.pending),
        *(f"{interval(row, name)} / {usual(row, name)}" for name in FIGURES),
        f"{number(row.ece) if row.ece is not None else '-'} / {usual(row, 'ece')}",
        "-" if row.calibration_slope is None else f"{row.calibration_slope:.2f}",
        row.verdict,
        "; ".join(row.reasons),
    ]


HEAD = (
    "bars (effective)",
    "pending",
    "accuracy / card",
    "AUC / card",
    "Brier / card",
    "ECE / card",
    "slope",
    "verdict",
    "why",
)


def figure_table(rows: Iterable[QualityRow]) -> str:
    """Versions and windows of one model, on all instruments."""
    lines = [[f"{r.version}{' (serving)' if r.serving else ''}", r.window, *cells(r)] for r in rows]
    return table(("version", "window", *HEAD), lines)


def instrument_table(rows: Iterable[QualityRow], head: QualityRow) -> str:
    """The headline's version and window by instrument."""
    own = [r for r in rows if r.version == head.version and r.window == head.window and r.instrument != ALL]
    return table(("instrument", *HEAD), [[r.instrument, *cells(r)] for r in own])


def pair_table(pairs: Sequence[Mapping[str, Any]]) -> str:
    """Challengers beside champions."""
    head = ("model", "champion", "challenger", "bars seen as", "bars", "known", "agree", "AUC", "Brier", "verdict")
    return table(
        head,
        [
            [
                pair["model"],
                pair["champion"],
                pair["challenger"],
                pair["source"],
                str(pair["n"]),
                str(pair["known"]),
                "-" if pair["agree"] is None else f"{pair['agree']:.1%}",
                *(difference(pair, name) for name in ("auc", "brier")),
                pair["verdict"],
            ]
            for pair in pairs
        ],
    )


def difference(pair: Mapping[str, Any], name: str) -> str:
    """A paired difference with its interval."""
    found = (pair.get("differences") or {}).get(name)
    if found is None or found["value"] is None:
        return "-"
    told = f"{found['value']:+.4f}"
    return told if found["low"] is None else f"{told} [{found['low']:+.4f}, {found['high']:+.4f}]"
