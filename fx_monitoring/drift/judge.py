"""One model judged in one session: what the stores hold goes in, the status that others read comes out.

The figures are report.py's, the evidence of a broken feed feed.py's, the decision decide.py's.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from fx_assets.configuration import Configuration, load_configuration
from fx_assets.errors import DataError, MissingData, StoreError
from fx_assets.features import feature_names
from fx_assets.lake import Lake, lake_root
from fx_assets.market_hours import Hours, market_hours
from fx_assets.sessions import previous_session, session_bounds
from fx_monitoring.configuration import DriftPolicy, load_monitoring
from fx_monitoring.drift import feed
from fx_monitoring.drift.decide import Reading, decide
from fx_monitoring.drift.evidently_report import render_html
from fx_monitoring.drift.plot import plot_psi
from fx_monitoring.drift.pool import TABLE, as_scored, pooled
from fx_monitoring.drift.predictions import distinct_rows
from fx_monitoring.drift.report import PREDICTION, by_instrument, drift_figures, explaining
from fx_monitoring.drift.status import status_of, write_status
from fx_monitoring.quality import headline, latest
from fx_monitoring.stored import record, session_in
from fx_serving.client.bundle import bundle_dir, read_manifest
from fx_serving.client.clock import now
from fx_serving.client.files import atomic_write
from fx_serving.client.home import Stores

ASSET = "drift_report"
#: Features on the HTML page, those with the largest indices: what it costs grows with them, and pictures of features
#: that stayed where they were show nothing.
DRAWN = 40
#: Bars that may pass before unchanged inputs count as frozen.
_FROZEN_BARS = 4


def judge_model(
    stores: Stores,
    model: str,
    session: str,
    predictions: pd.DataFrame,
    *,
    lake: Lake | None = None,
    configuration: Configuration | None = None,
    policy: DriftPolicy | None = None,
) -> dict[str, Any]:
    """One model's drift in one session: figures, decision, HTML report, plot, and the status file that others read.

    predictions: the model's rows of the prediction log. Judged is the version that answered most of the session, by its
    own rows and against the training sample in its bundle; where the rows are too few, with those of sessions before
    (pool.py). The status file keeps the newest session's verdict: judging an old session again does not replace it.
    """
    configuration = configuration or load_configuration()
    policy = policy or load_monitoring().drift.of(model, configuration.models.models)
    lake = lake or Lake(lake_root(stores.home, configuration.data.storage))
    version = str(predictions["version"].mode().iloc[0])
    folder = bundle_dir(stores.bundles, model, version)
    manifest = read_manifest(folder)
    features = [feature.name for feature in manifest.features]
    reference = _reference(folder, features)
    own = as_scored(predictions[predictions["version"].astype(str) == version], features)
    earlier, unread = _earlier(lake, model, session, configuration.all_week, policy)
    pool = pooled(
        lake,
        own,
        features,
        session,
        model=model,
        version=version,
        min_rows=policy.min_rows,
        most=policy.pool_sessions,
        all_week=configuration.all_week,
        broken={reading.session for reading in earlier if not reading.sound},
    )
    unjudged = feature_names("calendar")
    report = drift_figures(reference, pool.rows, features, policy.min_rows, unjudged, policy.false_alarm_rate)
    least = max(100, policy.min_rows // 5)
    instruments = by_instrument(reference, pool.rows, features, least, unjudged, policy.false_alarm_rate)
    window = distinct_rows(pool.rows, features)

    def hours(symbol: str) -> Hours:
        entry = configuration.instruments.instruments.get(symbol)
        return market_hours(entry.calendar if entry else "fx")

    # What broke today would be lost among the rows of other sessions, and what has been mended would linger there.
    today, of_today = report, window
    if pool.since:
        today = drift_figures(reference, own, features, policy.min_rows, unjudged, policy.false_alarm_rate)
        of_today = distinct_rows(own, features)
    held_h = max(3 * policy.data_age_hours, _FROZEN_BARS * configuration.bar_minutes / 60)
    problems = [
        *feed.evidence(today, reference, of_today, policy.feed),
        *feed.frozen(own, of_today, hours, held_h),
        *feed.quarantined(*_candles(lake, session), policy.feed.quarantine_share),
    ]
    worse = headline([row for row in latest(lake, model) if row.version == version and row.session <= session])
    reading = Reading(
        session=session,
        at=min(now(), session_bounds(session)[1]),
        version=version,
        rows=report.rows,
        value=report.value if report.conclusive else None,
        kl=report.prediction.kl if report.prediction and report.prediction.level != "none" else None,
        data_age_h=feed.data_age_h(own, hours),
        feed=(*problems, *feed.alone(instruments)),
        since=pool.since,
        sound=not problems,
        quality_drop=worse.drop_relative if worse and worse.quality_worse else None,
        calibration_drift=worse.brier_rise_relative if worse and worse.calibration_worse else None,
    )
    decision = decide([*earlier, reading], policy)
    before = max((r for r in earlier if r.asked), key=lambda r: r.asked or r.at, default=None)
    reading = replace(
        reading,
        asked=decision.asked or (before.asked if before else None),
        verdict=decision.verdict or (before.verdict if before else None),
    )
    status = status_of(
        report,
        decision,
        reading,
        model,
        policy,
        report_id=f"{model}-{version}-{session}-{datetime.now():%Y%m%dT%H%M%S%f}",
        explains=explaining(report, reference, unjudged),
        instruments=instruments,
        window={"sessions": list(pool.sessions), "own_rows": len(of_today), "words": pool.words},
        notes=unread,
    )
    place = stores.reports / "drift" / f"{model}-{version}-{session}"
    if report.features:
        status["plot"] = str(_file(place, ".png"))
        atomic_write(_file(place, ".png"), plot_psi(report, pool.words))
        drawn = [feature.feature for feature in report.features[:DRAWN]]
        try:
            status["html"] = str(render_html(reference, window[drawn], drawn, _file(place, ".html"), pool.words))
        except DataError as error:  # nothing to draw, as where a feed gives no values at all; the verdict stands
            status["notes"].append(str(error))
    path = stores.drift / f"{model}.json"
    if session_in(path) > session:
        path = _file(place, ".json")
    write_status(path, status)
    remove_old(stores.reports / "drift", model, policy.keep_reports)
    return status


def make_report(stores: Stores, lake: Lake, model: str, session: str | None = None) -> Path:
    """Judge a model's session, the newest by default, from the table of predictions; returns the HTML report.

    Raises MissingData where the session has no predictions of the model.
    """
    keys = [session] if session else lake.keys(TABLE)[::-1]
    for key in keys:
        rows = lake.read(TABLE, [key]).get(key)
        own = None if rows is None else rows[rows["model"] == model]
        if own is not None and len(own) and (page := judge_model(stores, model, key, own, lake=lake)["html"]):
            return Path(page)
    raise MissingData(
        f"{model}: no predictions to draw in {session or 'any session'}. "
        "Ask the service for some, and materialize predictions."
    )


def remove_old(folder: Path, model: str, keep: int) -> int:
    """Remove what belongs to all but the newest `keep` reports of a model; returns how many files."""
    ending = re.compile(rf"{re.escape(model)}-.+-\d{{4}}-\d{{2}}-\d{{2}}\.(html|png|json)")
    made: dict[str, list[Path]] = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        if ending.fullmatch(path.name):
            made.setdefault(path.name.rpartition(".")[0], []).append(path)
    newest = sorted(made, key=lambda name: max(path.stat().st_mtime_ns for path in made[name]), reverse=True)
    old = [path for name in newest[keep:] for path in made[name]]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def _reference(folder: Path, features: list[str]) -> pd.DataFrame:
    """The training sample in time order.

    The model scores float32 and the log holds what was scored: a float64 reference would differ in the last bits,
    which matters for features with few distinct values.
    """
    path = folder / "reference.parquet"
    try:
        rows = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise StoreError(f"{path}: cannot be read: {error}. Export the model version again.") from None
    if gone := [name for name in features if name not in rows.columns]:
        raise StoreError(f"{path}: has no column {', '.join(gone[:4])}. Export the model version again.")
    if "decision_time" in rows.columns:
        rows = rows.sort_values("decision_time", kind="stable", ignore_index=True)
    kept = [name for name in ("instrument", PREDICTION) if name in rows.columns]
    return pd.concat([rows[features].astype("float32"), rows[kept]], axis=1)


def _candles(lake: Lake, session: str) -> tuple[int, int]:
    """Rows of the session in silver/candles and in silver/quarantine; 0 where a table has no such partition."""
    kept, refused = (lake.read(table, [session], ["time"]) for table in ("silver/candles", "silver/quarantine"))
    return len(kept.get(session, ())), len(refused.get(session, ()))


def _earlier(
    lake: Lake, model: str, session: str, all_week: bool, policy: DriftPolicy
) -> tuple[list[Reading], list[str]]:
    """What the records of this session and of those before it found, as far back as a decision looks; and in words
    which of them cannot be read.
    """
    found, unread = [], []
    reach = policy.confirm_sessions * policy.pool_sessions
    for _ in range(max(reach + 8, math.ceil(policy.cool_down_hours / 24) + 2)):
        try:
            if kept := (record(lake, ASSET, session) or {}).get(model, {}).get("reading"):
                found.append(Reading.of_record(kept))
        except StoreError as error:
            unread.append(str(error))
        session = previous_session(session, all_week)
    return found, unread


def _file(place: Path, ending: str) -> Path:
    """`place` with an ending. Not with_suffix: a version may hold a dot."""
    return place.with_name(place.name + ending)
