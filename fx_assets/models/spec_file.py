"""spec.json: all that a registered version was made with beside its rows, so that it can be made again from both.

No time, run or path belongs here: the same settings on the same machine give the same bytes.
"""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import msgspec

from fx_assets.configuration import Configuration, Model
from fx_assets.errors import StoreError
from fx_assets.evaluation.spec import StudySpec
from fx_assets.models.decision import profile_of
from fx_serving.client.bundle import FeatureRef, schema_hash

# What takes part in fitting and judging; another version of one may change the last bit of a figure.
PACKAGES = ("numpy", "pandas", "pyarrow", "scipy", "scikit-learn", "xgboost", "lightgbm", "catboost", "numba")


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """label, gates: as in models.yaml and gates.yaml. features: (feature, feature view) in input order. chosen: the
    candidate that was fitted. packages: installed versions, "" for one that was absent.
    """

    format: Literal[1] = 1
    model: str
    session: str
    label: dict[str, Any]
    instruments: list[str]
    features: list[tuple[str, str]]
    chosen: dict[str, Any]
    study: StudySpec
    gates: str
    expires_days: int | None
    config_hash: str
    code_version: str
    python: str
    packages: dict[str, str]

    @property
    def names(self) -> list[str]:
        """The features' names, in input order."""
        return [name for name, _ in self.features]

    @property
    def schema_hash(self) -> str:
        """Hash of the ordered features with their views; equals that of a bundle's manifest."""
        return schema_hash(FeatureRef(name, view) for name, view in self.features)


def save(spec: Spec) -> bytes:
    """The file's bytes, indented for readers."""
    return msgspec.json.format(msgspec.json.encode(spec, order="sorted"), indent=2) + b"\n"


def load(raw: bytes, where: str = "spec.json") -> Spec:
    """What `save` wrote. Raises StoreError naming `where`."""
    try:
        return msgspec.json.decode(raw, type=Spec)
    except ValueError as error:
        raise StoreError(
            f"{where}: {error}. It was written by another version of the platform; use that one, or train again."
        ) from None


def installed() -> dict[str, str]:
    """Versions of the packages that take part."""
    return {name: _version(name) for name in PACKAGES}


def python() -> str:
    """The interpreter and processor that run this: both may change the last bit of a figure."""
    return f"{platform.python_version()} {platform.machine()}"


def config_hash(configuration: Configuration, model: str) -> str:
    """sha256 of a model's entry, its instruments and its gates, those of every model included."""
    entry: Model = configuration.models.models[model]
    said = {
        "entry": entry.model_dump(mode="json"),
        "instruments": list(configuration.model_instruments(model)),
        "gates": [gate.model_dump(mode="json") for gate in profile_of(configuration.gates, entry.gates)],
    }
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()


@cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
