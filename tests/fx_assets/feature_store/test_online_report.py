"""What `fx status` and `fx doctor` say of the online store."""

import pandas as pd
import pytest
from rich.console import Console

from fx_assets.cli.online import online_table
from fx_assets.configuration import Configuration, load_configuration
from fx_assets.configuration.data import FeatureStore as Settings
from fx_assets.feature_store.online import write_newest
from fx_assets.feature_store.repository import apply, open_store
from fx_assets.schemas import views
from fx_assets.stack.examine import online_finding
from tests.fx_assets.feature_store.gold import gold_rows
from tests.servers.redis import RedisServer

PASSWORD = "hunter2-hunter2"


def configured(online: str) -> Configuration:
    found = load_configuration()
    settings = Settings.model_validate({"online": online})
    return found.model_copy(update={"data": found.data.model_copy(update={"feature_store": settings})})


def text_of(shown: object) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(shown)
    return captured.get()


@pytest.fixture
def filled(tmp_path, monkeypatch):
    """filled(configuration): one instrument's row of an hour ago in every view, `lags` three hours behind."""

    def fill(configuration: Configuration) -> str:
        store, symbol = open_store(tmp_path, configuration), sorted(configuration.instruments.instruments)[0]
        apply(store, tmp_path / "lake", configuration)
        rows = gold_rows(configuration, [symbol], "2021-03-01 10:00", 1)
        monkeypatch.setenv("FX_CLOCK", "2021-03-01T12:00:00Z")
        for view in views(configuration):
            late = pd.Timedelta("3h") if view == "lags" else pd.Timedelta(0)
            write_newest(store, view, rows.assign(available_at=rows["available_at"] - late))
        return symbol

    return fill


def test_each_instrument_with_its_age_and_what_has_expired(tmp_path, filled):
    configuration = configured("sqlite")
    symbol = filled(configuration)
    told, shown = online_table(tmp_path, configuration)
    text = text_of(shown)
    (line,) = (line for line in text.splitlines() if symbol in line)
    assert [part.strip() for part in line.split("│")][1:5] == [symbol, "2021-03-01 08:00", "4.0 h", "expired: lags"]
    assert text.count("none") == len(configuration.instruments.instruments) - 1
    assert told == f"online features (sqlite, {tmp_path / 'feast' / 'online.db'}): answers"
    assert online_finding(tmp_path, configuration)[0]


def test_a_row_dated_after_the_clock_is_told(tmp_path, filled, monkeypatch):
    configuration = configured("sqlite")
    symbol = filled(configuration)
    for clock, age, verdict in (
        ("2021-03-01T10:30:00Z", "2.5 h", "expired: lags; ahead of the clock: technical, "),
        ("2021-03-01T07:59:00Z", "ahead of the clock", "ahead of the clock: technical, "),
    ):
        monkeypatch.setenv("FX_CLOCK", clock)
        (line,) = (line for line in text_of(online_table(tmp_path, configuration)[1]).splitlines() if symbol in line)
        cells = [part.strip() for part in line.split("│")]
        assert cells[3] == age
        assert cells[4].startswith(verdict)


def test_a_home_where_nothing_was_made_is_told_so(tmp_path):
    configuration = configured("sqlite")
    told, shown = online_table(tmp_path, configuration)
    assert "not made yet. Materialize feature_registry" in told
    assert shown is None
    assert online_finding(tmp_path, configuration) == (True, "online feature store sqlite: nothing made yet", "")


def test_redis_is_named_without_its_password_answering_or_not(tmp_path, filled, program, monkeypatch):
    configuration = configured("redis")
    with RedisServer(tmp_path, program("redis-server", "redis-server"), PASSWORD) as server:
        monkeypatch.setenv("FX_REDIS_URL", server.url)
        symbol, place = filled(configuration), f"127.0.0.1:{server.port}/0"
        told, table = online_table(tmp_path, configuration)
        shown = told + text_of(table)
        good = online_finding(tmp_path, configuration)
        server.kill()
        away, bad = online_table(tmp_path, configuration)[0], online_finding(tmp_path, configuration)
    assert f"redis, {place}" in shown
    assert symbol in shown
    assert good == (True, f"online feature store redis at {place} answers", "")
    assert f"online features (redis): online store redis {place}: " in away
    assert (bad[0], bad[1]) == (False, "online feature store redis does not answer")
    assert "Start Redis or mend FX_REDIS_URL" in bad[2]
    assert PASSWORD not in shown + away + "".join(map(str, (*good, *bad)))


def test_a_missing_variable_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("FX_REDIS_URL", raising=False)
    assert "FX_REDIS_URL: not set" in online_table(tmp_path, configured("redis"))[0]
    assert "FX_REDIS_URL: not set" in online_finding(tmp_path, configured("redis"))[2]
