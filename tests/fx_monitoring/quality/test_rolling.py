"""The rows of a session: which answers count, versions and windows, and where the rows are kept."""

import json
from datetime import datetime, timedelta

import pandas as pd
import pytest

from fx_assets.lake import Lake
from fx_assets.sessions import session_bounds
from fx_monitoring.configuration.quality import QualityPolicy
from fx_monitoring.quality import headline, latest
from fx_monitoring.quality.expectation import expected_of
from fx_monitoring.quality.rolling import READ, TABLE, curves, quality_rows, recent, serving_version
from fx_monitoring.quality.rows import ALL, RECORD, Expected, plain, read_history, record_keys, write_status
from fx_serving.client.home import Stores
from tests.fx_monitoring.quality.answers import CALENDAR, MODEL, SESSION, SYMBOLS, answers, sessions

CARD = Expected(accuracy=0.6, auc=0.6, brier=0.24, ece=0.02)


CLOSE = session_bounds(SESSION)[1]


def rows_of(frame: pd.DataFrame, expected: Expected | None = CARD, at: datetime = CLOSE):
    return quality_rows(frame, CALENDAR, SESSION, {MODEL: 60.0}, lambda model, version: expected, QualityPolicy(), at)


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(tmp_path / "lake")


def store(lake: Lake, frame: pd.DataFrame) -> None:
    lake.write(TABLE, {str(key): rows[READ].reset_index(drop=True) for key, rows in frame.groupby("session")})


def keep(lake: Lake, session: str, rows) -> None:
    content = json.dumps({"session": session, "rows": plain(rows), "curves": {}})
    lake.store.write(f"{RECORD}/session={session}/record.json", content.encode())


def test_every_window_and_instrument_has_a_row():
    rows = rows_of(answers(sessions(25)))
    assert {(r.window, r.instrument) for r in rows} == {
        (w, i) for w in ("session", "5d", "20d") for i in (ALL, *SYMBOLS)
    }
    counts = {r.window: r.n for r in rows if r.instrument == ALL}
    assert counts == {"session": 72, "5d": 360, "20d": 1440}
    head = headline(rows)
    assert head is not None
    assert (head.window, head.instrument, head.serving) == ("20d", ALL, True)


def test_the_headline_is_the_shortest_window_that_is_worse():
    frame = answers(sessions(20))
    wrong = frame["session"].isin(sessions(3))
    frame.loc[wrong, "outcome"] = 1 - frame.loc[wrong, "outcome"]
    rows = rows_of(frame, Expected(accuracy=0.7, auc=0.75, brier=0.2, ece=0.02))
    worse = [row.window for row in rows if row.instrument == ALL and row.verdict == "worse"]
    assert worse == ["session", "5d", "20d"]
    head = headline(rows)
    assert head is not None
    assert head.window == "session"


def test_windows_count_the_calendar_not_what_there_is():
    """A week without answers is not made up for by older sessions."""
    frame = answers([*sessions(12)[:4], SESSION])
    counts = {r.window: r.n for r in rows_of(frame) if r.instrument == ALL}
    assert counts == {"session": 72, "5d": 72, "20d": 5 * 72}


def test_the_version_that_answered_most_lately_serves():
    old, new = answers(sessions(20)[:-2]), answers(sessions(2), version="2", seed=1)
    few = answers([SESSION], version="1", symbols=("EUR_USD",), seed=2)
    frame = pd.concat([old, new, few], ignore_index=True)
    assert serving_version(frame) == "2"
    rows = rows_of(frame)
    assert {r.version for r in rows if r.serving} == {"2"}
    assert rows[0].version == "2"
    assert {r.version for r in rows} == {"1", "2"}


def test_what_is_not_known_yet_is_counted_as_pending():
    frame = answers([SESSION])
    frame.loc[frame.index[:10], "outcome"] = float("nan")
    whole = next(r for r in rows_of(frame) if r.instrument == ALL and r.window == "session")
    assert (whole.n, whole.pending) == (62, 10)
    much_later = rows_of(frame, at=CLOSE + timedelta(days=2))
    assert {r.pending for r in much_later} == {0}, "what is not known a day after its time never will be"
    nothing = next(r for r in rows_of(frame.assign(outcome=float("nan"))) if r.instrument == ALL)
    assert (nothing.n, nothing.verdict, nothing.accuracy) == (0, "inconclusive", None)


def test_a_hundred_requests_about_one_bar_count_once_the_first(lake):
    frame = answers([SESSION], symbols=("EUR_USD",))
    first = frame.iloc[5]
    busy = pd.DataFrame([{**first, "timestamp": first["timestamp"] + pd.Timedelta(seconds=s)} for s in range(1, 100)])
    store(lake, pd.concat([frame, busy.assign(prediction=0.99)], ignore_index=True).astype(frame.dtypes.to_dict()))
    found = recent(lake, CALENDAR, SESSION)
    assert len(found) == len(frame)
    assert first["prediction"] in found["prediction"].to_list()


def test_tables_from_before_outcomes_were_kept_are_left_out(lake):
    frame = answers(sessions(2))
    store(lake, frame)
    older = frame[frame["session"] != SESSION][["model", "version", "instrument", "timestamp", "prediction"]]
    lake.write(TABLE, {sessions(2)[0]: older.reset_index(drop=True)})
    assert set(recent(lake, CALENDAR, SESSION)["session"]) == {SESSION}
    assert recent(lake, CALENDAR, "2022-02-01").empty


def test_latest_gives_the_newest_record_of_the_model(lake):
    assert latest(lake, MODEL) == []
    rows = rows_of(answers(sessions(3)))
    keep(lake, "2022-03-01", rows)
    keep(lake, SESSION, rows[:1])
    keep(lake, "2022-03-06", [])
    assert record_keys(lake) == ["2022-03-01", SESSION, "2022-03-06"]
    assert latest(lake, MODEL) == rows[:1]
    assert read_history(lake, MODEL, SESSION, 5) == rows


def test_the_file_of_the_newest_figures_is_never_of_an_older_session(tmp_path):
    stores = Stores(tmp_path)
    rows = rows_of(answers(sessions(20)))
    assert write_status(stores, MODEL, SESSION, rows)
    before = (stores.quality / f"{MODEL}.json").read_bytes()
    assert not write_status(stores, MODEL, "2022-03-02", rows)
    assert (stores.quality / f"{MODEL}.json").read_bytes() == before
    status = json.loads(before)
    head = headline(rows)
    assert head is not None
    assert (status["format"], status["model"], status["session"]) == (1, MODEL, SESSION)
    assert (status["version"], status["verdict"], len(status["rows"])) == (head.version, head.verdict, len(rows))


def test_rows_are_the_same_whatever_the_order_of_the_answers():
    frame = answers(sessions(20))
    assert rows_of(frame) == rows_of(frame.sample(frac=1, random_state=3).sort_values("session", kind="stable"))


def test_each_versions_curve_has_ten_bins_or_none():
    frame = answers(sessions(20))
    few = frame.iloc[:15].assign(version="3")
    found = curves(pd.concat([frame, frame.iloc[:100].assign(version="2"), few], ignore_index=True), MODEL)
    assert {version: len(curve) for version, curve in found.items()} == {"1": 10, "2": 10}
    assert sum(bin_["rows"] for bin_ in found["1"]) == len(frame)
    assert sum(bin_["rows"] for bin_ in found["2"]) == 100
    assert curves(frame, "another") == {}


def test_expectations_are_those_of_the_version_and_of_no_other(lake, tmp_path):
    stores = Stores(tmp_path)
    assert expected_of(stores, lake, MODEL, "1") is None, "no bundle"
