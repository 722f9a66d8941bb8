"""Loading a bundle inside this process: verified, and tried on its golden rows.

The controller's verify step and the sidecar use it too. The scoring itself is fx_serving.client.scoring.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from fx_serving.client.bundle import (
    MODEL_FILES,
    OUTLIER,
    BundleError,
    Manifest,
    bundle_dir,
    read_golden,
    read_manifest,
    verify_files,
)
from fx_serving.client.scoring import Scorer, load_scorer, refused
from fx_serving.dataplane.outlier import Outlier, load_outlier

# Kinds of label whose outcomes are a rise and a fall.
_SIDED = ("direction", "triple_barrier")


class LoadedBundle:
    """A bundle ready to score: its manifest, its scorer, and its inputs grouped by feature view."""

    def __init__(self, folder: Path, manifest: Manifest, scorer: Scorer, outlier: Outlier | None = None) -> None:
        self.folder = folder
        self.manifest = manifest
        self.scorer = scorer
        self.outlier = outlier
        self.model = manifest.model
        self.version = manifest.version
        self.names = tuple(f.name for f in manifest.features)
        self.position = {name: i for i, name in enumerate(self.names)}
        self.instruments = frozenset(manifest.instruments)
        self.sided = manifest.label.kind in _SIDED
        self.views: dict[str, tuple[int, ...]] = {}
        for i, feature in enumerate(manifest.features):
            self.views[feature.view] = (*self.views.get(feature.view, ()), i)
        self.places = {view: np.array(places) for view, places in self.views.items()}
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
    scorer = load_scorer(folder, manifest)
    outlier = load_outlier(folder, OUTLIER in manifest.files, len(manifest.features))
    bundle = LoadedBundle(folder, manifest, scorer, outlier)
    if parity:
        try:
            bundle.check_parity()
        except BundleError:
            raise
        except Exception as error:  # the engines raise types of their own; any of them means "not usable"
            raise refused(folder / MODEL_FILES[manifest.engine], manifest, error) from error
    return bundle
