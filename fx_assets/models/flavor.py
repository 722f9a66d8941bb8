"""How MLflow loads a registered version (the model's flavor): `mlflow.pyfunc.load_model("models:/move_60m/3")`.

The file holds no pickle: Predictor.load reads numbers only, so that loading a model runs no foreign code.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from fx_assets.evaluation.predictor import Predictor


class Loaded:
    """A predictor as MLflow calls one."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def predict(self, data: pd.DataFrame) -> np.ndarray:
        """P(positive) of each row, float64 (n,); further columns are ignored. KeyError for an absent feature."""
        return self.predictor.predict(data[list(self.predictor.features)].to_numpy("float32"))


def _load_pyfunc(path: str) -> Loaded:
    """MLflow's entry point."""
    from fx_assets.evaluation.predictor import Predictor

    return Loaded(Predictor.load(Path(path).read_bytes()))
