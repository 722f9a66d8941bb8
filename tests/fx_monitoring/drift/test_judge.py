"""One model judged over several sessions: the status others read, what the sessions before say, and what is kept."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fx_assets.errors import MissingData
from fx_assets.lake import Lake
from fx_assets.sessions import session_bounds
from fx_monitoring.configuration import DriftPolicy
from fx_monitoring.drift.judge import ASSET, judge_model, make_report, remove_old
from fx_monitoring.drift.status import write_status
from fx_serving.client.home import Stores
from tests.fx_monitoring.drift.world import NAMES, market, predictions, write_bundle

MODEL = "move_60m"
SESSIONS = ("2022-02-28", "2022-03-01", "2022-03-02", "2022-03-03")
ROWS = 1_200


@pytest.fixture
def stores(tmp_path) -> Stores:
    made = Stores(tmp_path)
    write_bundle(made, MODEL)
    return made


def judged(stores: Stores, session: str, rows: np.ndarray | pd.DataFrame, **policy) -> dict:
    """Judge a session and keep its record as the asset's IO manager does."""
    frame = rows if isinstance(rows, pd.DataFrame) else predictions(rows, session)
    lake = Lake(stores.lake)
    status = judge_model(stores, MODEL, session, frame, lake=lake, policy=DriftPolicy(**policy))
    lake.store.write(f"monitoring/{ASSET}/session={session}/record.json", json.dumps({MODEL: status}).encode())
    return status


def test_the_status_has_the_shared_format(stores):
    status = judged(stores, SESSIONS[0], market(1, ROWS, wilder=2.5))
    written = json.loads((stores.drift / f"{MODEL}.json").read_bytes())
    assert written == status
    assert status["format"] == 2
    assert (status["model"], status["version"], status["session"]) == (MODEL, "1", SESSIONS[0])
    assert (status["level"], status["action"], status["cause"]) == ("critical", "alert", "market")
    assert status["thresholds"] == {"minor": 0.1, "moderate": 0.15, "critical": 0.25, "min_rows": 500}
    assert "10 quantile bins" in status["method"]
    assert status["limits"] == {"attempts": 3, "retry_minutes": 10, "per_day": 3}
    assert datetime.fromisoformat(status["computed_at"]).utcoffset() is not None
    assert set(status["features"]) == set(NAMES)
    assert status["features"]["realised_24"]["level"] == "critical"
    assert status["features"]["realised_24"]["psi"] > status["features"]["realised_24"]["noise"]
    assert status["explains"][0]["feature"] in ("realised_24", "atr_14")
    assert len(status["instruments"]) == 4
    assert status["prediction"]["kl"] > 0.1
    assert {trigger["name"] for trigger in status["triggers"]} == {"psi", "prediction_kl"}
    assert status["decision"]["reasons"][-1] == "1 of 2 judged sessions running: not confirmed"
    assert Path(status["html"]).stat().st_size > 10_000
    assert Path(status["plot"]).read_bytes().startswith(b"\x89PNG")


def test_two_sessions_running_retrain_the_next_rests_and_the_same_verdict_stands(stores):
    wild = [market(seed, ROWS, wilder=2.5) for seed in range(1, 4)]
    assert judged(stores, SESSIONS[0], wild[0])["action"] == "alert"
    second = judged(stores, SESSIONS[1], wild[1])
    assert (second["action"], second["decision"]["verdict"]) == ("retrain", f"{MODEL}-1-{SESSIONS[1]}")
    again = judged(stores, SESSIONS[1], wild[1])
    assert again["decision"] == second["decision"]
    assert again["report_id"] != second["report_id"]
    third = judged(stores, SESSIONS[2], wild[2], cool_down_hours=30)
    assert third["action"] == "hold"
    until = session_bounds(SESSIONS[1])[1] + timedelta(hours=30)
    assert datetime.fromisoformat(third["decision"]["cool_down_until"]) == until


def test_a_rest_outlasts_a_calm_judgement_of_the_same_session(stores):
    for number, session in enumerate(SESSIONS[:2]):
        judged(stores, session, market(number, ROWS, wilder=2.5))
    calm = judged(stores, SESSIONS[1], market(5, ROWS))
    assert calm["action"] == "log"
    assert calm["reading"]["verdict"] == f"1-{SESSIONS[1]}"


def test_calm_traffic_is_logged_and_answers_are_alike(stores):
    status = judged(stores, SESSIONS[0], market(1, ROWS))
    assert (status["action"], status["level"], status["explains"]) == ("log", "none", [])
    assert status["prediction"]["level"] == "none"


