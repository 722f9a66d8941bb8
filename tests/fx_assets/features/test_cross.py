"""The cross group against plain pandas, and what its values may depend on: own times, any gaps, no order, no start."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.features import compute_features, latest_features
from fx_assets.features.blocks import Block, time_us
from fx_assets.features.cross import SPECS, compute, currencies, provides
from fx_assets.features.truncation import assert_no_lookahead
from tests.counts import count

NAMES = [spec.name for spec in SPECS]
TRIANGLE = ("EUR_USD", "USD_JPY", "EUR_JPY")
HOUR_US = 3_600_000_000


def cross_features(bars: pd.DataFrame) -> pd.DataFrame:
    """instrument, time and the cross group of bars with instrument, time and close."""
    groups = {str(name): part.sort_values("time") for name, part in bars.groupby("instrument")}
    found = compute({name: block(part["time"], part["close"]) for name, part in groups.items()})
    parts = [pd.DataFrame({"instrument": name, "time": groups[name]["time"].array, **found[name]}) for name in groups]
    return pd.concat(parts, ignore_index=True)


def block(times: pd.Series, close: pd.Series | np.ndarray) -> Block:
    """Bars of which only the times and closes matter."""
    price = np.asarray(close, float)
    return Block(time_us(times), price, price, price, price, None, None, None)


def walks(names: tuple[str, ...], rows: int, seed: int, missing: float = 0.0, noise: float = 1e-5) -> pd.DataFrame:
    """Prices of currencies that drift apart, so that crosses nearly close; bars are missing at random."""
    rng = np.random.default_rng(seed)
    times = pd.date_range("2021-01-04", periods=rows, freq="1h", tz="UTC", unit="us")
    levels = {c: np.cumsum(rng.normal(0, 1e-3, rows)) for c in sorted({c for n in names for c in n.split("_")})}
    parts = []
    for name in names:
        base, quote = name.split("_")
        close = np.exp(levels[base] - levels[quote] + rng.normal(0, noise, rows))
        kept = rng.random(rows) >= missing
        kept[0] = True
        parts.append(pd.DataFrame({"instrument": name, "time": times, "close": close})[kept])
    return pd.concat(parts, ignore_index=True)


def by_pandas(bars: pd.DataFrame, name: str) -> pd.DataFrame:
    """The group of one pair, written with pandas: a table of the others' returns on its own times."""
    close = bars.pivot(index="time", columns="instrument", values="close")
    mine = close.loc[close[name].notna()]
    logs = mine.apply(np.log)
    change = logs.diff()
    own, (base, quote) = change[name], name.split("_")
    signs = {
        currency: {
            other: 1.0 if other.split("_")[0] == currency else -1.0
            for other in close.columns
            if other != name and currency in other.split("_")
        }
        for currency in (base, quote)
    }
    out = {}
    for k in (1, 6, 24, 120):
        for what, currency in (("base", base), ("quote", quote)):
            strength = pd.DataFrame({o: sign * change[o] for o, sign in signs[currency].items()}).mean(axis=1)
            strength = strength.reindex(own.index).fillna(0.0)
            out[f"{what}_strength_{k}"] = strength.rolling(k).sum().where(np.arange(len(own)) >= k)
        out[f"strength_difference_{k}"] = out[f"base_strength_{k}"] - out[f"quote_strength_{k}"]
    towards = {**{o: -sign for o, sign in signs[quote].items()}, **signs[base]}
    others = pd.DataFrame({o: sign * change[o] for o, sign in towards.items()})
    basket = others.mean(axis=1)
    here = own.where(basket.notna())
    variance = basket.rolling(120, min_periods=30).var(ddof=0)
    beta = here.rolling(120, min_periods=30).cov(basket, ddof=0) / variance
    out["basket_beta_120"] = beta
    out["basket_correlation_120"] = here.rolling(120, min_periods=30).corr(basket)
    out["basket_residual"] = own - beta * basket
    out["basket_residual_24"] = here.rolling(24, min_periods=0).sum() - beta * basket.rolling(24, min_periods=0).sum()
    out["basket_lead_120"] = own.rolling(120, min_periods=30).corr(basket.shift(1))
    out["basket_dispersion_24"] = others.std(axis=1, ddof=0).rolling(24, min_periods=1).mean()
    mean_square = (others**2).mean(axis=1)
    out["volatility_to_basket_120"] = np.sqrt(
        (here**2).rolling(120, min_periods=30).sum() / mean_square.rolling(120, min_periods=30).sum()
    )
    product = {"EUR_JPY": ("EUR_USD", 1, "USD_JPY", 1), "EUR_USD": ("EUR_JPY", 1, "USD_JPY", -1)}
    left, one, right, other = product.get(name, ("EUR_JPY", 1, "EUR_USD", -1))
    residual = logs[name] - one * logs[left] - other * logs[right]
    out["cross_rate_residual"] = residual
    score = (residual - residual.rolling(120, min_periods=30).mean()) / residual.rolling(120, min_periods=30).std(
        ddof=0
    )
    out["cross_rate_zscore_120"] = score.clip(-10, 10)
    return pd.DataFrame(out)[NAMES].fillna({name: 1.0 if name.startswith("volatility") else 0.0 for name in NAMES})


