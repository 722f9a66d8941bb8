"""The report of a study on files: the same content as Markdown, HTML and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from fx_assets.models import card_plots, report
from fx_assets.models.card_page import Bullets, Page, Picture, Section, Table, Text, to_html, to_markdown
from fx_assets.models.study_files import Bars
from fx_assets.models.study_run import Outcome, as_json
from fx_serving.client.files import atomic_write


def write(folder: Path, bars: Bars, names: Sequence[str], outcomes: Sequence[Outcome], spread_bp: float) -> list[Path]:
    """Write <model>.md and <model>.html for each outcome, and study.json with all of them; returns the paths.

    The HTML holds its pictures; those of the Markdown lie beside it.
    """
    written = []
    for outcome in outcomes:
        pictures = _pictures(outcome)
        page = _page(bars, names, outcome, spread_bp)
        for name, png in pictures.items():
            atomic_write(folder / f"{outcome.name}.{name}.png", png)
        sources = {name: f"{outcome.name}.{name}.png" for name in pictures}
        for ending, text in ((".md", to_markdown(page, sources)), (".html", to_html(page, pictures))):
            written.append(folder / f"{outcome.name}{ending}")
            atomic_write(written[-1], text.encode())
    whole = {
        "files": [
            {
                "path": str(file.path),
                "instrument": file.symbol,
                "bars": file.rows,
                "first": file.first.isoformat(),
                "last": file.last.isoformat(),
                "half_spread": file.half_spread,
            }
            for file in bars.files
        ],
        "bar_minutes": bars.minutes,
        "assumed_spread_bp": spread_bp,
        "features": list(names),
        "studies": {outcome.name: as_json(outcome) for outcome in outcomes},
    }
    written.append(folder / "study.json")
    atomic_write(written[-1], msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n")
    return written


def _pictures(outcome: Outcome) -> dict[str, bytes]:
    study = outcome.study
    draws = {
        "folds": card_plots.folds(study.figures),
        "calibration": card_plots.calibrated(study.predictions),
        "costs": card_plots.costs(study.figures["backtest"]),
    }
    return {name: card_plots.picture(draw) for name, draw in draws.items()}


def _page(bars: Bars, names: Sequence[str], outcome: Outcome, spread_bp: float) -> Page:
    figures, verdict = outcome.study.figures, outcome.verdict
    approved = bool(verdict["approved"])
    traded = figures["backtest"]
    tiles = [
        ("AUC", report.number(figures["auc"]["value"]), "out of fold, all folds"),
        ("best naive AUC", report.number(figures["baselines"][figures["baseline"]]["auc"]), figures["baseline"]),
        ("accuracy", report.number(figures["accuracy"]["value"], ".2%"), f"base rate {figures['base_rate']:.2%}"),
        ("net return", report.number(traded["net_return"], ".2%"), "of the reference strategy, after costs"),
        ("worst fold", report.number(figures["worst_fold"]["auc"]), "its AUC"),
    ]
    first, last = min(f.first for f in bars.files), max(f.last for f in bars.files)
    return Page(
        title=f"Study: {outcome.name}",
        subtitle=f"{outcome.entry.label.name}, {_count(len(bars.files), 'file')}, {first:%Y-%m-%d} to {last:%Y-%m-%d}",
        badge="approved" if approved else "rejected",
        good=approved,
        lead=outcome.sentences[0],
        tiles=tiles,
        sections=[
            Section("What may be said", [Bullets(list(outcome.sentences))]),
            Section("Figures", [Table(*report.summary_rows(figures))]),
            Section(
                "Every fold",
                [
                    Text(_folding(outcome)),
                    Table(*_folds(figures)),
                    Picture("folds", "AUC by fold", "The model beside the best naive forecast, on the same rows."),
                ],
            ),
            Section("Naive forecasts", [Table(*report.naive_rows(figures, outcome.naive))]),
            Section("Candidates", [Table(*report.candidate_rows(figures))]),
            Section("Gates", [Table(*_gates(verdict))]),
            Section(
                "Calibration and costs",
                [
                    Picture("calibration", "Calibration", "Stated probability against observed frequency."),
                    Picture("costs", "Costs", "Net return at half to three times the costs."),
                ],
            ),
            Section("Data", [Text(_costs(bars, outcome, spread_bp)), Table(*_files(bars)), Text(_inputs(names))]),
        ],
    )


def _folds(figures: Mapping[str, Any]) -> report.Grid:
    """The card's table of folds, with the accuracy beside."""
    head, rows = report.fold_rows(figures)
    found = [[*row, report.number(fold["accuracy"])] for row, fold in zip(rows, figures["folds"], strict=True)]
    return (*head, "accuracy"), found


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _folding(outcome: Outcome) -> str:
    how = outcome.spec.validation
    return (
        f"{how.method.replace('_', ' ')}, {how.folds} folds, purged by label end, embargo {how.embargo_minutes} "
        "minutes. Everything that is learned is fitted on a fold's training rows only."
    )


def _costs(bars: Bars, outcome: Outcome, spread_bp: float) -> str:
    quoted = [file.symbol for file in bars.files if file.half_spread is not None]
    lacking = [file.symbol for file in bars.files if file.half_spread is None]
    words = f"Execution {_count(outcome.spec.latency_bars, 'bar')} after the decision. "
    if quoted:
        words += f"Costs of {', '.join(quoted)}: median recorded spread of the hour in New York, over the whole file. "
    if lacking:
        words += f"{', '.join(lacking)}: no bid and ask; a spread of {spread_bp:g} basis points is assumed."
    return words.strip()


def _files(bars: Bars) -> report.Grid:
    return ("file", "instrument", "bars", "from", "to", "median spread (bp)"), [
        [
            file.path.name,
            file.symbol,
            str(file.rows),
            f"{file.first:%Y-%m-%d}",
            f"{file.last:%Y-%m-%d}",
            "not recorded" if file.half_spread is None else f"{file.half_spread * 2e4:.2f}",
        ]
        for file in bars.files
    ]


def _inputs(names: Sequence[str]) -> str:
    return f"{len(names)} features of the candles; no news and no reference data, which files of candles do not have."


def _gates(verdict: Mapping[str, Any]) -> report.Grid:
    return ("gate", "value", "needed", "outcome", "reason"), [
        [
            gate["name"],
            report.number(gate["value"], ".4g"),
            f"{gate['op']} {gate['threshold']:g}",
            "pass" if gate["passed"] else "miss",
            gate["reason"],
        ]
        for gate in verdict["gates"]
    ]