def test_quarantined_candles_block(stores):
    lake = Lake(stores.lake)
    times = pd.DataFrame({"time": pd.date_range("2022-02-28T22:00Z", periods=24, freq="h")})
    lake.write("silver/candles", {SESSIONS[0]: times})
    lake.write("silver/quarantine", {SESSIONS[0]: times.head(12)})
    status = judged(stores, SESSIONS[0], market(1, ROWS))
    assert (status["action"], status["cause"]) == ("block", "feed")
    assert status["decision"]["reasons"] == ["33% of the session's candles are in quarantine"]


def test_old_features_block_even_where_few_were_asked(stores):
    asked = predictions(market(1, 40), SESSIONS[0])
    asked["feature_time"] -= pd.Timedelta(hours=3)
    status = judged(stores, SESSIONS[0], asked)
    assert (status["action"], status["level"]) == ("block", "inconclusive")
    assert status["decision"]["reasons"] == ["features are 3.0 open market hours old"]


def test_worse_answers_retrain_when_they_last(stores):
    """The record is what the quality report of a session leaves."""
    lake = Lake(stores.lake)
    row = {"model": MODEL, "version": "1", "serving": True, "instrument": "all", "window": "20d"}
    row |= {"n": 900, "n_effective": 600.0, "blocks": 20, "pending": 0, "feedback": 0}
    row |= {"drop_relative": 0.2, "quality_worse": True, "verdict": "worse"}
    actions = []
    for session in SESSIONS[:2]:
        record = {"session": session, "rows": [row | {"session": session}]}
        lake.store.write(f"monitoring/prediction_quality/session={session}/record.json", json.dumps(record).encode())
        status = judged(stores, session, market(1, ROWS))
        actions.append(status["action"])
    assert actions == ["alert", "retrain"]
    assert status["triggers"] == [{"name": "quality", "value": 0.2, "limit": 0.05, "action": "retrain"}]


def test_the_newest_reports_are_kept_and_old_ones_removed(stores):
    for session in SESSIONS:
        judged(stores, session, market(1, ROWS), keep_reports=2)
    kept = {path.name for path in (stores.reports / "drift").iterdir()}
    assert kept == {f"{MODEL}-1-{session}.{ending}" for session in SESSIONS[2:] for ending in ("html", "png")}
    other = stores.reports / "drift" / "move_60m_long-1-2022-03-03.html"
    other.write_text("another model's")
    assert remove_old(stores.reports / "drift", MODEL, 0) == 4
    assert other.exists()


def test_a_report_on_demand_is_of_the_newest_session_with_predictions(stores):
    lake = Lake(stores.lake)
    lake.write("monitoring/predictions", {s: predictions(market(1, ROWS), s) for s in SESSIONS[:2]})
    assert make_report(stores, lake, MODEL).name == f"{MODEL}-1-{SESSIONS[1]}.html"
    assert make_report(stores, lake, MODEL, SESSIONS[0]).name == f"{MODEL}-1-{SESSIONS[0]}.html"
    with pytest.raises(MissingData, match=r"no predictions to draw in 2022-03-03\. Ask the service"):
        make_report(stores, lake, MODEL, SESSIONS[3])


def test_a_status_is_replaced_and_bears_no_numbers_json_cannot(stores, tmp_path):
    rows = predictions(market(1, ROWS), SESSIONS[0]).assign(f_rsi_14=np.nan)
    status = judged(stores, SESSIONS[0], rows)
    assert status["features"]["rsi_14"]["ks"] is None
    assert (status["action"], status["decision"]["reasons"][0]) == ("block", "missing rsi_14: 100%")
    path = tmp_path / "one.json"
    path.write_text("old")
    write_status(path, status)
    assert json.loads(path.read_bytes()) == status


# ---- sessions of few rows -------------------------------------------------------------------------------------------

HOURLY = 96  # four pairs, 24 bars


def hourly(stores: Stores, session: str, rows: np.ndarray) -> dict:
    """A session as the job makes it: its predictions are in the lake, and judged."""
    frame = predictions(rows, session)
    Lake(stores.lake).write("monitoring/predictions", {session: frame})
    return judged(stores, session, frame, min_rows=150)


