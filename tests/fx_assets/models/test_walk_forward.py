"""The walk-forward report over two registered versions, recomputed by hand from predictors and gold tables."""

import msgspec
import numpy as np
import pandas as pd
import pytest

from fx_assets.errors import MissingData
from fx_assets.models import champion, walk_forward
from fx_assets.sessions import session_bounds
from fx_serving.client.home import Stores
from tests.fx_assets.conftest import WALKED
from tests.fx_assets.small import checks

pytestmark = pytest.mark.slow
REPORT = "models/move/walk_forward_report"


@pytest.fixture(scope="module")
def reported(walked):
    return walked.run(["move/walk_forward_report"])


@pytest.fixture(scope="module")
def figures(walked, reported) -> dict:
    return msgspec.json.decode(walked.lake.store.read(f"{REPORT}/report.json"))


@pytest.fixture(scope="module")
def rows(walked, reported) -> pd.DataFrame:
    return pd.read_parquet(walked.home / "lake" / REPORT / "predictions.parquet")


def test_each_version_is_judged_from_its_session_to_the_next_ones(reported, rows, figures):
    assert checks(reported)["move/walk_forward_report/unseen_rows"].passed
    starts = [pd.Timestamp(session_bounds(session)[0]) for session in WALKED]
    first, second = (rows[rows["version"] == version] for version in ("1", "2"))
    assert len(first)
    assert len(second)
    assert len(first) + len(second) == len(rows)
    assert first["decision_time"].min() >= starts[0]
    assert first["decision_time"].max() < starts[1]
    assert second["decision_time"].min() >= starts[1]
    # The bar that closes as the session begins was open before it, and is the version's first decision.
    assert second["decision_time"].min() == starts[1]
    assert [(v["version"], v["session"], v["until"]) for v in figures["versions"]] == [
        ("1", WALKED[0], WALKED[1]),
        ("2", WALKED[1], None),
    ]
    assert [v["rows"] for v in figures["versions"]] == [len(first), len(second)]
    assert rows.equals(rows.sort_values(["decision_time", "instrument"], kind="stable"))


def test_the_predictions_are_the_versions_own_on_the_gold_rows(walked, rows):
    version = champion.load_version(Stores(walked.home), "move", "1")
    mine = rows[rows["version"] == "1"]
    gold = walked.lake.table("gold/features", "2021-03-14", "2021-03-22")
    joined = mine.merge(gold, left_on=["instrument", "decision_time"], right_on=["instrument", "available_at"])
    assert len(joined) == len(mine)
    again = version.predictor.probability(joined[version.features].to_numpy(np.float32))
    np.testing.assert_array_equal(again, joined["prediction"])
    labels = walked.lake.table("gold/labels", "2021-03-14", "2021-03-22")
    truth = mine.merge(labels, left_on=["instrument", "decision_time"], right_on=["instrument", "available_at"])
    np.testing.assert_array_equal(truth["label"], truth["large_move_60m"])


def test_no_labelled_row_of_its_time_is_left_out(walked, rows):
    start, end = (pd.Timestamp(session_bounds(session)[0]) for session in WALKED)
    labels = walked.lake.table("gold/labels", "2021-03-14", "2021-03-22").merge(
        walked.lake.table("gold/features", "2021-03-14", "2021-03-22"), on=["instrument", "available_at"]
    )
    names = champion.load_version(Stores(walked.home), "move", "1").features
    known = labels["large_move_60m"].notna() & labels[names].notna().all(axis=1)
    within = (labels["available_at"] >= start) & (labels["available_at"] < end)
    assert (known & within).sum() == (rows["version"] == "1").sum()


def test_the_figures_are_those_of_the_rows(rows, figures):
    from sklearn.metrics import brier_score_loss, roc_auc_score

    assert figures["n"] == len(rows)
    assert figures["auc"]["value"] == pytest.approx(roc_auc_score(rows["label"], rows["prediction"]))
    assert figures["naive_auc"] == pytest.approx(roc_auc_score(rows["label"], rows["persistence"]))
    assert figures["auc_vs_naive"]["value"] == pytest.approx(figures["auc"]["value"] - figures["naive_auc"])
    assert figures["brier"]["value"] == pytest.approx(brier_score_loss(rows["label"], rows["prediction"]))
    for version in figures["versions"]:
        mine = rows[rows["version"] == version["version"]]
        assert version["auc"] == pytest.approx(roc_auc_score(mine["label"], mine["prediction"]))
    total = sum(version["net_return"] for version in figures["versions"])
    assert total == pytest.approx(figures["backtest"]["net_return"])


def test_the_report_reads_the_figures_out(walked, figures):
    text = walked.lake.store.read(f"{REPORT}/report.md").decode()
    assert f"{figures['auc']['value']:.4f}" in text
    assert "| 1 | 2021-03-15 |" in text
    assert "| 2 | 2021-03-22 |" in text


def test_a_range_takes_its_sessions_only_and_an_empty_one_says_so(walked):
    stores = Stores(walked.home)
    one = walk_forward.study(stores, walked.lake, "move", first=WALKED[1])
    assert set(one.rows["version"]) == {"2"}
    with pytest.raises(
        MissingData, match=r"move: no registered version of sessions 2021-04-01 to the newest.*trained_model"
    ):
        walk_forward.study(stores, walked.lake, "move", first="2021-04-01")
