"""Properties of the whole screening: nothing depends on the chunk or on the order of rows, and no candle is lost."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.quality.findings import FINDING_COLUMNS
from fx_assets.quality.market import Listed, Market
from fx_assets.quality.screen import screen
from tests.counts import count
from tests.fx_assets.quality.market_data import NOW, fetched, hours, market_of, recorded, value

EXAMPLES = settings(max_examples=max(20, count("property_examples") // 4))
DEFECTS = st.sampled_from(["high", "ask", "time", "drop", "twice", "conflict", "stale", "spike", "none"])


def with_defects(rows: pd.DataFrame, defects: list[tuple[str, int]]) -> pd.DataFrame:
    rows = rows.copy()
    for kind, number in defects:
        at = rows.index[number % len(rows)]
        if kind == "high":
            rows.loc[at, "high"] = value(rows, at, "low") / 2
        elif kind == "ask":
            rows.loc[at, "ask_close"] = value(rows, at, "bid_close") - 0.001
        elif kind == "time":
            rows["time"] += pd.to_timedelta(np.where(rows.index == at, 90, 0), unit="s")
        elif kind == "drop":
            rows = rows.drop(index=at).reset_index(drop=True)
        elif kind in ("twice", "conflict"):
            again = rows.loc[[at]].assign(close=value(rows, at, "close") * (1.00001 if kind == "conflict" else 1))
            rows = pd.concat([rows, again], ignore_index=True)
        elif kind == "stale":
            for name in ("open", "high", "low", "close", "bid_close", "ask_close"):
                rows.loc[at : at + 14, name] = rows.loc[at, "close"]
        elif kind == "spike":
            rows.loc[at, ["high", "close"]] *= 1.1
    # As bronze gives them: what was fetched together lies together.
    return rows.sort_values(["session", "instrument"], kind="stable", ignore_index=True)


def sessions(defects: list[tuple[str, int]]) -> pd.DataFrame:
    days = [hours(key, seed=n) for n, key in enumerate(("2021-03-02", "2021-03-03", "2021-03-07"))]
    return with_defects(pd.concat(days, ignore_index=True), defects)


@EXAMPLES
@given(st.lists(st.tuples(DEFECTS, st.integers(0, 500)), max_size=12))
def test_a_session_is_screened_the_same_alone_as_among_others(defects):
    rows = sessions(defects)
    market, keys = market_of(hours()), sorted(rows["session"].unique())
    whole = screen(rows, keys, market, NOW)
    for key in keys:
        alone = screen(rows[rows["session"] == key].reset_index(drop=True), [key], market, NOW)
        for name in ("good", "quarantined"):
            frame = getattr(whole, name)
            part = frame[frame["time"].between(*_span(key), inclusive="left")]
            order = ["time", "instrument", *(["reason", "copy"] if name == "quarantined" else [])]
            pd.testing.assert_frame_equal(
                part.sort_values(order, ignore_index=True), getattr(alone, name).sort_values(order, ignore_index=True)
            )
        assert whole.problems.get(key) == alone.problems.get(key)
        found = whole.findings[whole.findings["session"] == key].sort_values(FINDING_COLUMNS, ignore_index=True)
        told = alone.findings.sort_values(FINDING_COLUMNS, ignore_index=True)
        assert found.to_dict("records") == told.to_dict("records")


def _span(key: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    from fx_assets.sessions import news_bounds

    first, last = news_bounds(key)
    return pd.Timestamp(first), pd.Timestamp(last)


@EXAMPLES
@given(st.lists(st.tuples(DEFECTS, st.integers(0, 500)), max_size=12))
def test_every_candle_is_either_good_or_in_quarantine(defects):
    rows = sessions(defects)
    found = screen(rows, sorted(rows["session"].unique()), market_of(hours()), NOW)
    good = set(map(tuple, found.good[["instrument", "time"]].to_numpy()))
    bad = set(map(tuple, found.quarantined[["instrument", "time"]].to_numpy()))
    assert not good & bad
    assert good | bad == set(map(tuple, rows[["instrument", "time"]].to_numpy()))
    key = ["time", "instrument", "reason", "fetched_at", "copy"]
    assert not found.quarantined.duplicated(key).any()
    assert not found.good.duplicated(["instrument", "time"]).any()


def test_no_rows_and_no_sessions_are_fine():
    market = market_of(hours())
    found = screen(pd.DataFrame(), ["2021-03-02", "2021-12-25"], market, NOW)
    assert found.good.empty
    assert found.quarantined.empty
    assert found.problems == {}
    assert set(found.findings["what"]) == {"nothing arrived"}
    assert screen(hours(), [], market, NOW).good.empty


def test_instruments_of_different_bar_lengths_are_screened_beside_each_other():
    hourly = hours(symbols=("EUR_USD", "USD_JPY"))
    minutes = recorded("fxcm_nzdusd_m1_2014-05-07").assign(instrument="NZD_USD")
    rows = pd.concat([hourly, minutes], ignore_index=True)
    listed = (
        Listed("EUR_USD", 60, "fx", 0.0001),
        Listed("NZD_USD", 1, "fx", 0.0001),
        Listed("USD_JPY", 60, "fx", 0.01),
    )
    found = screen(rows, ["2014-05-07", "2021-03-02"], Market(listed), NOW)
    length = (found.good["available_at"] - found.good["time"]).groupby(found.good["instrument"]).unique()
    assert {k: v.tolist() for k, v in length.items()} == {
        "EUR_USD": [pd.Timedelta("1h")],
        "NZD_USD": [pd.Timedelta("1min")],
        "USD_JPY": [pd.Timedelta("1h")],
    }
    assert len(found.quarantined) < 20


def test_an_hour_that_is_missing_after_the_autumn_change_is_told_and_blocks_nothing():
    """In the week in which Europe's clocks had changed and America's had not, the file of AUD_USD lacks its last
    hour, of every bar that the calendar expects.
    """
    rows = recorded("hours_2018-10-28")
    found = screen(rows[rows["instrument"] == "AUD_USD"].reset_index(drop=True), ["2018-11-01"], market_of(rows), NOW)
    hour = found.findings[found.findings["instrument"] == "AUD_USD"]
    assert hour[["check", "what", "count", "of"]].to_numpy().tolist() == [
        ["completeness", "missing, an hour or more in a row", 1, 24]
    ]
    assert found.problems == {}
    right = screen(rows, ["2018-10-31"], market_of(rows), NOW).findings
    assert right[right["check"] == "completeness"].empty


def test_bars_that_have_not_closed_yet_are_not_missed_and_holidays_expect_none():
    rows = hours(symbols=("EUR_USD",))
    start = rows["time"].iloc[0]
    for arrived, now, what in (
        (6, start + pd.Timedelta("6h59min"), []),
        (6, start + pd.Timedelta("24h"), ["bars missing"]),
        (0, start + pd.Timedelta("59min"), []),
    ):
        part = fetched(rows.head(arrived)) if arrived else rows.head(0)
        found = screen(part, ["2021-03-02"], market_of(rows), now.to_pydatetime())
        assert found.findings["what"].tolist() == what
    christmas = screen(rows.head(0), ["2020-12-24"], market_of(rows), NOW)
    assert christmas.findings.empty
    assert np.all(christmas.good.columns == screen(rows, ["2021-03-02"], market_of(rows), NOW).good.columns)
