"""The model card: what one version is for, what it was measured to do, and what was decided about it.

One card for every candidate version, rejected ones too, as Markdown and as HTML. It is made from evidence and verdict
alone: nothing is measured here, and the same evidence gives the same files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.configuration import Label
from fx_assets.models import card_plots as plots
from fx_assets.models.card_page import Page, to_html, to_markdown
from fx_assets.models.card_sections import page_of
from fx_assets.models.report import MARGIN
from fx_serving.client.files import atomic_write

PAGE, TEXT, PLOTS = "model-card.html", "model-card.md", "plots"


@dataclass(frozen=True)
class Contributions:
    """SHAP values of a sample: values and the inputs themselves, (rows, features); names of the features."""

    values: np.ndarray
    inputs: np.ndarray
    names: Sequence[str]


@dataclass(frozen=True)
class CardContent:
    """All that a card says. evidence: figures of the study with naive, champion and latency; verdict: of decide.

    first_decision, last_label_end: ISO times (UTC) of the training rows. predictions: out of fold, with a column for
    each naive forecast. daily: date, gross, cost of the chosen candidate; None where they were not kept. gain, shap:
    shares by feature; ranked_by: how `shap` was measured. lineage: what the version's registry entry says.
    """

    model: str
    version: str
    session: str
    description: str
    label: Label
    instruments: Sequence[str]
    features: int
    rows: int
    first_decision: str
    last_label_end: str
    chosen: Mapping[str, Any]
    profile: str
    evidence: Mapping[str, Any]
    verdict: Mapping[str, Any]
    predictions: pd.DataFrame
    daily: pd.DataFrame | None = None
    gain: Mapping[str, float] = field(default_factory=dict)
    shap: Mapping[str, float] = field(default_factory=dict)
    ranked_by: str = "contributions"
    contributions: Contributions | None = None
    lineage: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Card:
    """The finished card. pictures: PNG by name. markdown links them as files beside it."""

    page: Page
    markdown: str
    html: str
    pictures: Mapping[str, bytes]

    def write(self, folder: Path) -> Path:
        """Write model-card.html, model-card.md and plots/*.png; returns the path of the HTML page."""
        (folder / PLOTS).mkdir(parents=True, exist_ok=True)
        for name, png in self.pictures.items():
            atomic_write(folder / PLOTS / f"{name}.png", png)
        atomic_write(folder / TEXT, self.markdown.encode())
        atomic_write(folder / PAGE, self.html.encode())
        return folder / PAGE


def make(content: CardContent) -> Card:
    """Draw the pictures and write the page."""
    pictures = {name: plots.picture(draw) for name, draw in _draws(content).items()}
    page = page_of(content)
    sources = {name: f"{PLOTS}/{name}.png" for name in pictures}
    return Card(page, to_markdown(page, sources), to_html(page, pictures), pictures)


def _draws(content: CardContent) -> dict[str, Callable[[Any], None]]:
    figures, predictions = content.evidence, content.predictions
    found = {
        "folds": plots.folds(figures),
        "calibration": plots.calibrated(predictions),
        "roc": plots.roc(predictions, figures["baseline"]),
        "lift": plots.lift(predictions),
        "distribution": plots.distribution(predictions),
        "costs": plots.costs(figures["backtest"]),
    }
    if figures.get("naive"):
        found["naive"] = plots.advantage(figures["naive"], MARGIN)
    if content.shap or content.gain:
        found["importance"] = plots.importance(content.shap, content.gain, content.ranked_by)
    if content.contributions is not None:
        values = content.contributions
        found["contributions"] = plots.contributions(values.values, values.inputs, values.names)
    if content.daily is not None:
        found["equity"] = plots.equity(content.daily)
    return found
