"""The exported model bundle: its manifest, golden rows, hashes.

Formats and checks only; scoring is elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from fx_serving.client.files import atomic_write

FORMAT = 1
MANIFEST = "manifest.json"
GOLDEN = "golden.json"
OUTLIER = "outlier.json"
MODEL_FILES = {"onnx": "model.onnx", "xgboost": "model.ubj"}
NAME_PATTERN = r"^[A-Za-z0-9._-]+$"
_NAME_CHARS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


class BundleError(Exception):
    """A bundle is missing, incomplete, altered, or does not do what its golden rows say."""


class FeatureRef(msgspec.Struct, frozen=True):
    """One model input: a feature's name and the feature view that holds it."""

    name: str
    view: str


class LabelInfo(msgspec.Struct, frozen=True):
    """What P(positive) is the probability of."""

    kind: Literal["large_move", "direction", "triple_barrier", "meta"]
    horizon_minutes: int
    positive: str
    negative: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """manifest.json. `features` is the model's input order; ages in seconds per feature view."""

    format: Literal[1] = 1
    model: str
    version: str
    engine: Literal["onnx", "xgboost"]
    label: LabelInfo
    threshold: float = 0.5
    instruments: list[str]
    features: list[FeatureRef]
    schema_hash: str
    max_feature_age_s: dict[str, float]
    files: dict[str, str]
    lineage: dict[str, str] = {}
    created_at: Annotated[datetime, msgspec.Meta(tz=True)]


class Golden(msgspec.Struct, frozen=True):
    """golden.json: float32 input rows and the P(positive) the training side computed for them."""

    rows: list[list[float]]
    expected: list[float]
    tolerance: float = 1e-5


class OutlierProfile(msgspec.Struct, frozen=True):
    """outlier.json: what the training rows look like, in the model's input order.

    A row's distance is the mean of min(((x - center) / scale)**2, 100) over its features; `quantiles` are the 101
    quantiles (0 % to 100 %) of the training rows' own distances.
    """

    center: list[float]
    scale: list[float]
    quantiles: list[float]


def valid_name(text: str) -> bool:
    """Whether `text` may name a model or version: letters, digits, . _ - only; no '..', so no path can
    escape.
    """
    return 0 < len(text) <= 128 and ".." not in text and text != "." and _NAME_CHARS.issuperset(text)


def bundle_dir(bundles: Path, model: str, version: str) -> Path:
    """bundles/<model>/<version>; BundleError if either name is not allowed."""
    for what, name in (("model", model), ("version", version)):
        if not valid_name(name):
            raise BundleError(f"{what} {name!r} is not a valid name: use letters, digits, '.', '_', '-' (no '..').")
    return Path(bundles) / model / version


def schema_hash(features: Iterable[FeatureRef]) -> str:
    """sha256 (hex) of the ordered `view:name` lines: equal only if names, views and order are equal."""
    return hashlib.sha256("\n".join(f"{f.view}:{f.name}" for f in features).encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """sha256 (hex) of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _decode(path: Path, kind: type):
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise BundleError(f"{path}: no such file. Export the model version again.") from None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{path}: {error}. Export the model version again.") from None


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the bundle in `folder`, its schema hash checked. Raises BundleError."""
    path = Path(folder) / MANIFEST
    manifest: Manifest = _decode(path, Manifest)
    expected = schema_hash(manifest.features)
    if manifest.schema_hash != expected:
        raise BundleError(
            f"{path}: schema_hash {manifest.schema_hash[:12]} does not match the feature list "
            f"({expected[:12]}): "
            "the manifest was edited or written by another version. Export the model version again."
        )
    names = [f.name for f in manifest.features]
    if not names or len(set(names)) != len(names):
        raise BundleError(f"{path}: the feature list is empty or names a feature twice. Export it again.")
    needed = MODEL_FILES[manifest.engine]
    for name in (needed, GOLDEN):
        if name not in manifest.files:
            raise BundleError(f"{path}: files: {name} is not listed. Export the model version again.")
    missing = sorted({f.view for f in manifest.features} - manifest.max_feature_age_s.keys())
    if missing:
        raise BundleError(f"{path}: max_feature_age_s has no limit for {', '.join(missing)}. Export it again.")
    return manifest


def read_golden(folder: Path) -> Golden:
    """The golden rows of the bundle in `folder`.

    Raises BundleError if unreadable, empty or of unequal lengths.
    """
    golden: Golden = _decode(Path(folder) / GOLDEN, Golden)
    if not golden.rows or len(golden.rows) != len(golden.expected):
        raise BundleError(f"{folder}/{GOLDEN}: needs as many expected values as rows, and at least one.")
    return golden


def read_outlier(folder: Path) -> OutlierProfile:
    """The outlier profile of the bundle in `folder`. Raises BundleError if it cannot be used."""
    path = Path(folder) / OUTLIER
    profile: OutlierProfile = _decode(path, OutlierProfile)
    remedy = "Export the model version again."
    if not all(scale > 0 for scale in profile.scale):
        raise BundleError(f"{path}: scale: every one must be above 0. {remedy}")
    if len(profile.quantiles) != 101 or profile.quantiles != sorted(profile.quantiles):
        raise BundleError(f"{path}: quantiles: must be 101 rising values. {remedy}")
    return profile


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    """Write manifest.json last, when all other files are in place; returns its path."""
    path = Path(folder) / MANIFEST
    atomic_write(path, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    return path


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Compare every listed file with its sha256. Raises BundleError naming the first file that differs."""
    for name, expected in manifest.files.items():
        path = Path(folder) / name
        if not valid_name(name):
            raise BundleError(f"{folder}/{MANIFEST}: files: {name!r} is not a plain file name.")
        try:
            found = sha256_file(path) if path.is_file() else None
        except OSError as error:
            raise BundleError(f"{path}: cannot be read: {error.strerror}. Export the model version again.") from None
        if found is None:
            raise BundleError(f"{path}: listed in the manifest but missing. Export the model version again.")
        if found != expected:
            raise BundleError(
                f"{path}: content hash {found[:12]} is not the manifest's {expected[:12]}: "
                "the file was altered or cut short. Export the model version again."
            )
