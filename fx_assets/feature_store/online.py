"""Writing to and reading from the online store, with the guards that Feast's stores do not have themselves: an older
row never replaces a newer one, and a row older than its view's time to live, or of the future, is not answered with.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.errors import MissingData
from fx_assets.feature_store.encoding import ENTITY, Batch, cells, entity_key, number
from fx_assets.feature_store.lifetime import expired
from fx_assets.feature_store.redis_online import RedisOnline
from fx_assets.feature_store.services import registry_answers
from fx_assets.feature_store.sqlite_online import SqliteOnline
from fx_assets.lake import Lake
from fx_assets.schemas import views
from fx_serving.client.clock import now

if TYPE_CHECKING:
    from feast import FeatureStore

TABLE = "gold/features"


def guarded(store: FeatureStore) -> SqliteOnline | RedisOnline:
    """The online store below a feature store."""
    path = getattr(store.config.online_store, "path", None)
    return RedisOnline() if path is None else SqliteOnline(Path(path))


def write_newest(store: FeatureStore, view: str, rows: pd.DataFrame) -> int:
    """Write the newest row of each instrument unless a newer one is stored; returns how many were written.

    rows: instrument, available_at (UTC) and the view's features (a feature without a column is missing), any number
    of rows of an instrument. A row of the same event time is written again: a correction replaces what it corrects.
    Raises StoreError when the store does not answer, MissingData for a view that is not registered.
    """
    if rows.empty:
        return 0
    names = _fields(store, view)
    newest = rows.sort_values("available_at", kind="stable").groupby(ENTITY, sort=False).tail(1)
    values = newest.reindex(columns=names).to_numpy("float64")
    times = newest["available_at"].dt.as_unit("us").astype("int64").tolist()
    keys = [entity_key(symbol) for symbol in newest[ENTITY]]
    return guarded(store).write(view, Batch(keys, times, names, cells(values)))


def stored_online(store: FeatureStore, view: str, instruments: list[str]) -> pd.DataFrame:
    """instrument, available_at (NaT where nothing is stored) and the view's features as they are online, of any age.

    Raises StoreError when the store does not answer, MissingData for a view that is not registered.
    """
    names = _fields(store, view)
    # Feast's own reading leaves out what has expired.
    rows = guarded(store).read(view, [entity_key(symbol) for symbol in instruments], names)
    times = np.array([np.datetime64("NaT") if row is None else row[0] for row in rows], "datetime64[us]")
    frame = {ENTITY: instruments, "available_at": pd.DatetimeIndex(times).tz_localize("UTC")}
    values = [[number(row[1].get(name, b"")) if row else np.nan for name in names] for row in rows]
    table = np.array(values, "float64").reshape(len(rows), len(names))
    return pd.concat([pd.DataFrame(frame), pd.DataFrame(table, columns=names)], axis=1)


def read_online(store: FeatureStore, view: str, instruments: list[str]) -> pd.DataFrame:
    """What may be predicted with: as stored_online, and age_s (seconds by the data clock, NaN where nothing is
    stored, negative for a row dated after it) and expired; the features of an expired row are missing.
    """
    frame = stored_online(store, view, instruments)
    ttl = store.get_feature_view(view, allow_registry_cache=True).ttl
    ages = pd.Timestamp(now()) - frame["available_at"]
    late = np.array([not pd.isna(age) and expired(age, ttl) for age in ages], bool)
    names = [name for name in frame.columns if name not in (ENTITY, "available_at")]
    frame.loc[late, names] = np.nan
    frame.insert(2, "age_s", ages.dt.total_seconds())
    frame.insert(3, "expired", late)
    return frame


def newest_rows(lake: Lake, first: str | None = None, last: str | None = None) -> pd.DataFrame:
    """The newest row of each instrument in gold/features of the sessions first to last, both included.

    Raises MissingData when there is none.
    """
    keys = [k for k in lake.keys(TABLE) if (first is None or k >= first) and (last is None or k <= last)]
    newest: dict[str, pd.DataFrame] = {}
    times = {key: frame for key, frame in lake.read(TABLE, keys, [ENTITY, "available_at"]).items() if len(frame)}
    if not times:
        span = f"in sessions {keys[0]} to {keys[-1]}" if keys else "at all"
        raise MissingData(
            f"{TABLE}: no rows {span}. Run `fx backfill --from D --to D`, fetch newer candles, or set sessions.end in "
            "instruments.yaml to the last session there is."
        )
    known = pd.concat([frame.assign(session=key) for key, frame in times.items()])
    known = known.sort_values("available_at", kind="stable").groupby(ENTITY).tail(1)
    for key, frame in lake.read(TABLE, sorted(known["session"].unique())).items():
        chosen = known[known["session"] == key]
        newest[key] = frame.merge(chosen[[ENTITY, "available_at"]], on=[ENTITY, "available_at"])
    return pd.concat(newest.values(), ignore_index=True)


def materialize(
    store: FeatureStore, lake: Lake, configuration: Configuration, first: str | None = None, last: str | None = None
) -> dict[str, int]:
    """Bring the newest gold row of each instrument online, from all sessions or from first to last.

    Returns the rows written by view; none where the store holds newer ones. Raises MissingData, StoreError.
    """
    newest = newest_rows(lake, first, last)
    return {view: write_newest(store, view, newest) for view in views(configuration)}


def _fields(store: FeatureStore, view: str) -> list[str]:
    """The features of a registered view. Raises MissingData, which is not tried again, where it is not registered."""
    from feast.errors import FeatureViewNotFoundException

    try:
        with registry_answers():
            found = store.get_feature_view(view, allow_registry_cache=True)
    except FeatureViewNotFoundException:
        raise MissingData(f"feature registry: no view {view}. Materialize feature_registry.") from None
    return [field.name for field in found.features]
