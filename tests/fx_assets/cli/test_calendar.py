"""fx calendar: what it says about now, a week, a year, and what it refuses."""

import pytest

from tests.fx_assets.small import INSTRUMENTS, changed, write_config


@pytest.fixture
def calendar(home, call, monkeypatch):
    """fx calendar on a configuration of a currency pair and an index."""
    index = {"typical_spread": 0.5, "calendar": "XNYS", "sources": ["import"]}
    write_config(home / "config", changed(INSTRUMENTS, instruments__SPX500=index))
    monkeypatch.setenv("FX_CLOCK", "2021-03-10T12:00:00Z")

    def run(*arguments: str, code: int = 0) -> str:
        found, said = call("calendar", *arguments)
        assert found == code, said
        return said

    return run


def test_now_is_the_platforms_clock_and_the_week_follows(calendar):
    said = calendar()
    assert "GBP_USD (fx) at 2021-03-10 12:00 UTC (Wed 07:00 New York): open, closes at 2021-03-12 22:00 UTC" in said
    rows = [line.split("│")[1].strip() for line in said.splitlines() if line.startswith("│")]
    assert rows == ["2021-03-09", "2021-03-10", "2021-03-11", "2021-03-14", "2021-03-15", "2021-03-16"]
    assert "running" in said
    # The clocks of New York change in between.
    assert "Thu 2021-03-11 22:00" in said
    assert "Sun 2021-03-14 21:00" in said


def test_a_holiday_is_noted_in_its_session_and_a_year_lists_them(calendar):
    week = calendar("--from", "2024-12-22", "--to", "2024-12-26", "--at", "2024-12-25T12:00Z")
    assert "closed, opens at 2024-12-25 22:00 UTC (Wed 17:00 New York)" in week
    (holiday,) = [line for line in week.splitlines() if line.startswith("│ 2024-12-24")]
    assert [part.strip() for part in holiday.split("│")[4:7]] == ["closed", "0", "Christmas: holiday"]
    year = calendar("--year", "2024")
    assert year.count("early close") == 2
    assert "2024-12-24 19:00" in year
    assert "session" not in year


def test_an_index_has_its_exchanges_hours(calendar):
    said = calendar("--instrument", "SPX500", "--at", "2026-11-26T15:00Z", "--from", "2026-11-25", "--to", "2026-11-26")
    assert "SPX500 (XNYS) at 2026-11-26 15:00 UTC (Thu 10:00 New York): closed, opens at 2026-11-27 14:30 UTC" in said
    assert "Thanksgiving: holiday" in said
    assert "Fri 09:30 to Fri 13:00" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--instrument", "EUR_USD"], "'EUR_USD' is not in instruments.yaml, which has GBP_USD, USD_JPY, SPX500"),
        (["--at", "noon"], "--at: 'noon' is not an ISO 8601 time stamp"),
        (["--from", "March"], "--from: 'March' is not a date. Write it as YYYY-MM-DD."),
        (["--from", "2021-03-10", "--to", "2021-03-01"], "--from 2021-03-10 lies after --to 2021-03-01. Swap them."),
    ],
)
def test_mistakes_are_told_with_their_remedy(calendar, arguments, words):
    assert words in calendar(*arguments, code=1).replace("\n", " ")
