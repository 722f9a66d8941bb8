"""The HTML page about one model's answers in one session, and in the records of prediction_quality before it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fx_assets.errors import MissingData
from fx_assets.lake import Lake
from fx_assets.models.card_page import Bullets, Page, Picture, Section, Table, Text, to_html
from fx_assets.models.card_plots import picture
from fx_monitoring.quality import plots, report
from fx_monitoring.quality.kept import keep_newest
from fx_monitoring.quality.rows import ALL, ASSET, QualityRow, headline, read_history, read_rows, record_keys
from fx_monitoring.stored import record
from fx_serving.client.files import atomic_write
from fx_serving.client.home import Stores

FOLDER = "quality"
HISTORY = 60  # sessions that the pictures show


def make_report(
    stores: Stores, lake: Lake, model: str | None = None, session: str | None = None, keep: int = 30
) -> Path:
    """Write the page of a model (by default the first) and session (by default the newest with it); returns its path.

    Raises MissingData where no record tells of them.
    """
    for key in reversed(record_keys(lake)):
        if session not in (None, key):
            continue
        own = [row for row in read_rows(lake, key) if model is None or row.model == model]
        if own:
            name = model or own[0].model
            kept = (record(lake, ASSET, key) or {}).get("curves", {}).get(name) or {}
            # Records of an earlier version hold the headline's curve alone.
            curves = kept if isinstance(kept, dict) else {(headline(own) or own[0]).version: kept}
            return write_page(stores, lake, name, key, [row for row in own if row.model == name], curves, keep)
    raise MissingData(
        f"prediction_quality: no record of {model or 'any model'} in session {session or '(any)'}. "
        "Materialize predictions and prediction_quality for a session with predictions."
    )


def write_page(
    stores: Stores,
    lake: Lake,
    model: str,
    session: str,
    rows: Sequence[QualityRow],
    curves: plots.Curves,
    keep: int,
) -> Path:
    """The page from a model's rows and curves of one session, and the records before it; the newest `keep` stay."""
    path = stores.reports / FOLDER / f"quality-{model}-{session}.html"
    atomic_write(path, _html(lake, model, session, rows, curves).encode())
    keep_newest(path.parent, f"quality-{model}-*.html", keep, path)
    return path


def _html(lake: Lake, model: str, session: str, rows: Sequence[QualityRow], curves: plots.Curves) -> str:
    head = headline(rows) or rows[0]
    history = [r for r in read_history(lake, model, session, HISTORY) if r.serving] + [r for r in rows if r.serving]
    pictures = {}
    if head.n:
        pictures["rolling"] = picture(plots.rolling(history, head.window))
        pictures["brier"] = picture(plots.rolling(history, head.window, ("brier",)))
    if curves:
        pictures["calibration"] = picture(plots.calibrated(curves, head.version))
    return to_html(page(model, session, rows, head, curves), pictures)


def page(model: str, session: str, rows: Sequence[QualityRow], head: QualityRow, curves: plots.Curves) -> Page:
    """The rows as a page. head: the row that stands for the model."""
    tiles = [
        (name, *_tile(head, field)) for name, field in (("Accuracy", "accuracy"), ("AUC", "auc"), ("Brier", "brier"))
    ]
    counts = f"{head.pending:,} more have no outcome yet"
    tiles.append(("Bars with outcome", f"{head.n:,}", counts))
    whole = [[r.version + (" (serving)" if r.serving else ""), r.window, *report.cells(r)] for r in rows if _all(r)]
    parts = [
        [r.instrument, *report.cells(r)]
        for r in rows
        if r.version == head.version and r.window == head.window and not _all(r)
    ]
    why = list(head.reasons) or ["Every figure is within the limits, and the interval excludes a change above them."]
    return Page(
        title=f"{model}: quality of its answers",
        subtitle=f"Session {session}, version {head.version}, window {head.window}",
        badge=head.verdict,
        good=head.verdict != "worse",
        lead={
            "good": "The answers are as good as the model card promised.",
            "worse": "The answers are worse than the model card promised, by more than chance explains.",
            "inconclusive": "There is too little to say whether the answers are as good as the model card promised.",
        }[head.verdict],
        tiles=tiles,
        sections=[
            Section("Why", [Bullets(why)]),
            Section(
                "Over the sessions",
                [
                    Picture("rolling", "Accuracy and AUC", "Shaded: 95 % interval. Dotted: the model card."),
                    Picture("brier", "Brier score", "Lower is better. Shaded: 95 % interval. Dotted: the model card."),
                    Picture("calibration", "Calibration curves", "On the line, stated and observed frequency agree."),
                ],
            ),
            Section("Versions and windows", [Table(("version", "window", *report.HEAD), whole)]),
            Section("Instruments", [Table(("instrument", *report.HEAD), parts) if parts else Text("None.")]),
            *(
                [
                    Section(
                        "Calibration in numbers",
                        [Table(("version", "stated", "observed", "bars"), _numbers(curves))],
                    )
                ]
                * bool(curves)
            ),
        ],
    )


def _tile(head: QualityRow, name: str) -> tuple[str, str]:
    """A figure large, its interval and the card's small."""
    value, _, ends = report.interval(head, name).partition(" ")
    return value, f"{ends}{', ' if ends else ''}model card: {report.usual(head, name)}"


def _all(row: QualityRow) -> bool:
    return row.instrument == ALL


def _numbers(curves: plots.Curves) -> list[list[str]]:
    return [
        [version, f"{bin_['predicted']:.4f}", f"{bin_['observed']:.4f}", str(int(bin_["rows"]))]
        for version, curve in curves.items()
        for bin_ in curve
    ]
