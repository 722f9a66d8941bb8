"""Costs from the lake: a month's own rows, no look at the session itself, and the asset through a real run."""

from datetime import UTC, datetime

import dagster as dg
import pandas as pd
import pytest

from fx_assets.errors import MissingData
from fx_assets.evaluation import costs
from fx_assets.lake import Lake
from fx_assets.strategy import recorded
from fx_assets.strategy.cost_assets import fx_months, wrong_spreads
from fx_assets.strategy.schedules import COSTS_JOB, due_month
from tests.fx_assets.small import INSTRUMENTS, Platform, changed, checks, configuration_of, made, write_config
from tests.fx_assets.strategy.candles import QUIET, ROLLOVER, candles, write

ASSET = "strategy/transaction_costs"
PAIRS = changed(
    INSTRUMENTS,
    instruments={"EUR_USD": {"typical_spread": 0.00012}, "USD_JPY": {"typical_spread": 0.01}},
)


@pytest.fixture
def platform(instance, tmp_path, monkeypatch) -> Platform:
    """A home whose only table is silver/candles: quotes of EUR_USD in February and March, mid prices of USD_JPY."""
    configuration = configuration_of(write_config(tmp_path / "config", instruments=PAIRS), monkeypatch)
    platform = Platform(tmp_path / "home", configuration, instance)
    write(platform.lake, candles("2021-02-01 17:00", "2021-03-20 17:00"))
    return platform


def test_a_month_is_cut_at_seventeen_new_york():
    start, end = recorded.month_bounds("2021-03-01")
    assert (start.isoformat(), end.isoformat()) == ("2021-03-01T22:00:00+00:00", "2021-04-01T21:00:00+00:00")


def test_months_reach_from_the_first_session_to_the_last(platform):
    assert fx_months(platform.configuration).get_partition_keys() == [
        f"{month}-01" for month in ("2020-10", "2020-11", "2020-12", "2021-01", "2021-02", "2021-03", "2021-04")
    ]


@pytest.mark.slow
def test_costs_of_a_month_are_made_by_a_run(platform):
    result = platform.run([ASSET], "2021-02-01")
    assert made(result) == {ASSET: ["2021-02-01"]}
    table = platform.lake.read(recorded.MONTHS, ["2021-02-01"])["2021-02-01"]
    euro = table[table["instrument"] == "EUR_USD"]
    assert set(euro["source"]) == {"recorded"}
    assert euro["rows"].sum() == len(candles("2021-02-01 17:00", "2021-03-01 17:00")) / 2
    expected = [(ROLLOVER if hour == 17 else QUIET) / 2 / 1.2 for hour in range(24)]
    assert euro["half_spread"].tolist() == pytest.approx(expected)
    yen = table[table["instrument"] == "USD_JPY"]
    assert set(yen["source"]) == {"typical"}
    assert set(yen["half_spread"]) == {0.01 / 108 / 2}
    found = checks(result)
    recorded_check = found[f"{ASSET}/spreads_recorded"]
    assert (recorded_check.passed, recorded_check.metadata["typical_spread_used_for"].value) == (False, ["USD_JPY"])
    assert found[f"{ASSET}/typical_spread"].passed
    (event,) = result.get_asset_materialization_events()
    told = event.step_materialization_data.materialization.metadata
    assert told["cost_source"].value == "recorded: EUR_USD; typical: USD_JPY"
    assert "| EUR_USD | recorded |" in told["spreads"].value
    assert f"{ROLLOVER / 1.2 * 1e4:.2f} at 17:00" in told["spreads"].value
    assert told["by_hour"].value.startswith("![plot](data:image/png;base64,")
    before = platform.lake.path(recorded.MONTHS, "2021-02-01").read_bytes()
    platform.run([ASSET], "2021-02-01")
    assert platform.lake.path(recorded.MONTHS, "2021-02-01").read_bytes() == before


@pytest.mark.slow
def test_a_month_without_candles_says_what_to_do(platform):
    with pytest.raises(dg.Failure, match=r"silver/candles: no partition from 2020-11-01 .* run `fx backfill"):
        platform.run([ASSET], "2020-11-01")
    assert platform.lake.keys(recorded.MONTHS) == []


