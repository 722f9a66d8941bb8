"""A home with one bundle and one session's predictions of real features, for the drift report's benchmark."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from fx_serving.client.bundle import FeatureRef, LabelInfo, Manifest, schema_hash, write_manifest
from fx_serving.client.home import Stores

MODEL, SESSION = "move_60m", "2022-03-03"
PREDICTIONS = "predictions.parquet"


def write_home(home: Path) -> None:
    """The bundle, without a model: drift needs its manifest and its training sample; and the predictions beside it."""
    from tests.fx_monitoring.drift import real

    rng = np.random.default_rng(1)
    names = real.feature_columns()
    folder = Stores(home).bundles / MODEL / "1"
    folder.mkdir(parents=True)
    reference = real.reference().assign(prediction=rng.beta(5, 5, len(real.reference())))
    reference.to_parquet(folder / "reference.parquet")
    features = [FeatureRef(name, "market") for name in names]
    write_manifest(
        folder,
        Manifest(
            model=MODEL,
            version="1",
            engine="onnx",
            label=LabelInfo("large_move", 60, "move", "quiet"),
            instruments=list(real.PAIRS),
            features=features,
            schema_hash=schema_hash(features),
            max_feature_age_s={"market": 7200},
            files={"model.onnx": "0" * 64, "golden.json": "0" * 64},
            created_at=datetime.now(UTC),
        ),
    )
    window = real.block_window(reference, 24, rng, 2_500)
    times = pd.date_range("2022-03-03T22:00Z", "2022-03-04T21:59Z", periods=len(window)).as_unit("us")
    logged = (
        window[names]
        .add_prefix("f_")
        .assign(instrument=window["instrument"], prediction=window["prediction"], version="1", timestamp=times)
    )
    logged.assign(feature_time=times, overridden=len(names)).to_parquet(home / PREDICTIONS)
