"""Loading and scoring a bundle inside this process.

The controller's verify step and the sidecar use it too.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fx_serving.client.bundle import (
    MODEL_FILES,
    BundleError,
    Manifest,
    bundle_dir,
    read_golden,
    read_manifest,
    verify_files,
)


class Scorer(Protocol):
    """Scores one row: float32 array of shape (1, n features) to P(positive)."""

    def score(self, row: np.ndarray) -> float: ...


class _OnnxScorer:
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


class _XgboostScorer:
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


class LoadedBundle:
    """A bundle ready to score: its manifest, its scorer, and its inputs grouped by feature view."""

    def __init__(self, folder: Path, manifest: Manifest, scorer: Scorer) -> None:
        self.folder = folder
        self.manifest = manifest
        self.scorer = scorer
        self.model = manifest.model
        self.version = manifest.version
        self.names = tuple(f.name for f in manifest.features)
        self.position = {name: i for i, name in enumerate(self.names)}
        self.instruments = frozenset(manifest.instruments)
        self.views: dict[str, tuple[int, ...]] = {}
        for i, feature in enumerate(manifest.features):
            self.views[feature.view] = (*self.views.get(feature.view, ()), i)
        self._columns: dict[tuple[str, tuple[str, ...]], np.ndarray | str] = {}

    def columns(self, view: str, names: tuple[str, ...]) -> np.ndarray | str:
        """Where this model's inputs of `view` are among a blob's `names`; a str names a feature it lacks."""
        found = self._columns.get((view, names))
        if found is None:
            index = {name: i for i, name in enumerate(names)}
            lacking = [self.names[i] for i in self.views[view] if self.names[i] not in index]
            found = lacking[0] if lacking else np.array([index[self.names[i]] for i in self.views[view]])
            if len(self._columns) > 256:
                self._columns.clear()
            self._columns[view, names] = found
        return found

    def check_parity(self) -> None:
        """Score the golden rows; BundleError if one differs from what the training side got by more than
        allowed.
        """
        golden = read_golden(self.folder)
        for i, (values, expected) in enumerate(zip(golden.rows, golden.expected, strict=True)):
            if len(values) != len(self.names):
                raise BundleError(f"{self.folder}: golden row {i} has {len(values)} values, not {len(self.names)}.")
            found = self.scorer.score(np.array([values], dtype=np.float32))
            # Written so that a NaN fails.
            if not abs(found - expected) <= golden.tolerance or not math.isfinite(found):
                raise BundleError(
                    f"{self.folder}: golden row {i} scores {found:.7g}, the training side got {expected:.7g} "
                    f"(allowed difference {golden.tolerance:g}): the exported model is not the trained one. "
                    "Export the model version again."
                )


def load_bundle(bundles: Path, model: str, version: str, *, parity: bool = True) -> LoadedBundle:
    """Read, verify and load bundles/<model>/<version>. Raises BundleError with what, where and remedy.

    parity=False leaves out scoring the golden rows (a candidate held ready that another process has tried
    out).
    """
    folder = bundle_dir(bundles, model, version)
    if not folder.is_dir():
        raise BundleError(f"{folder}: no such bundle. Export model {model} version {version} from the registry.")
    manifest = read_manifest(folder)
    if (manifest.model, manifest.version) != (model, version):
        raise BundleError(
            f"{folder}: holds model {manifest.model} version {manifest.version}, not {model} "
            f"{version}. Export it again."
        )
    verify_files(folder, manifest)
    kind = _OnnxScorer if manifest.engine == "onnx" else _XgboostScorer
    path = folder / MODEL_FILES[manifest.engine]
    try:
        scorer = kind(path, len(manifest.features))
        bundle = LoadedBundle(folder, manifest, scorer)
        if parity:
            bundle.check_parity()
    except BundleError:
        raise
    except Exception as error:  # the engines raise types of their own; any of them means "not usable"
        raise BundleError(f"{path}: {manifest.engine} refuses it: {str(error)[:500]}") from error
    return bundle
