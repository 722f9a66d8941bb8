"""Scoring the model of an exported bundle. The service and batch inference share this code, so that both give the
same answers to the last bit.

Importing the module needs neither numpy nor an engine: both are imported when a scorer is made.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fx_serving.client.bundle import MODEL_FILES, BundleError, Manifest, read_manifest

if TYPE_CHECKING:
    import numpy as np


class Scorer(ABC):
    """A loaded model. The subclasses differ in the engine that `score` asks."""

    @abstractmethod
    def score(self, row: np.ndarray) -> float:
        """P(positive) of one row: float32 (1, features)."""

    def score_rows(self, rows: np.ndarray) -> np.ndarray:
        """P(positive) of each row: float32 (n, features) to float64 (n,).

        Row by row, as the service asks: an engine may add up in another order when it is given many rows at once.
        """
        import numpy as np

        return np.array([self.score(rows[i : i + 1]) for i in range(len(rows))], np.float64)


class _OnnxScorer(Scorer):
    def __init__(self, path: Path, width: int) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        # One row of a tree model is microseconds of work: a thread pool would cost more than it gains, and
        # spins.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].shape[-1] not in (width, None):
            raise BundleError(f"{path}: takes {[i.shape for i in inputs]}, the manifest names {width} features.")
        outputs = [o.name for o in self._session.get_outputs()]
        self._output = ["probabilities" if "probabilities" in outputs else outputs[-1]]
        self._input = inputs[0].name

    def score(self, row: np.ndarray) -> float:
        probabilities: Any = self._session.run(self._output, {self._input: row})[0]
        return float(probabilities[0, 1])


class _XgboostScorer(Scorer):
    def __init__(self, path: Path, width: int) -> None:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        import xgboost

        self._booster = xgboost.Booster({"nthread": 1}, model_file=str(path))
        # The manifest, not the file, says what the columns are called.
        self._booster.feature_names = None
        self._matrix = xgboost.DMatrix
        if self._booster.num_features() != width:
            raise BundleError(f"{path}: takes {self._booster.num_features()} features, the manifest names {width}.")

    def score(self, row: np.ndarray) -> float:
        return float(self._booster.predict(self._matrix(row, nthread=1))[0])


def load_scorer(folder: Path, manifest: Manifest | None = None) -> Scorer:
    """The scorer of the bundle in `folder`, by its manifest (read from the folder when not given).

    The files are not compared with their hashes here (see bundle.verify_files). Raises BundleError for a model file
    that the engine refuses, or of another width than the manifest's features.
    """
    told = manifest or read_manifest(folder)
    kind = _OnnxScorer if told.engine == "onnx" else _XgboostScorer
    path = Path(folder) / MODEL_FILES[told.engine]
    try:
        return kind(path, len(told.features))
    except BundleError:
        raise
    except Exception as error:  # the engines raise types of their own; any of them means "not usable"
        raise refused(path, told, error) from error


def refused(path: Path, manifest: Manifest, error: Exception) -> BundleError:
    """What is said of a model file on which its engine fails."""
    return BundleError(f"{path}: {manifest.engine} refuses it: {str(error)[:500]}")
