"""Batch inference: what the champion says of each instrument's newest gold row, without the service.

The bundle is the service's, and so is the code that scores it (fx_serving.client.scoring): both give the same answer to
the last bit. A row that the service would refuse (too old, a feature without a value, features of another code version)
is refused here too, with the reason. An answer that was given stays: a later run adds rows and changes none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.errors import StoreError
from fx_assets.feature_store.online import newest_rows
from fx_assets.lake import Lake
from fx_assets.models import registry
from fx_assets.sessions import session_keys
from fx_serving.client.bundle import BundleError, Manifest, bundle_dir, read_manifest, verify_files
from fx_serving.client.home import Stores
from fx_serving.client.rollout_log import RolloutLogError, deployed
from fx_serving.client.scoring import Scorer, load_scorer

KEY = ["instrument", "decision_time"]
COLUMNS = [*KEY, "predicted_at", "model", "version", "prediction", "label"]


@dataclass(frozen=True)
class Batch:
    """One model's answers.

    version: the champion's; None while there is none. served: the version that the service answers with, None while
    none is deployed. rows: COLUMNS, times UTC, prediction = P(positive) in 0..1. refused: instrument -> why it has no
    answer.
    """

    model: str
    version: str | None
    served: str | None
    rows: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=COLUMNS))
    refused: Mapping[str, str] = field(default_factory=dict)


def table(model: str) -> str:
    """The lake's table of a model's batch predictions, by session of the decision."""
    return f"models/{model}/batch_predictions"


def predict(stores: Stores, lake: Lake, configuration: Configuration, model: str, at: datetime) -> Batch:
    """Score the newest gold row of each of the champion's instruments as of `at` (aware; the data clock's now).

    Raises StoreError when the registry cannot be read, or the champion's bundle is missing or altered; MissingData
    when gold/features has no rows.
    """
    try:
        served = deployed(stores.state).get(model)
    except RolloutLogError as error:
        raise StoreError(str(error)) from None
    version = None
    if registry.exists(stores.home):  # opening it would make one
        version = registry.version_with_alias(registry.open_registry(stores.home), model, registry.CHAMPION)
    if version is None:
        return Batch(model, None, served)
    manifest, scorer = _load(stores, model, version)
    rows = newest_rows(lake)
    rows = rows[rows["instrument"].isin(manifest.instruments)].sort_values("instrument", ignore_index=True)
    codes = _codes(lake, configuration, rows)
    refused, good = {}, []
    for place, (symbol, code) in enumerate(zip(rows["instrument"], codes, strict=True)):
        reason = _refusal(rows.iloc[place], manifest, pd.Timestamp(at), code)
        if reason:
            refused[str(symbol)] = reason
        else:
            good.append(place)
    lacking = sorted(set(manifest.instruments) - set(rows["instrument"]))
    refused |= dict.fromkeys(lacking, "gold/features holds no row of it")
    return Batch(model, version, served, _answers(rows.iloc[good], manifest, scorer, at), refused)


def keep(lake: Lake, batch: Batch, all_week: bool = False) -> int:
    """Add a batch's rows to the sessions' files; returns how many were new. Rows that are there stay as they are."""
    new = 0
    name, keys = table(batch.model), session_keys(batch.rows["decision_time"] - pd.Timedelta(microseconds=1), all_week)
    for key, rows in batch.rows.groupby(np.asarray(keys, object), sort=True):
        known = lake.read(name, [str(key)]).get(str(key))
        if known is not None:
            rows = rows[~pd.MultiIndex.from_frame(rows[KEY]).isin(pd.MultiIndex.from_frame(known[KEY]))]
        if len(rows):
            together = rows if known is None else pd.concat([known, rows])
            lake.write(name, {str(key): together.sort_values(KEY[::-1], ignore_index=True)})
            new += len(rows)
    return new


def _load(stores: Stores, model: str, version: str) -> tuple[Manifest, Scorer]:
    folder = bundle_dir(stores.bundles, model, version)
    if not folder.is_dir():
        raise StoreError(
            f"{folder}: the champion {model} version {version} has no bundle. Materialize {model}/model_bundle for its "
            "session."
        )
    try:
        manifest = read_manifest(folder)
        verify_files(folder, manifest)
        return manifest, load_scorer(folder, manifest)
    except BundleError as error:
        raise StoreError(str(error)) from None


def _codes(lake: Lake, configuration: Configuration, rows: pd.DataFrame) -> list[str | None]:
    """The code version of the gold partition that each row lies in; None where it does not say."""
    keys = [str(key) for key in session_keys(rows["time"], configuration.all_week)]
    stamps = lake.stamps("gold/features", sorted(set(keys)))
    return [stamp.code if (stamp := stamps.get(key)) is not None else None for key in keys]


def _refusal(row: pd.Series, manifest: Manifest, at: pd.Timestamp, code: str | None) -> str | None:
    """Why a row gets no answer; None when it gets one. The service's own rules."""
    trained = manifest.lineage.get("code_version")
    if trained is not None and code is not None and code != trained:
        return f"features of version {code}, but the model was trained on version {trained}. Train a new version."
    age = (at - row["available_at"]).total_seconds()
    if age < 0:
        return f"the newest row is of {row['available_at']}, after {at}"
    view, limit = min(manifest.max_feature_age_s.items(), key=lambda item: item[1])
    if age > limit:
        return (
            f"{view} is stale: the newest row is of {row['available_at']}, {age:.0f} s old; the limit is {limit:.0f} s"
        )
    for feature in manifest.features:
        if feature.name not in row.index:
            return f"feature {feature.name} is not in gold/features any more. Train a new version."
        if not np.isfinite(np.float32(row[feature.name])):
            return f"feature {feature.name} has no value in the row of {row['available_at']}"
    return None


def _answers(rows: pd.DataFrame, manifest: Manifest, scorer: Scorer, at: datetime) -> pd.DataFrame:
    names = [feature.name for feature in manifest.features]
    scores = scorer.score_rows(np.ascontiguousarray(rows.reindex(columns=names).to_numpy(np.float32)))
    said = np.where(scores >= manifest.threshold, manifest.label.positive, manifest.label.negative)
    moment = pd.Timestamp(at).tz_convert("UTC").as_unit("us")
    return pd.DataFrame(
        {
            "instrument": rows["instrument"].to_numpy(object),
            "decision_time": rows["available_at"].to_numpy()
            if len(rows)
            else pd.Series([], dtype="datetime64[us, UTC]"),
            "predicted_at": pd.Series([moment] * len(rows), dtype="datetime64[us, UTC]"),
            "model": manifest.model,
            "version": manifest.version,
            "prediction": scores,
            "label": said.astype(object),
        }
    ).astype({"decision_time": "datetime64[us, UTC]"})
