"""What paper trading did in one session: its decisions against what happened, and what its orders brought."""

from datetime import timedelta

import pandas as pd
import pytest

from fx_assets.sessions import running_session, session_bounds
from fx_monitoring.quality.signals import acted
from fx_monitoring.trading import figures
from fx_monitoring.trading.ledger import reading
from fx_monitoring.trading.session import decided
from tests.fx_monitoring.trading.world import HOUR, MODEL, MONDAY, SYMBOLS, World

SESSION = running_session(MONDAY)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    """Runs on every bar of a session and a half; one book goes long, the other alternates and is flat by turns."""
    made = World(tmp_path_factory.mktemp("home"))
    candles = made.candles(40)
    hour = candles["available_at"].dt.hour
    mixed = pd.Series(0.5, candles.index).mask(hour % 3 == 0, 0.9).mask(hour % 3 == 1, 0.1)
    made.predict(candles, mixed.where(candles["instrument"] == SYMBOLS[1], 0.9).to_numpy())
    for number in range(1, 37):
        made.run(MONDAY + number * HOUR + timedelta(minutes=2))
    return made


def at(hours: float):
    return MONDAY + hours * HOUR


def rows(world: World, hours: float) -> dict[str, dict]:
    found = decided(world.path, MODEL, SESSION, at(hours))
    truth = found["decision_time"] + pd.Timedelta(hours=1)
    known = found.assign(label_end=truth, outcome=(found["instrument"] == SYMBOLS[0]).astype(float))
    return {row["instrument"]: row for row in acted(MODEL, "paper", known, at(hours))}


def test_a_sessions_rows_are_what_the_ledger_holds_of_it(world):
    found = rows(world, 36.5)
    start, end = session_bounds(SESSION)
    with reading(world.path) as connection:
        assert connection is not None
        book = figures.load(connection, at(36.5))
        count = connection.execute(
            "SELECT count(*) FROM decisions WHERE bar > ? AND bar <= ?",
            [int(moment.timestamp() * 1e6) for moment in (start, end)],
        ).fetchone()[0]
    assert found["all"]["answers"] == count == 48
    held = book.run.held if book.run else pd.DataFrame()
    # An order is filled a bar after the decision, at the earliest an hour after the session's start.
    mine = held[(held["entry_time"] > pd.Timestamp(start + HOUR).tz_localize(None))]
    mine = mine[mine["entry_time"] <= pd.Timestamp(end + HOUR).tz_localize(None)]
    net = float((mine["gross"] - mine["entry_cost"] - mine["exit_cost"] - mine["swap"]).sum())
    assert found["all"]["net"] == pytest.approx(net / len(SYMBOLS))
    assert found["all"]["trades"] == len(mine) > 20
    assert found["all"]["net"] == pytest.approx(sum(found[symbol]["net"] for symbol in SYMBOLS) / 2)
    assert found[SYMBOLS[0]]["hit_rate"] == 1.0
    assert 0 < found[SYMBOLS[1]]["signals"] < 24


def test_nothing_that_came_later_is_told(world):
    early = rows(world, 5.5)
    assert early["all"]["answers"] == 10
    assert early[SYMBOLS[0]]["signals"] == 5
    assert early[SYMBOLS[0]]["trades"] == 3, "the last two are not filled, or not closed yet"
    assert early[SYMBOLS[0]]["open"] == 2


def test_a_home_without_trading_has_no_rows(tmp_path):
    assert decided(tmp_path / "trading.db", MODEL, SESSION, at(1)).empty
