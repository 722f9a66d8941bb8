"""A drift status as Markdown tables, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fx_assets.models.report import number, table

MOST = 12


def features(status: Mapping[str, Any]) -> str:
    """The largest indices beside what chance makes of them, and the figures with them."""
    ranked = sorted(status["features"].items(), key=lambda item: -item[1]["psi"])[:MOST]
    head = ("feature", "PSI", "by chance", "shift", "KS", "Wasserstein", "missing", "outside", "level")
    return table(
        head,
        (
            [
                name,
                f"{f['psi']:.4f}",
                f"{f['noise']:.4f}",
                f"{f['shift']:+.2f}",
                number(f["ks"], ".3f"),
                number(f["wasserstein"], ".3f"),
                f"{f['missing_share_cur']:.1%}",
                f"{f['outside']:.1%}",
                f["level"],
            ]
            for name, f in ranked
        ),
    )


def explaining(status: Mapping[str, Any]) -> str:
    """The few features that explain the drift."""
    if not status["explains"]:
        return "no feature drifts"
    rows = (
        [e["feature"], f"{e['psi']:.3f}", f"{e['share']:.0%}", ", ".join(e["group"]) or "none"]
        for e in status["explains"]
    )
    return table(("feature", "PSI", "share", "moves with it"), rows)


def instruments(status: Mapping[str, Any]) -> str:
    """Every instrument against its own rows of the reference."""
    rows = (
        [symbol, str(drift["rows"]), number(drift["max_psi"], ".3f"), drift["level"]]
        for symbol, drift in status["instruments"].items()
    )
    return table(("instrument", "rows", "largest PSI", "level"), rows)


def shares(figures: Mapping[str, Any]) -> str:
    """What a champion leans on now and in training."""
    rows = ([f["feature"], f"{f['training']:.1%}", f"{f['recent']:.1%}"] for f in figures["features"][:MOST])
    return table(("feature", "training", "recent"), rows)
