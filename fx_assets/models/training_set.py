"""What a model is trained on: labels decided before the session begins, with the features known at each decision.

And of what that was made: the contents of the gold partitions, kept beside the rows so that a version can name them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pandas as pd

from fx_assets.configuration import Configuration, Label, Model
from fx_assets.configuration.labels import LAST_SIGN
from fx_assets.errors import DataError, MissingData
from fx_assets.feature_store.services import service_for
from fx_assets.feature_store.training import training_rows
from fx_assets.labels import outcome, sample_weights
from fx_assets.lake import Lake
from fx_assets.schemas import model_features, optional_needs
from fx_assets.sessions import session_bounds

if TYPE_CHECKING:
    from feast import FeatureStore

GOLD = ("gold/features", "gold/labels")
KEY = ["instrument", "decision_time"]


class Origin(msgspec.Struct, frozen=True):
    """What a training set was made of. gold: content hash by table and session, "" for one without a stamp."""

    training_set_hash: str
    feature_service: str
    code_version: str
    gold: dict[str, dict[str, str]]

    def gold_file(self) -> bytes:
        """The gold contents as a file, one line each, for people and for `fx trace`; its sha256 is the gold_hash."""
        return msgspec.json.format(msgspec.json.encode(self.gold, order="sorted"), indent=1) + b"\n"

    @property
    def gold_hash(self) -> str:
        """sha256 of gold_file."""
        return hashlib.sha256(self.gold_file()).hexdigest()


def gold_contents(lake: Lake, sessions: Iterable[str]) -> dict[str, dict[str, str]]:
    """Content hash of each gold partition of the sessions, by table."""
    keys = list(sessions)
    return {
        table: {key: "" if stamp is None else stamp.content for key, stamp in sorted(lake.stamps(table, keys).items())}
        for table in GOLD
    }


def write_origin(lake: Lake, model: str, session: str, origin: Origin) -> None:
    """Keep an origin beside its training set."""
    lake.store.write(_origin_path(model, session), msgspec.json.encode(origin, order="sorted"))


def read_origin(lake: Lake, model: str, session: str, training_set_hash: str) -> Origin:
    """The origin of a training set. Raises MissingData when it is of other rows, or not there."""
    try:
        origin = msgspec.json.decode(lake.store.read(_origin_path(model, session)), type=Origin)
    except (FileNotFoundError, ValueError):
        origin = None
    if origin is None or origin.training_set_hash != training_set_hash:
        raise MissingData(
            f"{model}/training_set, session {session}: it is not on record what these rows were made of. Materialize "
            "the training set again."
        )
    return origin


def _origin_path(model: str, session: str) -> str:
    return f"models/{model}/training_set/session={session}/origin.json"


def window(configuration: Configuration, model: str, session: str, keys: list[str]) -> list[str]:
    """The sessions whose rows a session's model is trained on: training.sessions before it."""
    here = keys.index(session)
    return keys[max(0, here - configuration.models.models[model].training.sessions) : here]


def features(configuration: Configuration, model: str) -> list[str]:
    """The names of a model's inputs, in order."""
    return [name for name, _ in model_features(configuration, model)]


