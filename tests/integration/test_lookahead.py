"""The blocking check `no_lookahead` on the real tables: what knows its future is not built on, in this run or later."""

import shutil
from collections.abc import Callable, Iterator

import dagster as dg
import pandas as pd
import pytest

import fx_assets.features.filled
import fx_assets.gold.assets
import fx_assets.gold.join
import fx_assets.gold.market
from fx_assets.errors import DataError
from fx_assets.features.blocks import Bars
from fx_assets.features.engine import features_of
from fx_assets.inputs import SILVER_GROUPS
from tests.fx_assets.features import leaks
from tests.fx_assets.small import BRONZE, INSTRUMENTS, Platform, changed, checks, configuration_of, write_config

FIRST, LAST = "2020-11-29", "2021-01-14"
TABLES = (*(f"silver/{group}" for group in SILVER_GROUPS), "gold/market_features")
COLUMN = "sma_distance_20"
# Values filled backwards know their future only where the history begins.
IN_EVERY_SESSION = [leak for leak in leaks.LOOK_AHEAD if leak is not leaks.filled_backwards]
NEWEST = ("2021-01-12", "2021-01-14")


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture(scope="module")
def fetched(instance, tmp_path_factory) -> Platform:
    """Candles of two instruments."""
    with pytest.MonkeyPatch.context() as patch:
        told = changed(INSTRUMENTS, sessions={"start": FIRST, "end": LAST})
        configuration = configuration_of(write_config(tmp_path_factory.mktemp("config"), told), patch)
    platform = Platform(tmp_path_factory.mktemp("home"), configuration, instance)
    platform.run([*BRONZE, "silver/candles", "silver/news_sentiment", "gold/news_signals"], FIRST, LAST)
    return platform


@pytest.fixture
def platform(fetched, tmp_path) -> Platform:
    """The same, to be changed."""
    made = Platform(tmp_path, fetched.configuration, fetched.instance)
    shutil.copytree(fetched.lake.root, made.lake.root)
    return made


def with_leak(leak: leaks.Leak, column: str) -> Callable[..., pd.DataFrame]:
    """compute_features, or features_of, with one column that knows its future."""

    def compute(bars: pd.DataFrame | Bars, *arguments, **named) -> pd.DataFrame:
        read = bars if isinstance(bars, Bars) else Bars.read(bars)
        found = features_of(read, *arguments, **named)
        return found.assign(**{column: leak(read.frame).iloc[:, -1].to_numpy()}) if column in found else found

    return compute


def test_every_table_of_features_passes_and_says_which_sessions_were_looked_at(platform):
    result = platform.run(TABLES, FIRST, LAST)
    for table in TABLES:
        check = checks(result)[f"{table}/no_lookahead"]
        assert check.passed, check.description
        assert check.metadata["sessions"].value
    result = platform.run(TABLES, LAST)
    for table in TABLES:
        assert checks(result)[f"{table}/no_lookahead"].metadata["sessions"].value == [LAST]


@pytest.mark.parametrize("leak", IN_EVERY_SESSION)
def test_a_leak_fails_the_check_and_nothing_is_built_on_it(platform, monkeypatch, leak):
    monkeypatch.setattr(fx_assets.features.filled, "features_of", with_leak(leak, COLUMN))
    result = platform.run([*TABLES, "gold/features"], *NEWEST, must=False)
    assert not result.success
    check = checks(result)["silver/technical/no_lookahead"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert check.blocking
    assert f"{COLUMN} of " in str(check.description)
    assert "without what became known after 2021-01-1" in str(check.description)
    assert checks(result)["silver/volatility/no_lookahead"].passed
    assert platform.lake.keys("gold/features") == []


def test_a_later_run_refuses_what_was_made_with_a_leak_until_it_is_made_again(platform, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(fx_assets.features.filled, "features_of", with_leak(leaks.shifted_label, COLUMN))
        platform.run(TABLES, *NEWEST, must=False)
    with pytest.raises(dg.Failure) as caught:
        platform.run(["gold/features"], *NEWEST)
    assert isinstance(caught.value.__cause__, DataError)
    assert COLUMN in str(caught.value)
    platform.run([*TABLES, "gold/features"], FIRST, LAST)
    assert platform.lake.keys("gold/features")[-1] == LAST


def test_a_leak_across_instruments_fails_the_check_of_gold(platform, monkeypatch):
    column = "hour_sin"
    leaky = with_leak(leaks.other_instruments_next, column)
    monkeypatch.setattr(fx_assets.gold.market, "compute_features", leaky)
    result = platform.run([*TABLES, "gold/features"], *NEWEST, must=False)
    assert not result.success
    check = checks(result)["gold/market_features/no_lookahead"]
    assert not check.passed
    assert f"{column} of " in str(check.description)
    assert platform.lake.keys("gold/features") == []


def test_news_joined_before_it_is_known_and_lags_of_later_bars_fail_the_check_of_gold(platform, monkeypatch):
    joined, lagged = fx_assets.gold.join.known_news, fx_assets.gold.join.lags
    platform.run(TABLES, *NEWEST)

    def early(bars: pd.DataFrame, news: pd.DataFrame, *arguments) -> pd.DataFrame:
        return joined(bars, news.assign(available_at=news["available_at"] - pd.Timedelta("1h")), *arguments)

    def ahead(bars: pd.DataFrame, *arguments) -> pd.DataFrame:
        found = lagged(bars, *arguments)
        names = list(found.columns[2:])
        return found.assign(**{name: found.groupby("instrument")[name].shift(-6) for name in names})

    for name, leak, column in (("known_news", early, "news_"), ("lags", ahead, "_lag")):
        with monkeypatch.context() as patch:
            patch.setattr(fx_assets.gold.join, name, leak)
            check = checks(platform.run(["gold/features"], *NEWEST, must=False))["gold/features/no_lookahead"]
        assert not check.passed, name
        assert column in str(check.description)
    check = checks(platform.run(["gold/features"], *NEWEST))["gold/features/no_lookahead"]
    assert (check.passed, check.metadata["sessions"].value) == (True, [NEWEST[0]])


def test_signals_that_know_later_headlines_fail_the_check(platform, monkeypatch):
    made = fx_assets.gold.assets.signal_table

    def early(news: pd.DataFrame, *arguments) -> pd.DataFrame:
        return made(news.assign(available_at=news["available_at"] - pd.Timedelta("2h")), *arguments)

    check = checks(platform.run(["gold/news_signals"], *NEWEST))["gold/news_signals/no_lookahead"]
    assert (check.passed, check.metadata["sessions"].value) == (True, [NEWEST[0]])
    monkeypatch.setattr(fx_assets.gold.assets, "signal_table", early)
    check = checks(platform.run(["gold/news_signals"], *NEWEST, must=False))["gold/news_signals/no_lookahead"]
    assert not check.passed
