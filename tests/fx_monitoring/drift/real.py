"""Real features for tests of drift: the sample's candles of four instruments, and windows drawn from them."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

import fx_assets
from fx_assets.features import compute_features, feature_names

PAIRS = ("AUD_USD", "GBP_USD", "USD_CAD", "USD_JPY")
REFERENCE_ROWS = 5_000
WINDOW_ROWS = 2_000


@cache
def sample_features() -> pd.DataFrame:
    """Every feature of the sample's candles that is not always missing, with instrument and decision_time, in time
    order; the first rows, in which features warm up, are left out.
    """
    folder = Path(fx_assets.__file__).parent / "sample"
    bars = pd.concat([pd.read_parquet(folder / f"{name}_H1.parquet").assign(instrument=name) for name in PAIRS])
    made = compute_features(bars)
    made = made.rename(columns={"available_at": "decision_time"}) if "available_at" in made.columns else made
    clock = "decision_time" if "decision_time" in made.columns else "time"
    made = made.sort_values([clock, "instrument"], kind="stable", ignore_index=True)
    names = [name for name in feature_names() if name in made.columns and made[name].notna().any()]
    return made[["instrument", clock, *names]].iloc[len(PAIRS) * 520 :].reset_index(drop=True)


def feature_columns() -> list[str]:
    return [name for name in sample_features().columns if name not in ("instrument", "time", "decision_time")]


@cache
def reference() -> pd.DataFrame:
    """A sample of the rows as a bundle holds it: drawn at random, in time order, float32."""
    rows = sample_features().sample(REFERENCE_ROWS, random_state=7).sort_index().reset_index(drop=True)
    return rows.astype(dict.fromkeys(feature_columns(), "float32"))


def block_window(rows: pd.DataFrame, block: int, rng: np.random.Generator, size: int = WINDOW_ROWS) -> pd.DataFrame:
    """`size` rows in blocks of consecutive rows, drawn with repetition: the moving block bootstrap, written apart."""
    picked: list[int] = []
    while len(picked) < size:
        start = int(rng.integers(0, len(rows) - block + 1))
        picked.extend(range(start, start + block))
    return rows.iloc[picked[:size]].reset_index(drop=True)