@pytest.mark.parametrize("name", TRIANGLE)
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_values_are_those_of_the_plain_formulas(name, missing):
    bars = walks((*TRIANGLE, "AUD_USD", "EUR_CHF", "AUD_NZD"), 700, seed=3, missing=missing)
    frame = cross_features(bars)
    mine = frame[frame["instrument"] == name].set_index("time")[NAMES]
    expected = by_pandas(bars, name)
    for spec in SPECS:
        assert np.isnan(mine[spec.name].iloc[: spec.warmup]).all(), spec.name
        left, right = mine[spec.name].iloc[spec.warmup :], expected[spec.name].iloc[spec.warmup :]
        np.testing.assert_allclose(left, right, rtol=1e-7, atol=1e-12, err_msg=spec.name)


def test_strengths_of_four_pairs_by_hand():
    # One step in which EUR gains 1 % on USD and 2 % on GBP, and nothing else moves.
    closes = {"EUR_USD": [1.0, 1.01], "EUR_GBP": [1.0, 1.02], "EUR_JPY": [1.0, 1.0], "GBP_USD": [1.0, 1.0]}
    times = pd.Series(pd.date_range("2021-01-04", periods=2, freq="1h", tz="UTC"))
    found = {n: c[:, 1] for n, c in ((n, np.array([*v.values()])) for n, v in _columns(closes, times).items())}
    step = NAMES.index("base_strength_1"), NAMES.index("quote_strength_1"), NAMES.index("strength_difference_1")
    euro, dollar, difference = found["EUR_USD"][list(step)]
    assert euro == pytest.approx(np.log(1.02) / 2)  # by EUR_GBP and EUR_JPY
    assert dollar == 0.0  # GBP_USD stood still
    assert difference == euro
    pound, dollar, _ = found["GBP_USD"][list(step)]
    assert pound == pytest.approx(-np.log(1.02))
    assert dollar == pytest.approx(-np.log(1.01))


def _columns(closes: dict[str, list[float]], times: pd.Series) -> dict[str, dict[str, np.ndarray]]:
    return compute({name: block(times, np.array(close)) for name, close in closes.items()})


gapped = st.builds(
    walks,
    st.sampled_from([TRIANGLE, ("EUR_USD", "GBP_USD"), (*TRIANGLE, "GBP_JPY", "GBP_USD"), ("EUR_USD", "SPX500_USD")]),
    st.one_of(st.integers(2, 40), st.integers(150, 400)),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.05, 0.4, 0.9]),
)


