"""What is known of registered models: the model itself, checked, and the challenger's comparison with the champion."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fx_assets.configuration import load_configuration
from fx_assets.errors import StoreError
from fx_assets.evaluation.gates import GateResult
from fx_assets.lake import Lake, lake_root
from fx_assets.models import registry
from fx_assets.models.bundle import load_booster
from fx_assets.models.decision import not_older_than_champion, not_worse_than_champion
from fx_assets.resources.tracking import prepare
from fx_assets.schemas import build_schemas
from fx_assets.sessions import session_bounds
from fx_serving.client.bundle import bundle_dir, read_manifest
from fx_serving.client.home import Stores

if TYPE_CHECKING:
    import xgboost


def registered_booster(stores: Stores, record: Mapping[str, Any]) -> xgboost.Booster:
    """The registered model itself, checked against the hash in its record: a bundle is made of nothing else."""
    from mlflow.xgboost import load_model

    prepare(stores.home)
    booster = load_model(f"models:/{record['model']}/{record['version']}")
    found = hashlib.sha256(bytes(booster.save_raw("ubj"))).hexdigest()
    if found != record["booster_sha256"]:
        raise StoreError(
            f"model registry: {record['model']} version {record['version']} is not the model that was trained "
            f"({found[:12]}, expected {record['booster_sha256'][:12]}). Train the session again."
        )
    return booster


def against_champion(stores: Stores, model: str, session: str) -> list[GateResult]:
    """The gates that compare a session's model with the champion, which is read from its bundle."""
    lake = Lake(lake_root(stores.home, load_configuration().data.storage))
    client = registry.open_registry(stores.home)
    version = registry.version_with_alias(client, model, registry.CHAMPION)
    folder = bundle_dir(stores.bundles, model, version) if version else None
    predictions = lake.read(f"models/{model}/out_of_fold", [session])[session]
    if version is None or folder is None or not folder.is_dir():
        return [not_older_than_champion(session, None), not_worse_than_champion(predictions, None, None)]
    champion_session = registry.version_tags(client, model, version)["session"]
    rows = lake.read(f"models/{model}/training_set", [session])[session]
    aligned = predictions[["instrument", "decision_time"]].merge(rows, on=["instrument", "decision_time"], how="left")
    names = [feature.name for feature in read_manifest(folder).features]
    aligned = _with_its_features(lake, aligned, names)
    booster = load_booster(folder / "model.ubj")
    scores = booster.inplace_predict(aligned[names].to_numpy("float32"))
    since = pd.Timestamp(session_bounds(champion_session)[0])
    return [
        not_older_than_champion(session, champion_session),
        not_worse_than_champion(predictions, scores, since),
    ]


def _with_its_features(lake: Lake, rows: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The rows with all that the champion sees, which need not be what its challenger was trained on.

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
