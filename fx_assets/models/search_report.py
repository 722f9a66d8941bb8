"""A search in words and pictures, for the Dagster UI."""

from __future__ import annotations

from typing import Any

import numpy as np

from fx_assets.models.search import Found

LISTED = 10


def trial_table(found: Found) -> str:
    """The best trials as a Markdown table, best first."""
    done = sorted((t for t in found.trials if t["loss"] is not None), key=lambda t: (t["loss"], t["number"]))
    lines = ["| trial | loss | Sharpe per day | parameters |", "| --- | --- | --- | --- |"]
    for trial in done[:LISTED]:
        candidate = trial["candidate"]
        words = ", ".join(f"{name} {_short(value)}" for name, value in candidate["params"].items())
        ratio = "" if trial["sharpe"] is None else f"{trial['sharpe']:.3f}"
        lines.append(f"| {trial['number']} | {trial['loss']:.5g} | {ratio} | {candidate['rounds']} rounds, {words} |")
    return "\n".join(lines)


def draw_history(axes: Any, found: Found) -> None:
    """Loss of every trial in order, the best so far, and where trials were stopped early, on matplotlib axes."""
    done = [(trial["number"], trial["loss"]) for trial in found.trials if trial["loss"] is not None]
    number, loss = np.array([n for n, _ in done]), np.array([value for _, value in done])
    axes.plot(number, loss, "o", markersize=3, label="finished")
    axes.step(number, np.minimum.accumulate(loss), where="post", linewidth=1, label="best so far")
    stopped = [trial["number"] for trial in found.trials if trial["loss"] is None]
    axes.plot(stopped, np.full(len(stopped), loss.max()), "x", color="0.6", markersize=4, label="stopped early")
    axes.set_xlabel("trial", fontsize=8)
    axes.set_ylabel("loss over the folds", fontsize=8)
    axes.legend(fontsize=7, frameon=False)


def draw_importance(axes: Any, found: Found) -> None:
    """Share of each parameter in what made losses differ, on matplotlib axes."""
    names = list(found.importance)[::-1]
    axes.barh(names, [found.importance[name] for name in names], height=0.6)
    axes.tick_params(labelsize=7)
    axes.set_title("share in the variance of the loss", fontsize=9)


def _short(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
