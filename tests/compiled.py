"""The feature kernels' machine code, made before anything needs it; numba keeps it on disk."""

from pathlib import Path

import pandas as pd

import fx_assets

PAIRS = ("AUD_USD", "GBP_USD")


def compile_kernels() -> None:
    """Compute every feature of a few bars of two instruments."""
    from fx_assets.features import compute_features

    sample = Path(fx_assets.__file__).parent / "sample"
    parts = [pd.read_parquet(sample / f"{name}_H1.parquet").head(5) for name in PAIRS]
    bars = pd.concat([part.assign(instrument=name) for name, part in zip(PAIRS, parts, strict=True)])
    compute_features(bars.assign(bid_close=bars["close"], ask_close=bars["close"]))


if __name__ == "__main__":
    compile_kernels()
