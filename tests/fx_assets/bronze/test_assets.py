"""The bronze and archive assets: what a run fetches, what it reports, and what it leaves alone."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from fx_assets.bronze.due import ONLY_MISSING
from fx_assets.bronze.files import ALL_NEWS, CANDLES, NEWS
from fx_assets.runs.pools import API
from fx_assets.sessions import session_bounds
from fx_serving.client.clock import to_iso
from tests.fx_assets.small import INSTRUMENTS, Platform, changed, checks, configuration_of, made, write_config

FIRST, LAST = "2021-03-01", "2021-03-04"
SESSIONS = ["2021-03-01", "2021-03-02", "2021-03-03", "2021-03-04"]


def build(folder: Path, instance: dg.DagsterInstance, monkeypatch, data=None, **changes) -> Platform:
    tree = changed(INSTRUMENTS, sessions__start=FIRST, sessions__end=LAST, **changes)
    return Platform(
        folder / "home", configuration_of(write_config(folder / "config", tree, data=data), monkeypatch), instance
    )


@pytest.fixture
def platform(tmp_path, instance, monkeypatch) -> Platform:
    return build(tmp_path, instance, monkeypatch)


def figures(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, dict]:
    """Metadata of each session's event."""
    found = {}
    for event in result.get_asset_materialization_events():
        told = event.step_materialization_data.materialization
        if "/".join(told.asset_key.path) == asset:
            found[told.partition] = {key: value.value for key, value in told.metadata.items()}
    return found


def test_every_session_of_a_range_is_fetched_and_told(platform):
    result = platform.run(["bronze/candles", "bronze/news"], FIRST, LAST)
    assert made(result) == {"bronze/candles": SESSIONS, "bronze/news": SESSIONS}
    assert platform.bronze.sessions(CANDLES) == {"GBP_USD": set(SESSIONS), "USD_JPY": set(SESSIONS)}
    assert platform.bronze.sessions(NEWS) == {ALL_NEWS: set(SESSIONS)}
    told = figures(result, "bronze/candles")[FIRST]
    assert (told["dagster/partition_row_count"], told["files"], told["sources"]) == (48, 2, {"sample": 48})
    assert len(told["sha256"]) == 2
    assert "failed" not in told
    assert checks(result)["bronze/candles/fetched"].passed


def test_what_sources_said_is_in_the_metadata(tmp_path, instance, monkeypatch):
    monkeypatch.delenv("FINNHUB_API_KEY", raising=False)
    platform = build(tmp_path, instance, monkeypatch, defaults={"sources": ["finnhub", "sample"]})
    result = platform.run(["bronze/candles"], FIRST, LAST)
    told = figures(result, "bronze/candles")[LAST]
    assert told["sources"] == {"sample": told["dagster/partition_row_count"]}
    assert ["FINNHUB_API_KEY" in words for words in told["failed"]] == [True]
    assert "| finnhub | GBP_USD | " in str(told["failed sources"])
    check = checks(result)["bronze/candles/fetched"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_both_assets_are_in_the_pool_of_the_services(platform):
    for key in (["bronze", "candles"], ["bronze", "news"]):
        asset = platform.definitions.resolve_assets_def(dg.AssetKey(key))
        assert asset.op.pool == API


def run_only_missing(platform: Platform, **tags: str) -> dict[str, dict]:
    job = platform.job.get_subset(asset_selection={dg.AssetKey(["bronze", "candles"])})
    result = job.execute_in_process(
        instance=platform.instance,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        tags={
            "dagster/asset_partition_range_start": FIRST,
            "dagster/asset_partition_range_end": LAST,
            ONLY_MISSING: "true",
            **tags,
        },
    )
    return figures(result, "bronze/candles")


def test_a_run_for_what_is_missing_fetches_only_that(platform):
    platform.run(["bronze/candles"], FIRST, "2021-03-02")
    before = set(platform.bronze.store.list(CANDLES))
    (gone,) = platform.bronze.files(CANDLES, "2021-03-02", ["USD_JPY"])
    platform.bronze.store.delete(gone)
    told = run_only_missing(platform)
    assert [told[key]["files"] for key in SESSIONS] == [0, 1, 2, 2]
    assert before - {gone} <= set(platform.bronze.store.list(CANDLES))
    assert [told["files"] for told in run_only_missing(platform).values()] == [0, 0, 0, 0]


def test_nothing_is_fetched_of_a_session_that_has_not_begun(platform, monkeypatch):
    start, _ = session_bounds("2021-03-02")
    monkeypatch.setenv("FX_CLOCK", to_iso(start + timedelta(hours=3)))
    told = figures(platform.run(["bronze/candles", "bronze/news"], FIRST, LAST), "bronze/candles")
    assert [told[key]["dagster/partition_row_count"] for key in SESSIONS] == [48, 6, 0, 0]
    assert [told[key]["files"] for key in SESSIONS] == [2, 2, 0, 0]
    assert platform.bronze.sessions(NEWS)[ALL_NEWS] == {"2021-03-01", "2021-03-02"}


def test_the_archive_asset_packs_what_is_due(tmp_path, instance, monkeypatch):
    data = {"archive": {"url": str(tmp_path / "archive"), "remove_local": True}}
    platform = build(tmp_path, instance, monkeypatch, data)
    platform.run(["bronze/candles"], FIRST, LAST)
    monkeypatch.setenv("FX_CLOCK", "2021-04-20T12:00:00Z")
    (event,) = platform.run(["archive"]).get_asset_materialization_events()
    told = {key: value.value for key, value in event.step_materialization_data.materialization.metadata.items()}
    assert (told["packed"], told["removed"], told["months before"]) == (0, 0, "2021-03")
    monkeypatch.setenv("FX_CLOCK", "2021-05-20T12:00:00Z")
    (event,) = platform.run(["archive"]).get_asset_materialization_events()
    told = {key: value.value for key, value in event.step_materialization_data.materialization.metadata.items()}
    assert (told["packed"], told["removed"], told["archive"]) == (8, 8, str(tmp_path / "archive"))
    assert "| bronze/candles | 2021-03 | 8 | 8 |" in str(told["months"])
    assert [told["files"] for told in run_only_missing(platform).values()] == [0, 0, 0, 0], "nothing is fetched again"


def test_without_an_archive_the_asset_says_so(platform):
    (event,) = platform.run(["archive"]).get_asset_materialization_events()
    assert event.step_materialization_data.materialization.metadata["archive"].value == "none"