def decisions(
    labels: pd.DataFrame, label: Label, before: pd.Timestamp, sides: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Rows of gold/labels whose label was decided by `before`, under names that do not depend on the label.

    Returns instrument, time, decision_time, label (0 or 1; the return for kind return), label_end, forward_return and
    what belongs to the kind: persistence (the naive score of a large move), width, side. sides: see labels.outcome.
    """
    frame = outcome(labels, label, sides)
    frame = frame.loc[frame["label"].notna() & (frame["label_end"] <= before)]
    return frame.dropna().reset_index(drop=True)


def build(
    store: FeatureStore, lake: Lake, configuration: Configuration, model: str, session: str, keys: list[str]
) -> pd.DataFrame:
    """The training set of one session: only what was known, and decided, when that session began.

    keys: all sessions, sorted. Returns decisions() plus weight (average uniqueness and age, (0, 1]) and every feature
    (float64, none missing or infinite), sorted by decision time and instrument.
    Raises MissingData for a session of the window that has not been made, DataError for too few rows, rows that stand
    twice, one class, or a feature that is missing throughout or infinite somewhere, StoreError when the model's feature
    service is not registered.
    """
    entry = configuration.models.models[model]
    sessions = window(configuration, model, session, keys)
    have = set(lake.keys("gold/labels")) & set(lake.keys("gold/features"))
    if not sessions or (absent := [key for key in sessions if key not in have]):
        lost = absent[:3] if sessions else [session]
        raise MissingData(
            f"{model}, session {session}: gold/features or gold/labels not made for {', '.join(lost)}. Run "
            f"`fx backfill --from {sessions[0] if sessions else session} --to {sessions[-1] if sessions else session}`."
        )
    inputs = model_features(configuration, model)
    names = [name for name, _ in inputs]
    start = pd.Timestamp(session_bounds(session)[0])
    labels = lake.table("gold/labels", sessions[0], sessions[-1], configuration.model_instruments(model))
    decided = decisions(labels, entry.label, start, _sides(lake, entry, session))
    _refuse_repeated(decided, f"{model}, session {session}: gold/labels")
    # The join takes one of several rows with the same key without a word: it has to be asked beforehand.
    keys_only = lake.table("gold/features", sessions[0], sessions[-1], columns=["instrument", "available_at"])
    _refuse_repeated(
        keys_only.rename(columns={"available_at": "decision_time"}), f"{model}, session {session}: gold/features"
    )
    rows = training_rows(store, service_for(store, model, inputs), decided)
    _refuse_repeated(rows, f"{model}, session {session}: what was joined of gold/features")
    empty = [name for name in names if rows[name].isna().all()]
    if len(rows) and empty:
        raise DataError(f"{model}, session {session}: {_no_value(model, entry, empty)}")
    rows = rows.dropna(subset=names, ignore_index=True)
    _refuse_infinite(rows, names, f"{model}, session {session}: gold/features")
    if len(rows) < entry.training.min_rows:
        raise DataError(
            f"{model}, session {session}: {len(rows)} complete rows in {len(sessions)} sessions, "
            f"training.min_rows is {entry.training.min_rows}. Backfill more history or lower it in models.yaml."
        )
    if rows["label"].nunique() < 2:
        raise DataError(f"{model}, session {session}: every label is {rows['label'].iloc[0]:g}. Widen the window.")
    return rows.assign(weight=sample_weights(rows, entry.training.half_life_days))


def _sides(lake: Lake, entry: Model, session: str) -> pd.DataFrame | None:
    """What the primary model of a meta label said out of fold; None for every other label.

    Raises MissingData when the primary was not studied for the session.
    """
    primary = entry.label.primary
    if entry.label.kind != "meta" or primary == LAST_SIGN:
        return None
    found = lake.read(f"models/{primary}/out_of_fold", [session], ["instrument", "time", "prediction"])
    if session not in found:
        raise MissingData(
            f"{primary}/model_study: not made for session {session}, and the meta label follows its side. Materialize "
            f"{primary}/training_set and {primary}/model_study first."
        )
    return found[session]


def _refuse_repeated(rows: pd.DataFrame, where: str) -> None:
    """One decision of one instrument twice would count twice, and could stand in training and test."""
    again = rows.duplicated(KEY)
    if again.any():
        first = rows.loc[again.to_numpy()].iloc[0]
        raise DataError(
            f"{where}: {int(again.sum())} decisions stand twice, the first of {first['instrument']} at "
            f"{first['decision_time'].isoformat()}. Make the partitions again with `fx backfill --from D --to D`."
        )


def _refuse_infinite(rows: pd.DataFrame, names: list[str], where: str) -> None:
    """What a model computes with are float32 values: some learners fail on infinite ones, others learn from them."""
    wide = rows[names].to_numpy(np.float64)
    bad = ~(np.abs(wide) <= np.finfo(np.float32).max)
    if not bad.any():
        return
    told = [names[column] for column in np.flatnonzero(bad.any(axis=0))]
    first = rows.iloc[int(np.flatnonzero(bad.any(axis=1))[0])]
    raise DataError(
        f"{where}: {', '.join(told[:5])} ({len(told)}) has {int(bad.sum())} values that are infinite or too large for "
        f"float32, the first of {first['instrument']} at {first['decision_time'].isoformat()}. Check the candles "
        "there, make the partition again, or leave the feature out with features.exclude in models.yaml."
    )


def _no_value(model: str, entry: Model, empty: list[str]) -> str:
    """What is missing in the whole window, and the remedy."""
    told = f"{', '.join(empty[:5])} ({len(empty)}) has no value in the whole window."
    columns = sorted({column for name in empty for column in optional_needs(name)})
    if not columns:
        return f"{told} Check gold/features, or the source that should supply it."
    left = [column for column in entry.features.candle_columns if column not in columns]
    return (
        f"{told} Its candles have no {', '.join(columns)}: in models.yaml, set models.{model}.features.candle_columns "
        f"to [{', '.join(left)}], and such features are left out."
    )
