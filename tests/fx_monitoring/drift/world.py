"""A small world for tests of drift: three features of four instruments, a bundle to hold them against, a log frame."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd

from fx_assets.sessions import session_bounds
from fx_serving.client.bundle import FeatureRef, LabelInfo, Manifest, schema_hash, write_manifest
from fx_serving.client.home import Stores

NAMES = ("rsi_14", "realised_24", "atr_14")
SYMBOLS = ("AUD_USD", "GBP_USD", "USD_CAD", "USD_JPY")


def market(seed: int, rows: int, wilder: float = 1.0) -> np.ndarray:
    """An oscillator and two related volatilities, row by row independent."""
    rng = np.random.default_rng(seed)
    volatility = wilder * rng.lognormal(-7, 0.4, rows)
    return np.column_stack([rng.normal(50, 10, rows), volatility, volatility * rng.lognormal(0, 0.1, rows)])


def answers(rows: np.ndarray) -> np.ndarray:
    """What a model might say: surer where the market is wild."""
    return 1 / (1 + np.exp(-np.log(rows[:, 1] / np.exp(-7))))


def write_bundle(stores: Stores, model: str, version: str = "1") -> None:
    """What drift needs of an exported model: the manifest and the training sample."""
    folder = stores.bundles / model / version
    folder.mkdir(parents=True)
    rows = market(0, 4_000)
    sample = pd.DataFrame(rows, columns=list(NAMES))
    sample.assign(instrument=np.tile(SYMBOLS, 1_000), prediction=answers(rows)).to_parquet(folder / "reference.parquet")
    features = [FeatureRef(name, "technical") for name in NAMES]
    manifest = Manifest(
        model=model,
        version=version,
        engine="onnx",
        label=LabelInfo("large_move", 60, "move", "quiet"),
        instruments=list(SYMBOLS),
        features=features,
        schema_hash=schema_hash(features),
        max_feature_age_s={"technical": 7200},
        files={"model.onnx": "0" * 64, "golden.json": "0" * 64},
        created_at=datetime.now(UTC),
    )
    write_manifest(folder, manifest)


def predictions(rows: np.ndarray, session: str, version: str = "1") -> pd.DataFrame:
    """The rows as the table of predictions has them, spread over the session."""
    start, end = session_bounds(session)
    times = pd.date_range(start, end, periods=len(rows) + 1)[1:].as_unit("us")
    frame = pd.DataFrame(rows, columns=[f"f_{name}" for name in NAMES])
    return frame.assign(
        instrument=[SYMBOLS[at % len(SYMBOLS)] for at in range(len(rows))],
        timestamp=times,
        feature_time=times,
        overridden=0,
        version=version,
        model="move_60m",
        prediction=answers(rows),
    )
