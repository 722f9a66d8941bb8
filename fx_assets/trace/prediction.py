"""A prediction of the service's log: the answer, the slot and rollout it came from, and the row it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.errors import DataError, MissingData, StoreError
from fx_assets.lake import Lake
from fx_assets.sessions import session_keys
from fx_assets.trace.link import Link
from fx_serving.client import prediction_log
from fx_serving.client.audit_chain import read_head
from fx_serving.client.bundle import BundleError, bundle_dir, read_manifest, verify_files
from fx_serving.client.clock import to_iso
from fx_serving.client.home import Stores
from fx_serving.client.prediction_log import PredictionLogError, PredictionRecord
from fx_serving.client.rollout_log import RolloutLogError, rollout, rollouts_of, verify_audit
from fx_serving.client.scoring import load_scorer
from fx_serving.client.state_address import describe

FEATURES = "gold/features"


def find(stores: Stores, prediction_id: str) -> PredictionRecord:
    """The record of one prediction. Raises MissingData where the log has none of that id, StoreError where the log
    cannot be read.
    """
    try:
        record = prediction_log.find(stores.predictions, prediction_id)
    except PredictionLogError as error:
        raise StoreError(str(error)) from None
    if record is not None:
        return record
    raise MissingData(
        f"{stores.predictions}: no prediction {prediction_id}. The id is `prediction_id` of the service's answer; "
        "a model version is written MODEL/VERSION."
    )


def prediction_link(stores: Stores, record: PredictionRecord) -> Link:
    """The logged answer against the bundle of its version: equal inputs must give the same answer to the last bit."""
    facts = {
        "prediction": record.prediction,
        "label": record.label,
        "instrument": record.instrument,
        "decision_time": to_iso(record.timestamp),
        "logged_at": to_iso(record.logged_at),
        "features": len(record.features),
        "overridden": list(record.overridden),
    }
    words = (
        f"{record.instrument} at {to_iso(record.timestamp)}: {record.prediction:.6f} ({record.label}), "
        f"logged {to_iso(record.logged_at)}"
    )
    folder = bundle_dir(stores.bundles, record.model, record.version)
    try:
        manifest = read_manifest(folder)
        verify_files(folder, manifest)
        names = [feature.name for feature in manifest.features]
        if sorted(names) != sorted(record.features):
            return Link("prediction", words, facts, ["the log names other features than the bundle's manifest"])
        row = np.array([[record.features[name] for name in names]], np.float32)
        again = load_scorer(folder, manifest).score(row)
    except BundleError as error:
        return Link("prediction", words, facts, [str(error)])
    if again != record.prediction:
        wrong = f"the bundle answers {again:.9g} to the logged features, the log says {record.prediction:.9g}"
        return Link("prediction", words, facts, [wrong])
    return Link("prediction", words, facts)


def slot_link(stores: Stores, record: PredictionRecord) -> Link:
    """Slot and rollout: who brought this version into the slot that answered, and an audit trail without a gap."""
    problems: list[str] = []
    found: Mapping[str, Any] | None = None
    state, where = stores.state, describe(stores.state)
    try:
        trail = verify_audit(state, read_head(stores.audit_head))
        if not trail.whole:
            problems.append(f"{where}: audit {trail.why}")
        if record.slot == "green":
            found = rollout(state, record.rollout_id or "")
            if found is None:
                problems.append(f"{where}: has no rollout {record.rollout_id}, which the log names")
            elif found["version"] != record.version:
                problems.append(f"rollout {found['id']} is of version {found['version']}, not {record.version}")
        else:
            before = [
                r
                for r in rollouts_of(state, record.model, record.version)
                if pd.Timestamp(r["created_at"]) <= pd.Timestamp(record.logged_at)
                and r["state"] not in ("rolled_back", "failed", "aborted", "superseded", "concluded")
            ]
            found = before[0] if before else None
            if found is None:
                problems.append(
                    f"{where}: no rollout brought {record.model} version {record.version} into service "
                    f"before {to_iso(record.logged_at)}"
                )
    except RolloutLogError as error:
        problems.append(str(error))
    words = f"slot {record.slot}" + (", answered in place of the candidate" if record.fell_back else "")
    if found is not None:
        words += f"; rollout {found['id']} ({found['state']}) of {found['created_at']}"
    facts = {"slot": record.slot, "fell_back": record.fell_back, "rollout_id": None if found is None else found["id"]}
    return Link("slot and rollout", words, facts, problems)


def row_link(lake: Lake, record: PredictionRecord, all_week: bool) -> tuple[Link, str | None]:
    """The scored row against gold/features, as float32 as it was scored; and the session that it lies in."""
    if record.feature_time is None:
        return Link("features", "every feature was given with the request", {"session": None}), None
    session = session_keys(pd.DatetimeIndex([record.feature_time]) - pd.Timedelta(microseconds=1), all_week)[0]
    name = f"{FEATURES} {session}"
    own = {key: value for key, value in record.features.items() if key not in record.overridden}
    words = f"{len(own)} features of {name}, {record.instrument} at {to_iso(record.feature_time)}"
    if record.overridden:
        words += f"; {len(record.overridden)} were given with the request"
    facts = {"session": session, "features": len(own), "overridden": list(record.overridden)}
    try:
        table = lake.read(FEATURES, [session]).get(session)
    except DataError as error:
        return Link("features", words, facts, [str(error)]), session
    if table is None:
        return Link("features", words, facts, [f"{name}: is not there any more"]), session
    at = pd.Timestamp(record.feature_time)
    rows = table[(table["instrument"] == record.instrument) & (table["available_at"] == at)]
    if rows.empty:
        return Link("features", words, facts, [f"{name}: has no row of {record.instrument} at {at}"]), session
    return Link("features", words, facts, _differences(rows.iloc[0], own, name)), session


def _differences(row: pd.Series, logged: Mapping[str, float], name: str) -> list[str]:
    problems = []
    for feature, value in logged.items():
        if feature not in row.index:
            problems.append(f"{name}: has no feature {feature} any more")
        elif np.float32(row[feature]) != np.float32(value):
            problems.append(f"{name}: {feature} is {row[feature]:.9g} there and was {value:.9g} when it was scored")
    return problems
