"""fx status: tables, their freshness by instrument, and the market, as lines that a person reads."""

import json

import pandas as pd
import pytest

from fx_assets.lake import Lake
from fx_assets.schemas import UTC_TIME
from tests.fx_assets.small import write_config


@pytest.fixture
def status(home, call, monkeypatch):
    write_config(home / "config")
    (home / "config" / "data.yaml").write_text("freshness: {gold/features: {max_lag_minutes: 30}}\n")
    monkeypatch.setenv("FX_CLOCK", "2021-03-10T12:30:00Z")

    def run() -> list[str]:
        code, said = call("status")
        assert code == 0, said
        return said.splitlines()

    return run


def put(home, table: str, **newest: str) -> None:
    times = pd.to_datetime(list(newest.values()), utc=True).astype(UTC_TIME)
    frame = pd.DataFrame({"instrument": list(newest), "time": times, "available_at": times + pd.Timedelta(hours=1)})
    Lake(home / "lake").write(table, {"2021-03-09": frame})


def cells(lines: list[str], *starts: str) -> list[str]:
    """The cells of the row that begins with `starts`."""
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]
    (found,) = [row for row in rows if row[: len(starts)] == list(starts)]
    return found


def test_each_instrument_has_lag_limit_and_verdict(home, status):
    put(home, "silver/candles", GBP_USD="2021-03-10T11:00", USD_JPY="2021-03-10T09:00")
    put(home, "gold/features", GBP_USD="2021-03-10T11:00", USD_JPY="2021-03-10T10:00")
    lines = status()
    assert cells(lines, "silver/candles", "GBP_USD")[2:] == ["2021-03-10 11:00", "0", "75", "fresh"]
    assert cells(lines, "silver/candles", "USD_JPY")[2:] == ["2021-03-10 09:00", "120", "75", "late"]
    assert cells(lines, "gold/features", "USD_JPY")[2:] == ["2021-03-10 10:00", "60", "30", "late"]
    assert cells(lines, "silver/news_sentiment", "news")[2:] == ["-", "-", "75", "empty"]
    assert cells(lines, "silver/candles", "1")[2:] == ["2021-03-09", "2021-03-09", "2021-03-10 12:00", "0.5 h"]


def test_a_quarantined_candle_is_no_obstacle(home, status):
    put(home, "silver/quarantine", GBP_USD="2021-03-10T11:00")
    lake = Lake(home / "lake")
    frame = lake.read("silver/quarantine", ["2021-03-09"])["2021-03-09"].drop(columns="available_at")
    lake.write("silver/quarantine", {"2021-03-09": frame})
    found = cells(status(), "silver/quarantine", "1")
    assert found[2:] == ["2021-03-09", "2021-03-09", "2021-03-10 11:00", "1.5 h"]


def test_the_market_is_open_until_or_closed_until(home, status, monkeypatch):
    assert status()[0] == (
        "market fx (GBP_USD, USD_JPY) at 2021-03-10 12:30 UTC (Wed 07:30 New York): "
        "open until 2021-03-12 22:00 UTC (Fri 17:00 New York)"
    )
    monkeypatch.setenv("FX_CLOCK", "2021-03-13T12:30:00Z")
    assert status()[0].endswith(": closed, opens 2021-03-14 21:00 UTC (Sun 17:00 New York)")


def test_the_colour_of_health_with_what_is_not_green(home, status):
    assert "health: no verdict yet (`fx health`)" in status()
    tiers = [{"name": name, "status": colour} for name, colour in (("drift", "RED"), ("slo", "GREEN"))]
    verdict = {"status": "RED", "session": "2021-03-09", "at": "2021-03-10T12:15:00Z", "tiers": tiers}
    (home / "monitoring").mkdir(parents=True)
    (home / "monitoring" / "health.json").write_text(json.dumps(verdict))
    assert "health of session 2021-03-09: RED: drift (`fx health` says why)" in status()


def test_an_empty_home_is_told_what_to_do(home, status):
    assert any("Nothing has been made yet" in line for line in status())
