"""silver/news_sentiment and gold/news_signals as Dagster makes them: any range gives the same bytes; a change of the
scorer makes them outdated.
"""

from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from fx_assets.configuration import Configuration
from fx_assets.news import NEWS_SIGNALS
from fx_assets.tables import Tables
from tests.fx_assets.small import INSTRUMENTS, Platform, changed, configuration_of, write_config

FIRST, LAST = "2021-02-10", "2021-02-24"
NEWS = ("silver/news_sentiment", "gold/news_signals")


def configuration(folder: Path, monkeypatch: pytest.MonkeyPatch, scorer: str = "lexicon") -> Configuration:
    short = changed(INSTRUMENTS, sessions__start=FIRST, sessions__end=LAST)
    return configuration_of(write_config(folder, short, data={"sentiment": {"scorer": scorer}}), monkeypatch)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two weeks of the sample's news, made in one go."""
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        made = Platform(tmp_path_factory.mktemp("home"), configuration(tmp_path_factory.mktemp("c"), patch), instance)
        made.run(["bronze/news", *NEWS], FIRST, LAST)
        yield made


def test_day_by_day_is_as_in_one_go(whole, tmp_path):
    keys = whole.lake.keys(NEWS[1])
    alone = Platform(tmp_path, whole.configuration, whole.instance)
    alone.run(["bronze/news"], FIRST, LAST)
    for key in keys:
        alone.run(NEWS, key)
    for table in NEWS:
        for key in keys:
            assert alone.lake.path(table, key).read_bytes() == whole.lake.path(table, key).read_bytes(), (table, key)


def test_rows_are_one_an_instrument_and_hour_and_some_headlines_repeat_others(whole):
    signals = whole.lake.table("gold/news_signals")
    assert len(signals) == 2 * 24 * len(whole.lake.keys("gold/news_signals"))
    assert signals[list(NEWS_SIGNALS)].notna().all(axis=None)
    assert signals["news_pair_count_24h"].gt(0).any()
    headlines = whole.lake.table("silver/news_sentiment")
    repeated = headlines[headlines["duplicate_of"] != ""]
    assert 0 < len(repeated) < len(headlines) / 4
    first = headlines.groupby("headline")["available_at"].min()
    assert (first[repeated["duplicate_of"]].to_numpy() <= repeated["available_at"].to_numpy()).all()


def test_another_instrument_makes_the_signals_outdated_and_nothing_else(whole, tmp_path, monkeypatch):
    keys = whole.lake.keys(NEWS[1])
    more = changed(
        INSTRUMENTS, sessions__start=FIRST, sessions__end=LAST, instruments__AUD_USD={"typical_spread": 1e-4}
    )
    other = configuration_of(write_config(tmp_path, more), monkeypatch)
    for table, expected in zip(NEWS, ("current", "outdated"), strict=True):
        for config, state in ((whole.configuration, "current"), (other, expected)):
            lineage = Tables.of(config, whole.lake).lineage(whole.bronze)
            assert set(lineage.states(table, keys).values()) == {state}, table


def test_another_scorer_makes_the_headlines_outdated(whole, tmp_path, monkeypatch):
    keys = whole.lake.keys(NEWS[0])

    def states(scorer: str) -> set[str]:
        tables = Tables.of(configuration(tmp_path / scorer, monkeypatch, scorer), whole.lake)
        return set(tables.lineage(whole.bronze).states(NEWS[0], keys).values())

    assert states("lexicon") == {"current"}
    assert states("vader") == {"outdated"}
    scored = whole.lake.table(NEWS[0])["scorer"].unique()
    assert len(scored) == 1
    assert scored[0].startswith("lexicon-")


def test_cutting_the_newest_answers_changes_nothing_before_them(whole, tmp_path):
    """The truncation test from end to end: without the bronze of the last sessions, the earlier ones are the same."""
    cut = Platform(tmp_path, whole.configuration, whole.instance)
    keys = whole.lake.keys(NEWS[1])
    cut.run(["bronze/news", *NEWS], FIRST, keys[6])
    for table in NEWS:
        assert cut.lake.keys(table) == keys[:7]
        found = cut.lake.table(table)
        expected = whole.lake.table(table)
        pd.testing.assert_frame_equal(found, expected.iloc[: len(found)], check_exact=True)