@settings(max_examples=count("property_examples") // 4, deadline=None)
@given(gapped, st.data())
def test_no_row_knows_its_future_whatever_the_gaps(bars, data):
    assert_no_lookahead(cross_features, bars, [data.draw(st.integers(1, len(bars)))])


@settings(max_examples=count("property_examples") // 4, deadline=None)
@given(gapped, st.data())
def test_a_row_depends_on_its_own_window_s_times_only(bars, data):
    name = data.draw(st.sampled_from(sorted(set(bars["instrument"]))))
    whole = cross_features(bars)
    mine = whole[whole["instrument"] == name].reset_index(drop=True)
    row = data.draw(st.integers(0, len(mine) - 1))
    spec = data.draw(st.sampled_from(SPECS))
    window = mine["time"].iloc[max(0, row - spec.window + 1) : row + 1]
    # Not even the others' bars between the own times count.
    alone = cross_features(bars[bars["time"].isin(window)])
    newest = alone[alone["instrument"] == name].iloc[-1]
    expected = mine[spec.name].iloc[row]
    assert newest[spec.name] == expected or (np.isnan(newest[spec.name]) and np.isnan(expected)), spec.name
    assert np.isnan(expected) == (row < spec.warmup)


@settings(max_examples=count("property_examples") // 4, deadline=None)
@given(gapped, st.data())
def test_neither_the_order_of_rows_and_instruments_nor_the_range_matters(bars, data):
    whole = cross_features(bars)
    shuffled = bars.sample(frac=1.0, random_state=data.draw(st.integers(0, 99)))
    blocks = {
        n: block(p["time"], p["close"]) for n, p in shuffled.sort_values("time").groupby("instrument", sort=False)
    }
    found = compute(dict(reversed(blocks.items())))
    for name in blocks:
        part = whole.loc[whole["instrument"] == name, NAMES].to_numpy()
        np.testing.assert_array_equal(np.array([found[name][n] for n in NAMES]).T, part)
    start = data.draw(st.sampled_from(sorted(set(bars["time"]))))
    later = cross_features(bars[bars["time"] >= start])
    together = later.merge(whole, on=["instrument", "time"], suffixes=("", "_whole"))
    for spec in SPECS:
        left, right = together[spec.name].to_numpy(), together[f"{spec.name}_whole"].to_numpy()
        assert (np.isnan(left) | (left == right)).all(), spec.name


def test_tiles_leave_no_seam():
    bars = walks((*TRIANGLE, "GBP_USD"), 3000, seed=5, missing=0.03)
    whole = cross_features(bars)
    for first in (1, 500, 901):
        part = cross_features(bars[bars["time"] >= bars["time"].min() + pd.Timedelta(hours=first)])
        both = part.merge(whole, on=["instrument", "time"], suffixes=("", "_whole"))
        settled = both.groupby("instrument").cumcount() >= 122
        for name in NAMES:
            assert (both.loc[settled, name] == both.loc[settled, f"{name}_whole"]).all(), name


@pytest.mark.parametrize(
    "close",
    [
        np.full(400, 1.1),
        1.1 + 0.1 * (np.arange(400) % 2),
        np.geomspace(1e-8, 1e8, 400),
        np.where(np.arange(400) == 200, 1e300, 1e-300),
        1.1 * 1.001 ** np.arange(400),
    ],
    ids=["flat", "zigzag", "exploding", "spike", "constant growth"],
)
@pytest.mark.parametrize("other", ["same", "flat", "absent"])
def test_extreme_prices_give_finite_values_within_their_limits(close, other):
    times = pd.Series(pd.date_range("2021-01-04", periods=400, freq="1h", tz="UTC"))
    beside = {"same": close, "flat": np.ones(400), "absent": np.ones(400)}[other]
    elsewhere = times + pd.Timedelta(minutes=30) if other == "absent" else times
    blocks = {"EUR_USD": block(times, close), "GBP_USD": block(elsewhere, beside), "EUR_GBP": block(elsewhere, beside)}
    frame = pd.DataFrame(compute(blocks)["EUR_USD"])
    for spec in SPECS:
        assert np.isfinite(frame[spec.name].iloc[spec.warmup :]).all(), spec.name
    limits = {"basket_correlation_120": 1, "basket_lead_120": 1, "basket_beta_120": 10, "cross_rate_zscore_120": 10}
    for name, limit in limits.items():
        assert frame[name].abs().max() <= limit
    assert frame["volatility_to_basket_120"].iloc[-1] <= 10


def test_without_others_the_values_are_neutral():
    bars = walks(("EUR_USD",), 300, seed=1)
    for alone in (bars, pd.concat([bars, bars.assign(instrument="AUD_JPY")])):
        frame = cross_features(alone)
        last = frame[frame["instrument"] == "EUR_USD"].iloc[-1]
        assert {name: last[name] for name in NAMES} == {
            name: 1.0 if name == "volatility_to_basket_120" else 0.0 for name in NAMES
        }


def test_too_few_rows_with_others_are_too_few():
    bars = walks(("EUR_USD", "GBP_USD"), 300, seed=2)
    # Of the last 120 bars the other has 29 (one more is needed), then 31 in a row: 30 returns.
    for kept, known in ((29, False), (31, True)):
        late = bars["time"] > bars["time"].max() - pd.Timedelta(hours=kept)
        frame = cross_features(bars[(bars["instrument"] == "EUR_USD") | late])
        last = frame[frame["instrument"] == "EUR_USD"].iloc[-1]
        assert (last["basket_correlation_120"] != 0.0) == known
        assert (last["volatility_to_basket_120"] != 1.0) == known


def test_longer_bars_of_another_instrument_are_not_seen():
    bars = walks(("EUR_USD", "GBP_USD"), 300, seed=4)
    blocks = {str(n): block(p["time"], p["close"]) for n, p in bars.groupby("instrument")}
    apart = compute(blocks, {"EUR_USD": HOUR_US, "GBP_USD": 4 * HOUR_US})
    alone = compute({"EUR_USD": blocks["EUR_USD"]})
    together = compute(blocks, {"EUR_USD": HOUR_US, "GBP_USD": HOUR_US})
    for name in NAMES:
        np.testing.assert_array_equal(apart["EUR_USD"][name], alone["EUR_USD"][name])
        np.testing.assert_array_equal(together["EUR_USD"][name], compute(blocks)["EUR_USD"][name])
    assert not np.array_equal(apart["EUR_USD"]["quote_strength_6"], together["EUR_USD"]["quote_strength_6"])


def test_an_index_is_measured_but_lends_nothing():
    names = ("EUR_USD", "GBP_USD", "XAU_USD", "SPX500_USD")
    bars = walks(names, 300, seed=6)
    with_all, pairs_only = cross_features(bars), cross_features(bars[bars["instrument"].isin(names[:2])])
    left = with_all[with_all["instrument"] == "EUR_USD"].reset_index(drop=True)
    assert left.equals(pairs_only[pairs_only["instrument"] == "EUR_USD"].reset_index(drop=True))
    gold = with_all[with_all["instrument"] == "XAU_USD"].iloc[-1]
    assert gold["quote_strength_24"] != 0.0
    assert gold["base_strength_24"] == 0.0


def test_a_cross_of_gold_closes_too():
    bars = walks(("XAU_USD", "EUR_USD", "XAU_EUR"), 300, seed=7)
    residual = cross_features(bars)["cross_rate_residual"].abs()
    assert 0.0 < residual.max() < 1e-4


def test_what_bars_allow():
    assert provides(["EUR_USD", "GBP_USD"]) == {"others"}
    assert provides(TRIANGLE) == {"others", "triangle"}
    assert provides(["EUR_USD"]) == provides([]) == provides(["SPX500", "DAX"]) == set()
    assert provides(["EUR_USD", "SPX500_USD"], of="EUR_USD") == set()
    assert provides(["EUR_USD", "SPX500_USD"], of="SPX500_USD") == {"others"}
    assert provides(["GBP_USD", "USD_JPY", "EUR_CHF"], of="GBP_JPY") == {"others", "triangle"}
    assert provides([*TRIANGLE, "GBP_USD"], of="GBP_USD") == {"others"}


@pytest.mark.parametrize(
    ("symbol", "pair"),
    [
        ("EUR_USD", ("EUR", "USD")),
        ("eur/usd", ("EUR", "USD")),
        ("EURUSD", ("EUR", "USD")),
        ("SPX500_USD", ("SPX500", "USD")),
        ("SPX500", None),
        ("XAUUSD", ("XAU", "USD")),
        ("btcusd", ("BTC", "USD")),
        ("USDXAU", None),
        ("GOLDEN", None),
        ("", None),
        ("EUR_", None),
        ("A_B_C", None),
    ],
)
def test_names_of_pairs(symbol, pair):
    assert currencies(symbol) == pair


def test_no_rows_and_one_row():
    empty = compute({"EUR_USD": block(pd.Series(pd.DatetimeIndex([], tz="UTC")), np.empty(0))})
    assert [len(column) for column in empty["EUR_USD"].values()] == [0] * len(SPECS)
    one = pd.Series(pd.DatetimeIndex(["2021-01-04"], tz="UTC"))
    found = compute({name: block(one, np.ones(1)) for name in TRIANGLE})["EUR_USD"]
    assert [bool(np.isnan(found[spec.name][0])) for spec in SPECS] == [spec.window > 1 for spec in SPECS]
    assert compute({}) == {}


def test_real_bars_give_the_strengths_one_expects(all_bars):
    frame = cross_features(all_bars)
    pound = frame[frame["instrument"] == "GBP_USD"].iloc[200:]
    bars = all_bars[all_bars["instrument"] == "GBP_USD"]
    change = np.log(bars["close"]).diff(24).to_numpy()[200:]
    # Where the others say the pound rose and the dollar fell, the pair rose.
    assert np.corrcoef(pound["strength_difference_24"], change)[0, 1] > 0.8
    assert pound["basket_correlation_120"].median() > 0.5
    assert np.isfinite(pound[NAMES].to_numpy()).all()


def bars_of(name: str, close: np.ndarray, freq: str) -> pd.DataFrame:
    """Bars through the closes that begin at one time."""
    time = pd.date_range("2021-01-04", periods=len(close), freq=freq, tz="UTC", unit="us")
    return pd.DataFrame({"instrument": name, "time": time, **dict.fromkeys(("open", "high", "low", "close"), close)})


@pytest.mark.parametrize("hours", [2, 5])
def test_an_hour_bar_is_not_seen_by_the_minutes_within_it(hours):
    walk = np.random.default_rng(3).normal(0, 1e-4, (3, 60 * hours)).cumsum(axis=1)
    minutes = [bars_of(name, np.exp(moves), "1min") for name, moves in zip(("EUR_USD", "EUR_GBP"), walk, strict=False)]
    hour = bars_of("GBP_USD", np.exp(walk[2][59::60]), "1h")
    found = compute_features(pd.concat([*minutes, hour]), ["cross"])
    changed = compute_features(pd.concat([*minutes, hour.assign(close=hour["close"] * 1.01)]), ["cross"])
    pd.testing.assert_frame_equal(found, changed, check_exact=True)
    of_minutes = (found["instrument"] != "GBP_USD").to_numpy()
    alone = compute_features(pd.concat(minutes), ["cross"])
    assert (alone["base_strength_1"].iloc[1:60] != 0).all()
    shared = list(alone.columns)
    pd.testing.assert_frame_equal(found.loc[of_minutes, shared].reset_index(drop=True), alone, check_exact=True)


def test_bars_that_are_missing_are_no_longer_bars():
    walks_ = {name: np.exp(np.random.default_rng(n).normal(0, 1e-4, 300).cumsum()) for n, name in enumerate(TRIANGLE)}
    bars = {name: bars_of(name, close, "1min") for name, close in walks_.items()}
    bars["EUR_USD"] = bars["EUR_USD"][np.random.default_rng(9).random(300) < 0.5]
    frame = pd.concat(list(bars.values()))
    for rows in (1, 2, 3, 5, 8, 13, 40, 300):
        cut = frame[frame["time"] < frame["time"].min() + pd.Timedelta(minutes=rows)]
        found = compute_features(cut, ["cross"])
        whole = compute_features(frame, ["cross"], bar_us=60_000_000)
        both = whole.merge(found[["instrument", "time"]])[list(found.columns)]
        pd.testing.assert_frame_equal(found, both, check_exact=True)


def test_the_newest_row_needs_no_more_than_the_bars_of_its_windows():
    frame = walks(TRIANGLE, 600, 4, missing=0.3)
    frame = frame.assign(open=frame["close"], high=frame["close"], low=frame["close"])
    frame = frame[(frame["instrument"] != "USD_JPY") | (frame["time"] < frame["time"].min() + pd.Timedelta(hours=350))]
    expected = compute_features(frame).groupby("instrument").tail(1).reset_index(drop=True)
    pd.testing.assert_frame_equal(latest_features(frame), expected, check_exact=True)
