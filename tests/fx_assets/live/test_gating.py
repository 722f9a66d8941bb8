"""Whether a schedule may tick: one market open, all closed, several calendars in one platform."""

from datetime import UTC, datetime, timedelta

import pytest

from fx_assets.live.gating import closed_reason, last_close, next_open, open_instruments
from tests.fx_assets.small import INSTRUMENTS, changed, configuration_of, write_config


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def configured(tmp_path, monkeypatch):
    def make(**calendars: str):
        entries = {symbol: {"typical_spread": 0.01, "calendar": name} for symbol, name in calendars.items()}
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        return configuration_of(write_config(folder, changed(INSTRUMENTS, instruments=entries)), monkeypatch)

    return make


def test_one_open_market_is_enough(configured):
    both = configured(GBP_USD="fx", SPX500="XNYS")
    assert open_instruments(both, at("2026-03-10 12:00")) == ["GBP_USD"]
    assert open_instruments(both, at("2026-03-10 15:00")) == ["GBP_USD", "SPX500"]
    assert closed_reason(both, at("2026-03-10 12:00")) is None
    assert next_open(both, at("2026-03-10 12:00")) == at("2026-03-10 12:00")


def test_all_closed_names_the_first_to_open(configured):
    only = configured(SPX500="XNYS")
    assert closed_reason(only, at("2026-11-26 15:00")) == (  # Thanksgiving
        "every market is closed at 2026-11-26 15:00 UTC (Thu 10:00 New York); "
        "the next opens at 2026-11-27 14:30 UTC (Fri 09:30 New York)"
    )
    both = configured(GBP_USD="fx", SPX500="XNYS")
    assert next_open(both, at("2026-03-07 12:00")) == at("2026-03-08 21:00")


def test_a_market_that_never_closes_is_never_a_reason(configured):
    assert closed_reason(configured(BTC_USD="always", GBP_USD="fx"), at("2026-12-25 12:00")) is None


def test_the_last_close_is_the_latest_of_all_and_only_if_recent(configured):
    both = configured(GBP_USD="fx", SPX500="XNYS")
    hour = timedelta(hours=1)
    assert last_close(both, at("2026-03-06 22:30"), hour) == at("2026-03-06 22:00")
    assert last_close(both, at("2026-03-06 23:30"), hour) is None
    assert last_close(both, at("2026-03-06 23:30"), 3 * hour) == at("2026-03-06 22:00")
    assert last_close(configured(SPX500="XNYS"), at("2026-03-06 21:20"), hour) == at("2026-03-06 21:00")
