"""The feature vector of one question, from the snapshots held. Never a guess: what lacks is named."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

import numpy as np

from fx_serving.client.clock import to_iso
from fx_serving.dataplane.bundles import LoadedBundle
from fx_serving.dataplane.errors import ApiError
from fx_serving.dataplane.snapshots import FeatureSnapshots, ViewRows

_REMEDY = "The feature refresher publishes it (fx up); GET /health shows its state."
RETRAIN = "train and roll out a new version of the model if its views were changed"


class Vector:
    """What is scored: `row` float32 (1, n); `time` the oldest feature time used (None if all were given)."""

    __slots__ = ("age_s", "row", "time")

    def __init__(self, row: np.ndarray, time: datetime | None, age_s: float | None) -> None:
        self.row = row
        self.time = time
        self.age_s = age_s


Limits = Mapping[str, Mapping[str, float]]


def assemble(
    bundle: LoadedBundle,
    snapshots: FeatureSnapshots,
    instrument: str,
    at: datetime,
    historic: bool,
    given: Mapping[int, float],
    limits: Limits = MappingProxyType({}),
) -> Vector:
    """The feature vector as of `at`, `given` values taking precedence. `limits`: model -> view -> oldest age in s,
    where the operator's differs from the manifest's.

    Raises ApiError 503 (missing, null, stale or corrupt feature: which one, how old, the limit) and 422 (a
    historic time before the rows held).
    """
    remedy = f"{_REMEDY}{snapshots.hint}"
    row = np.empty((1, len(bundle.names)), dtype=np.float32)
    oldest: datetime | None = None
    for view, places in bundle.views.items():
        if given and all(place in given for place in places):
            continue
        where = f"{view}/{instrument}"
        rows = snapshots.held.get((view, instrument))
        if rows is None:
            raise ApiError(503, f"features {where}: none published. {remedy} Otherwise {RETRAIN}.", "feature_missing")
        if isinstance(rows, str):
            raise ApiError(503, f"features {where}: corrupt: {rows}", "feature_corrupt")
        if other := other_code(bundle, rows):
            raise ApiError(503, f"features {where}: {other}", "feature_code")
        index = bisect_right(rows.times, at) - 1
        if index < 0:
            if historic and rows.times:
                raise ApiError(
                    422,
                    f"timestamp: {to_iso(at)} lies before the rows held for {where}: "
                    f"{to_iso(rows.times[0])} to {to_iso(rows.times[-1])}. Ask within that span.",
                )
            raise ApiError(503, f"features {where}: no row at or before {to_iso(at)}. {remedy}", "feature_missing")
        time = rows.times[index]
        limit = age_limit(bundle, view, limits)
        age = (at - time).total_seconds()
        if age > limit:
            raise ApiError(
                503,
                f"features {where}: stale: the newest row at {to_iso(at)} is of {to_iso(time)}, "
                f"{age:.0f} s old; "
                f"the limit is {limit:.0f} s. {remedy}",
                "feature_stale",
            )
        columns = bundle.columns(view, rows.names)
        if isinstance(columns, str):
            raise ApiError(503, f"feature {columns} is not in {where}. {remedy}", "feature_missing")
        row[0, bundle.places[view]] = rows.values[index].take(columns)
        if oldest is None or time < oldest:
            oldest = time
    for place, value in given.items():
        row[0, place] = value
    if not np.isfinite(row).all():
        name = bundle.manifest.features[int(np.flatnonzero(~np.isfinite(row[0]))[0])]
        found = rows_time(snapshots, name.view, instrument, at)
        raise ApiError(
            503,
            f"feature {name.name} of {name.view}/{instrument} has no value in the row of {found}. "
            f"Give it in features to score without the store. {remedy}",
            "feature_null",
        )
    return Vector(row, oldest, (at - oldest).total_seconds() if oldest is not None else None)


def age_limit(bundle: LoadedBundle, view: str, limits: Limits) -> float:
    """How old a view's row may be for this model, in seconds: the operator's setting, else the manifest's."""
    own = limits.get(bundle.model)
    if own is not None and view in own:
        return own[view]
    return bundle.manifest.max_feature_age_s[view]


def other_code(bundle: LoadedBundle, rows: ViewRows) -> str | None:
    """Why rows mean something else to a model; None where they do not, or where one of the two does not say."""
    known = bundle.manifest.lineage.get("code_version")
    if known is None or rows.code is None or known == rows.code:
        return None
    return (
        f"features of version {rows.code}, but {bundle.model} version {bundle.version} was trained on version {known}. "
        "Train and roll out a new version of the model."
    )


def rows_time(snapshots: FeatureSnapshots, view: str, instrument: str, at: datetime) -> str:
    """The time of the row that holds at `at`, for messages."""
    rows = snapshots.held.get((view, instrument))
    if not isinstance(rows, ViewRows):
        return "an unknown time"
    index = bisect_right(rows.times, at) - 1
    return to_iso(rows.times[index]) if index >= 0 else "an unknown time"