def test_drift_of_hourly_bars_is_found_after_a_few_sessions_and_retrains_only_on_rows_not_counted_before(stores):
    found = [hourly(stores, session, market(n, HOURLY, wilder=2.5)) for n, session in enumerate(SESSIONS)]
    assert [status["level"] for status in found] == ["inconclusive", "critical", "critical", "critical"]
    assert found[1]["window"] == {
        "sessions": list(SESSIONS[:2]),
        "own_rows": HOURLY,
        "words": f"judged with the rows of 2 sessions since {SESSIONS[0]}: its own are too few",
    }
    assert (found[1]["rows"], found[1]["reading"]["since"]) == (2 * HOURLY, SESSIONS[0])
    assert found[1]["window"]["words"] in Path(found[1]["html"]).read_text()
    assert [status["action"] for status in found] == ["none", "alert", "alert", "retrain"]
    assert [status["decision"]["confirmed"] for status in found] == [0, 1, 1, 2]
    told = "1 of 2 judged windows without a row in common running: not confirmed"
    assert found[2]["decision"]["reasons"][-1] == told


def test_a_broken_feed_is_told_by_the_sessions_own_rows_and_leaves_no_trace_once_mended(stores):
    hourly(stores, SESSIONS[0], market(0, HOURLY))
    broken = market(1, HOURLY)
    broken[::12, 0] = np.nan  # 8 % of the session is 4 % of the window
    status = hourly(stores, SESSIONS[1], broken)
    assert (status["action"], status["decision"]["reasons"]) == ("block", ["missing rsi_14: 8%"])
    mended = hourly(stores, SESSIONS[2], market(2, HOURLY))
    assert (mended["action"], mended["level"]) == ("log", "none")
    assert mended["window"]["sessions"] == [SESSIONS[0], SESSIONS[2]]


# ---- poisoned inputs ------------------------------------------------------------------------------------------------


def test_rows_of_two_versions_are_not_taken_for_one_model(stores):
    """A candidate without a feature in the same session: what it never had is not missing."""
    served = predictions(market(1, ROWS), SESSIONS[0])
    candidate = predictions(market(2, ROWS // 2), SESSIONS[0], "2").assign(f_atr_14=np.nan, prediction=0.99)
    status = judged(stores, SESSIONS[0], pd.concat([served, candidate], ignore_index=True))
    assert (status["action"], status["rows"], status["version"]) == ("log", ROWS, "1")
    assert status["prediction"]["level"] == "none"


def test_a_feature_that_no_record_holds_is_missing(stores):
    status = judged(stores, SESSIONS[0], predictions(market(1, ROWS), SESSIONS[0]).drop(columns="f_atr_14"))
    assert (status["action"], status["decision"]["reasons"][0]) == ("block", "missing atr_14: 100%")


def test_a_feed_that_gives_no_values_at_all_blocks_though_there_is_nothing_to_draw(stores):
    status = judged(stores, SESSIONS[0], market(1, ROWS) * np.nan)
    assert (status["action"], status["rows"], status["html"]) == ("block", 1, None)
    assert all("the same inputs from" in why for why in status["decision"]["reasons"])
    assert status["notes"][0].startswith("drift report: no feature has values")


def test_infinities_one_row_and_a_new_instrument_are_judged(stores):
    rows = market(1, ROWS)
    rows[:100, 1] = np.inf
    status = judged(stores, SESSIONS[0], rows)
    assert status["action"] == "block"
    assert any("implausible values of realised_24" in why for why in status["decision"]["reasons"])
    alone = judged(stores, SESSIONS[1], market(1, 1))
    assert (alone["action"], alone["rows"]) == ("none", 1)
    new = predictions(market(1, ROWS), SESSIONS[2]).assign(instrument="EUR_USD")
    assert judged(stores, SESSIONS[2], new)["instruments"]["EUR_USD"]["level"] == "inconclusive"


@pytest.mark.parametrize("content", [b'{"session": "\xff"}', b'{"session"', b"[1]", b""])
def test_a_damaged_status_is_replaced_and_a_damaged_record_is_left_out_and_named(stores, content):
    judged(stores, SESSIONS[0], market(1, ROWS))
    (stores.drift / f"{MODEL}.json").write_bytes(content)
    lake = Lake(stores.lake)
    lake.store.write(f"monitoring/{ASSET}/session={SESSIONS[0]}/record.json", content)
    status = judged(stores, SESSIONS[1], market(2, ROWS))
    assert json.loads((stores.drift / f"{MODEL}.json").read_bytes()) == status
    assert len(status["notes"]) == 1
    assert status["notes"][0].endswith(f"Materialize drift_report for session {SESSIONS[0]} again.")
    assert f"session={SESSIONS[0]}/record.json: cannot be read" in status["notes"][0]
