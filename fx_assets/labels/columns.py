"""The columns of labels in gold/labels: their names, what they mean, and how a model's own are taken from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from fx_assets.features.blocks import time_us

if TYPE_CHECKING:
    from fx_assets.configuration import Label

TIME = "datetime64[us, UTC]"
LAST_SIGN = "last_sign"
SIDES = ("long", "short")
# What a label knows beside its outcome, by kind; named <label's column>_<name> in gold/labels.
EXTRAS = {
    "large_move": ("threshold", "persistence"),
    "triple_barrier": ("barrier", "width"),
    "meta": ("barrier", "width", "side"),
}
_WORDS = {
    "threshold": ("median |return| of that hour of day", 0.0, None),
    "persistence": ("naive score: recent hour-adjusted moves", 0.0, None),
    "barrier": ("which barrier ended it: 1 upper, -1 lower, 0 timeout", -1.0, 1.0),
    "width": ("volatility until the timeout, known at the decision [log]", 0.0, None),
    "side": ("side of the primary: 1 long, -1 short", -1.0, 1.0),
}


class LabelColumn(NamedTuple):
    """One column: its type, its meaning, and its bounds. All may be missing."""

    name: str
    dtype: str
    words: str
    low: float | None = None
    high: float | None = None


def both_sides(label: Label) -> bool:
    """Whether gold/labels holds the outcome of both sides, because the side is another model's, which is not known yet
    when the table is made.
    """
    return label.kind == "meta" and label.primary != LAST_SIGN


def gold_names(label: Label) -> dict[str, str]:
    """What `compute_columns` calls a column, and its name in gold/labels."""
    if both_sides(label):
        names = [f"{side}{kind}" for side in SIDES for kind in ("", "_end", "_return")]
        return {name: f"{label.column}_{name}" for name in (*names, "width")}
    fixed = {"label": label.column, "label_end": label.end_column, "forward_return": label.return_column}
    return fixed | {name: f"{label.column}_{name}" for name in EXTRAS.get(label.kind, ())}


def label_columns(labels: Iterable[Label]) -> tuple[LabelColumn, ...]:
    """The columns of gold/labels for these labels, each once: ends and returns first, the shortest horizon first."""
    wanted = list(dict.fromkeys(labels))
    fixed = sorted((label for label in wanted if not label.has_barriers), key=_length)
    shared = [column for label in fixed for column in _ends(label.end_column, label.return_column)]
    own = [column for label in wanted for column in _own(label)]
    return tuple(dict.fromkeys([*shared, *own]))


def return_column(labels: Iterable[Label]) -> str:
    """The column that shows gold/labels in a plot: the return over the shortest horizon."""
    names = (column.name for column in label_columns(labels))
    return next(name for name in names if name.startswith("forward_return_") or name.endswith("_return"))


def _length(label: Label) -> tuple[bool, int]:
    """Minutes before bars, short ones first."""
    return label.horizon_minutes is None, label.horizon_minutes or label.horizon_bars or 0


def _ends(end: str, change: str) -> list[LabelColumn]:
    return [
        LabelColumn(end, TIME, "when the label was decided, UTC"),
        LabelColumn(change, "float64", "log return to label end"),
    ]


def _own(label: Label) -> list[LabelColumn]:
    if both_sides(label):
        found = []
        for side in SIDES:
            name = f"{label.column}_{side}"
            found.append(LabelColumn(name, "float64", f"1 or 0: {label.name}, if the side is {side}", 0, 1))
            found += _ends(f"{name}_end", f"{name}_return")
        return [*found, _extra(label, "width")]
    if label.is_probability:
        own = LabelColumn(label.column, "float64", f"1 or 0: {label.name}", 0, 1)
    else:
        own = LabelColumn(label.column, "float64", f"log return: {label.name}")
    ends = _ends(label.end_column, label.return_column) if label.has_barriers else []
    return [own, *ends, *(_extra(label, name) for name in EXTRAS.get(label.kind, ()))]


def _extra(label: Label, name: str) -> LabelColumn:
    words, low, high = _WORDS[name]
    return LabelColumn(f"{label.column}_{name}", "float64", words, low, high)


def outcome(table: pd.DataFrame, label: Label, sides: pd.DataFrame | None = None) -> pd.DataFrame:
    """Rows of gold/labels under names that do not depend on the label.

    table: instrument, time, available_at and the label's columns. sides: for a meta label that follows a model, that
    model's out-of-fold forecasts (instrument, time, prediction): above a half is long, below it short, and a row
    without forecast has no label. Not needed for other labels.
    Returns instrument, time, decision_time, label, label_end, forward_return, and by kind persistence, or width and
    side; all rows of `table` in its order, a missing label as NaN.
    Raises ValueError where sides are needed and not given, or state a row twice.
    """
    return everything(table, label, sides).drop(columns=["threshold", "barrier"], errors="ignore")


def everything(table: pd.DataFrame, label: Label, sides: pd.DataFrame | None = None) -> pd.DataFrame:
    """As `outcome`, with all that is known beside a label: threshold and barrier too."""
    base = {"instrument": table["instrument"], "time": table["time"], "decision_time": table["available_at"]}
    columns = {name: table[column] for name, column in gold_names(label).items()}
    if both_sides(label):
        if sides is None:
            raise ValueError(f"{label.column}: the side is not known. Pass the forecasts of {label.primary}.")
        columns = _chosen_side(columns, side_of(table, sides))
    return pd.DataFrame(base | columns)


def side_of(rows: pd.DataFrame, forecasts: pd.DataFrame) -> np.ndarray:
    """The side that forecasts (instrument, time, prediction) take for each row: 1.0, -1.0, NaN where there is none.

    Raises ValueError where a row is forecast twice.
    """
    keys = ["instrument", "time"]
    if forecasts.duplicated(keys).any():
        row = forecasts[forecasts.duplicated(keys)].iloc[0]
        raise ValueError(f"forecasts: {row['instrument']} at {row['time']} stands twice. Pass one for each row.")
    at = pd.MultiIndex.from_arrays([forecasts["instrument"], time_us(forecasts["time"])]).get_indexer(
        pd.MultiIndex.from_arrays([rows["instrument"], time_us(rows["time"])])
    )
    prediction = np.append(forecasts["prediction"].to_numpy(float), np.nan)[at]
    side = np.sign(prediction - 0.5)
    return np.where(side == 0.0, np.nan, side)


def _chosen_side(columns: dict[str, pd.Series], side: np.ndarray) -> dict[str, pd.Series]:
    """Of the outcomes of both sides the one that `side` (1.0, -1.0, NaN: none) takes; see gold_names."""
    found = {}
    for name, kind in (("label", ""), ("label_end", "_end"), ("forward_return", "_return")):
        found[name] = columns[f"long{kind}"].where(side > 0.0, columns[f"short{kind}"]).where(~np.isnan(side))
    return found | {"width": columns["width"], "side": pd.Series(side, index=columns["width"].index)}
