"""threshold_sweep and strategy_optimization of a model that was really studied, through Dagster runs."""

import shutil
from datetime import UTC, datetime

import dagster as dg
import msgspec
import numpy as np
import pytest

from fx_assets.evaluation import trials
from fx_assets.strategy import recorded
from fx_assets.strategy.assets import STEPS
from fx_assets.strategy.schedules import job_name
from tests.fx_assets.small import MODELS, Platform, changed, checks, configuration_of, made, write_config

SESSION, LATER = "2021-03-15", "2021-03-16"
SWEEP, OPTIMIZATION = (f"move/{step}" for step in STEPS)
STRATEGY = {"thresholds": [0.5, 0.55, 0.6], "threshold": 0.52, "swap_per_day": {"GBP_USD": 1e-5}}


@pytest.fixture(scope="module")
def platform(history, instance, tmp_path_factory) -> Platform:
    """Its own home over a copy of the lake, with one model studied for one session."""
    home = tmp_path_factory.mktemp("strategy")
    shutil.copytree(history.home / "lake", home / "lake")
    models = changed(MODELS, models__move={**MODELS["models"]["move"], "strategy": STRATEGY})
    folder = write_config(tmp_path_factory.mktemp("config"), models=models)
    with pytest.MonkeyPatch.context() as patch:
        made_here = Platform(home, configuration_of(folder, patch), instance)
    made_here.run(["feature_registry"])
    made_here.run(["move/training_set", "move/model_study"], SESSION)
    return made_here


def record(platform: Platform, asset: str) -> dict:
    path = platform.lake.path(f"models/{asset}", SESSION).with_name("record.json")
    return msgspec.json.decode(path.read_bytes())


def tick(platform: Platform, schedule: str):
    saturday = datetime(2021, 3, 20, 18, tzinfo=UTC)
    known = platform.definitions.get_repository_def()
    with dg.build_schedule_context(platform.instance, saturday, repository_def=known) as context:
        return platform.definitions.resolve_schedule_def(schedule).evaluate_tick(context)


@pytest.mark.slow
def test_the_sweep_tries_every_threshold_at_the_study_s_costs(platform):
    due = tick(platform, f"weekly_{job_name('move')}").run_requests
    assert [request.partition_key for request in due or []] == [SESSION]
    result = platform.run([SWEEP], SESSION)
    assert made(result) == {SWEEP: [SESSION]}
    found = record(platform, SWEEP)
    assert [rule["threshold"] for rule in found["rules"]] == [0.5, 0.52, 0.55, 0.6]
    assert found["cost_source"] == "typical"
    exposures = [rule["exposure"] for rule in found["rules"]]
    assert exposures == sorted(exposures, reverse=True)
    # Traded as the study trades: the rule in use gives the study's own figures.
    used = found["rules"][1]
    studied = record(platform, "move/model_study")["figures"]["backtest"]
    for figure in ("net_return", "gross_return", "trades", "turnover", "max_drawdown", "last_30d", "swap_per_day"):
        assert used[figure] == studied[figure], figure
    check = checks(result)[f"{SWEEP}/earns_its_costs"]
    assert check.passed == (used["net_return"] > 0)
    (event,) = result.get_asset_materialization_events()
    told = event.step_materialization_data.materialization.metadata
    assert "| 0.55 unit |" in told["thresholds"].value
    assert told["returns"].value.startswith("![plot](data:image/png;base64,")


@pytest.mark.slow
def test_the_list_of_trades_adds_up_to_the_study_s_figures(platform):
    trades = platform.lake.read("models/move/trades", [SESSION])[SESSION]
    studied = record(platform, "move/model_study")["figures"]["backtest"]
    assert len(trades) == studied["trades"]
    assert trades["net_return"].sum() / 2 == pytest.approx(studied["net_return"])
    assert (trades["net_return"] > 0).mean() == pytest.approx(studied["win_rate"])


@pytest.mark.slow
def test_every_rule_is_tried_judged_and_counted(platform):
    before = trials.load(platform.lake, "move", SESSION)
    result = platform.run([OPTIMIZATION], SESSION)
    found = record(platform, OPTIMIZATION)
    # Three thresholds with three sizings, and the rule in use.
    assert len(found["rules"]) == 10
    assert found["default"] == "0.52 unit"
    assert found["rules"][0]["name"] == found["default"]
    best = max(found["rules"], key=lambda rule: rule["sharpe_net"]["value"])
    assert found["best"] == best["name"]
    after = trials.load(platform.lake, "move", SESSION)
    assert after.sources["strategy"] == 10
    assert after.count == found["trials"]
    assert after.count >= before.count
    ratios = sorted(rule["sharpe_net"]["value"] / np.sqrt(260) for rule in found["rules"])
    mine = [e.sharpe for _, e in trials.entries(platform.lake, "move", SESSION) if e.source == "strategy"]
    assert np.sort(np.array(mine, float)) == pytest.approx(ratios)
    assert 0.0 <= found["pbo"] <= 1.0
    check = checks(result)[f"{OPTIMIZATION}/holds_later"]
    assert check.passed == (found["better"] or found["best"] == found["default"])
    assert check.metadata["advice"].value == found["advice"]


@pytest.mark.slow
def test_trying_again_counts_nothing_again_and_gives_the_same_record(platform):
    first = record(platform, OPTIMIZATION)
    ledger = trials.load(platform.lake, "move", SESSION)
    platform.run([SWEEP, OPTIMIZATION], SESSION)
    assert record(platform, OPTIMIZATION) == first
    assert trials.load(platform.lake, "move", SESSION) == ledger
    skipped = tick(platform, f"weekly_{job_name('move')}")
    assert (skipped.run_requests, skipped.skip_message) == ([], "move: there is no study that was not swept yet.")


@pytest.mark.slow
def test_the_newest_month_s_costs_are_charged(platform):
    before = record(platform, SWEEP)
    platform.run([recorded.MONTHS], "2021-02-01")
    table = platform.lake.read(recorded.MONTHS, ["2021-02-01"])["2021-02-01"]
    platform.lake.write(recorded.MONTHS, {"2021-02-01": table.assign(half_spread=2 * table["half_spread"])})
    platform.run([SWEEP], SESSION)
    dearer = record(platform, SWEEP)
    assert dearer["cost_source"] == "typical (2021-02)"
    for was, now in zip(before["rules"], dearer["rules"], strict=True):
        assert now["gross_return"] == was["gross_return"]
        assert now["net_return"] < was["net_return"]


@pytest.mark.slow
def test_without_a_study_the_run_says_what_to_make(platform):
    with pytest.raises(dg.Failure, match=f"model_study: not made for session {LATER}. Materialize it first"):
        platform.run([SWEEP], LATER)


@pytest.mark.slow
def test_a_study_without_its_rows_says_what_to_make(platform):
    for table in ("model_study", "out_of_fold"):
        source = platform.lake.path(f"models/move/{table}", SESSION).parent
        shutil.copytree(source, source.with_name(f"session={LATER}"))
    platform.lake.path("models/move/out_of_fold", LATER).unlink()
    with pytest.raises(dg.Failure, match=f"out_of_fold: no file for session {LATER}. Materialize model_study"):
        platform.run([OPTIMIZATION], LATER)
