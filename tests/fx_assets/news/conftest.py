"""The sample's real headlines."""

from pathlib import Path

import pandas as pd
import pytest

import fx_assets


@pytest.fixture(scope="session")
def sample_headlines() -> pd.DataFrame:
    """All headlines of the sample: available_at (their publication time), headline, source, article_count."""
    frame = pd.read_parquet(Path(fx_assets.__file__).parent / "sample" / "news.parquet")
    return frame.rename(columns={"published": "available_at"})
