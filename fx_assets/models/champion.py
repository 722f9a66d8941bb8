"""The champion as the registry has it: what a new model is compared with, and what it must be comparable to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fx_assets.configuration import Configuration, load_configuration
from fx_assets.errors import DataError, StoreError
from fx_assets.lake import Lake
from fx_assets.models import registry, spec_file
from fx_assets.models.spec_file import Spec
from fx_assets.schemas import build_schemas, views
from fx_serving.client.home import Stores

if TYPE_CHECKING:
    from fx_assets.evaluation.predictor import Predictor


@dataclass(frozen=True)
class Champion:
    """A registered version, read and checked against its hashes: predictor, spec, and the figures of its study."""

    record: registry.VersionRecord
    predictor: Predictor
    spec: Spec
    figures: Mapping[str, Any]

    @property
    def version(self) -> str:
        return self.record.version

    @property
    def session(self) -> str:
        return self.spec.session

    @property
    def features(self) -> list[str]:
        """The names of its inputs, in order."""
        return self.spec.names


def load(stores: Stores, model: str) -> Champion | None:
    """The champion of a model; None only where the registry says that there is none.

    Raises StoreError for a champion that cannot be read or is not what was registered: to take that for "no
    champion" would let any model replace it.
    """
    if not registry.exists(stores.home):
        return None
    version = registry.version_with_alias(registry.open_registry(stores.home), model, registry.CHAMPION)
    return None if version is None else load_version(stores, model, version)


def load_version(stores: Stores, model: str, version: str) -> Champion:
    """Any registered version. Raises StoreError when it cannot be read or its files are not what was registered."""
    found = registry.record(stores, model, version)
    if found.lacks:
        raise StoreError(
            f"model registry: {model} version {version} was registered by an older version of the platform, and lacks "
            f"{', '.join(found.lacks)}. Retire it with `fx models retire {model} --reason ...` (what is served stays "
            "as it is), and train again."
        )
    raw = registry.checked(stores, found, registry.artifact(stores, found, registry.SPEC), "spec_sha256")
    spec = spec_file.load(raw, f"{model} version {version}: spec.json")
    return Champion(found, predictor(stores, found), spec, registry.figures(stores, found))


def predictor(stores: Stores, found: registry.VersionRecord) -> Predictor:
    """The fitted model of a version, compared with the hash in its tags. Raises StoreError."""
    from fx_assets.evaluation.predictor import Predictor

    raw = registry.checked(stores, found, registry.model_file(stores, found), "model_sha256")
    try:
        return Predictor.load(raw)
    except ValueError as error:
        raise StoreError(f"model registry: {found.model} version {found.version}: {error}") from None


def must_be_comparable(configuration: Configuration, champion: Champion | None) -> None:
    """Refuse to train a model that could never be compared with the champion.

    Raises DataError when the label is another one, or a feature that the champion was trained with is made no longer
    or lies in another feature view. Further features are no obstacle.
    """
    if champion is None:
        return
    model = champion.record.model
    now = configuration.models.models[model].label.model_dump(mode="json")
    if now != champion.spec.label:
        changed = sorted(key for key in now | champion.spec.label if now.get(key) != champion.spec.label.get(key))
        told = ", ".join(f"{key} {champion.spec.label.get(key)} is now {now.get(key)}" for key in changed)
        raise DataError(
            f"{model}: the label is not that of the champion, version {champion.version}: {told}. Give the model a new "
            f"name in models.yaml, or end the old line with `fx models retire {model} --reason ...`."
        )
    there = {name: view for view, names in views(configuration).items() for name in names}
    lost = [(name, view) for name, view in champion.spec.features if there.get(name) != view]
    if lost:
        named = ", ".join(f"{name} ({view})" for name, view in lost[:5])
        raise DataError(
            f"{model}: gold/features has changed since the champion, version {champion.version}, was trained: it lacks "
            f"{named}{f' and {len(lost) - 5} more' if len(lost) > 5 else ''}. Bring them back in data.yaml or the "
            f"feature definitions, or end the old line with `fx models retire {model} --reason ...`."
        )


def with_its_features(lake: Lake, rows: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Rows (instrument, decision_time) with all that a champion sees, which need not be its challenger's inputs.

    What the training set lacks is taken from gold/features; a feature that is made no longer is missing, as it would
    be for a champion that is served now.
    """
    lacking = [name for name in names if name not in rows.columns]
    if not lacking:
        return rows
    known = set(build_schemas(load_configuration())["gold/features"].names)
    there = [name for name in lacking if name in known]
    rows = rows.assign(**{name: np.nan for name in lacking if name not in known})
    if not there:
        return rows
    key = ["instrument", "decision_time"]
    # A row's session begins before its decision: a day earlier is always early enough.
    start, end = rows["decision_time"].min() - pd.Timedelta(days=1), rows["decision_time"].max()
    features = lake.table("gold/features", start, end, columns=["instrument", "available_at", *there])
    return rows.merge(features.rename(columns={"available_at": "decision_time"}), on=key, how="left")