def test_a_study_is_charged_what_its_own_period_cost(platform):
    rows = candles("2021-02-15 17:00", "2021-03-10 17:00")
    before = recorded.study_costs(platform.lake, platform.configuration, rows, "2021-03-11")
    own = costs.table(candles("2021-02-15 17:00", "2021-03-11 17:00"))
    pd.testing.assert_frame_equal(before[before["source"] == "recorded"].reset_index(drop=True), own)
    # The session itself and what comes later may hold anything.
    later = candles("2021-03-11 17:00", "2021-03-20 17:00")
    write(platform.lake, later.assign(bid_close=1.0, ask_close=2.0, close=1.5))
    pd.testing.assert_frame_equal(
        recorded.study_costs(platform.lake, platform.configuration, rows, "2021-03-11"), before
    )
    with pytest.raises(MissingData, match="silver/candles"):
        recorded.study_costs(Lake(platform.home / "nothing"), platform.configuration, rows, "2021-03-11")


@pytest.mark.slow
def test_current_costs_are_those_of_the_last_month_that_had_ended(platform):
    own = costs.with_typical(costs.table(pd.DataFrame()), {"EUR_USD": 9e-4, "AUD_USD": 8e-4})
    assert recorded.current_costs(platform.lake, "2021-03-15", own)[1] == ""
    platform.run([ASSET], "2021-02-01")
    platform.run([ASSET], "2021-03-01")
    assert recorded.month_before(platform.lake, "2021-02-28") is None
    assert recorded.month_before(platform.lake, "2021-03-01") == "2021-02-01"
    assert recorded.month_before(platform.lake, "2021-03-31") == "2021-02-01"
    assert recorded.month_before(platform.lake, "2021-04-01") == "2021-03-01"
    table, source = recorded.current_costs(platform.lake, "2021-03-15", own)
    assert source == "recorded: EUR_USD; typical: AUD_USD, USD_JPY (2021-02)"
    assert table.groupby("instrument").size().to_dict() == {"AUD_USD": 24, "EUR_USD": 24, "USD_JPY": 24}
    assert table.loc[table["instrument"] == "EUR_USD", "half_spread"].max() == pytest.approx(ROLLOVER / 2.4)
    assert set(table.loc[table["instrument"] == "AUD_USD", "half_spread"]) == {8e-4}


def test_a_configured_spread_that_is_far_off_is_named():
    table = costs.table(candles("2021-02-01 17:00", "2021-03-01 17:00"))
    real = QUIET / 2 / 1.2
    assert wrong_spreads(table, {"EUR_USD": real * 1.9}) == []
    assert wrong_spreads(table, {"EUR_USD": real / 1.9}) == []
    (low,) = wrong_spreads(table, {"EUR_USD": real / 2.5})
    assert low == "EUR_USD: recorded spread is 2.50 times typical_spread. Correct instruments.yaml."
    assert len(wrong_spreads(table, {"EUR_USD": real * 2.5})) == 1


def test_the_schedule_takes_the_last_month_that_has_ended_and_has_candles(platform):
    def due(moment: str) -> str | None:
        return due_month(platform.configuration, platform.lake, pd.Timestamp(moment).to_pydatetime())

    assert due("2021-03-02T11:00Z") == "2021-02-01"
    assert due("2021-03-01T21:00Z") is None  # February's last session runs
    assert due("2021-04-02T10:00Z") == "2021-03-01"
    assert due("2021-07-02T10:00Z") == "2021-03-01"


def test_the_monthly_schedule_asks_for_that_month_by_the_data_clock(platform, monkeypatch):
    schedule = platform.definitions.resolve_schedule_def(COSTS_JOB)
    known = platform.definitions.get_repository_def()

    def tick(clock: str):
        monkeypatch.setenv("FX_CLOCK", clock)
        at = datetime(2026, 5, 2, 10, tzinfo=UTC)
        with dg.build_schedule_context(platform.instance, at, repository_def=known) as context:
            return schedule.evaluate_tick(context)

    running = f"@{datetime.now(UTC).isoformat()}"
    assert "stands still" in (tick("2021-03-02T11:00:00Z").skip_message or "")
    (request,) = tick(f"2021-03-02T11:00:00Z{running}").run_requests or []
    assert request.partition_key == "2021-02-01"
    assert request.run_key == "monthly_costs-2021-02-01-2026-05-02T10:00:00+00:00"
    early = tick(f"2021-02-20T11:00:00Z{running}")
    assert not early.run_requests
    assert "no month that has ended has silver/candles" in (early.skip_message or "")
