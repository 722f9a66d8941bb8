"""Session by session, week by week and in one go: the same values to the last bit."""

import pandas as pd
import pytest

from fx_assets.features import FEATURES, max_window
from fx_assets.features.truncation import differences
from fx_assets.inputs import lookback_sessions
from fx_assets.sessions import session_keys
from fx_assets.tables import by_session

WINDOWS = {spec.name: spec.window for spec in FEATURES}
HISTORY = lookback_sessions(max_window(), 60)
FIRST, SESSIONS = 40, 15


@pytest.fixture(scope="module")
def sessions(all_bars) -> pd.Index:
    """The session of each bar."""
    return session_keys(all_bars["time"])


@pytest.fixture(scope="module")
def calendar(sessions) -> list[str]:
    return sorted(sessions.unique())


def pieces(keys: list[str], size: int) -> list[list[str]]:
    return [keys[at : at + size] for at in range(0, len(keys), size)]


def in_order(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(["instrument", "time"]).reset_index(drop=True)


@pytest.mark.parametrize("size", [1, 5], ids=["day by day", "week by week"])
def test_partitions_of_a_table_do_not_depend_on_how_they_are_asked_for(all_bars, everything, sessions, calendar, size):
    def made(keys: list[str]) -> pd.DataFrame:
        first = max(0, calendar.index(keys[0]) - HISTORY)
        # As a table asset reads them: the run's sessions and those before it, nothing later.
        bars = all_bars[(sessions >= calendar[first]) & (sessions <= keys[-1])]
        return by_session(keys, bars, everything, HISTORY, WINDOWS, calendar)

    keys = calendar[FIRST : FIRST + SESSIONS]
    whole = made(keys)
    parts = pd.concat([made(piece) for piece in pieces(keys, size)], ignore_index=True)
    assert in_order(parts).equals(in_order(whole))
    assert len(whole) == int(sessions.isin(keys).sum())
    assert whole.iloc[-1].notna().all()


def test_the_first_partitions_have_values_as_soon_as_the_warm_up_allows(all_bars, everything, sessions, calendar):
    keys = calendar[:FIRST]
    bars = all_bars[sessions <= keys[-1]]
    whole = everything(bars)
    for piece in pieces(keys, 7):
        part = by_session(piece, all_bars[sessions <= piece[-1]], everything, HISTORY, WINDOWS, calendar)
        assert next(differences(whole, part), None) is None


@pytest.mark.parametrize("size", [1, 5], ids=["day by day", "week by week"])
def test_features_of_pieces_with_their_history_are_those_of_all_bars(all_bars, everything, sessions, calendar, size):
    whole = everything(all_bars)
    for piece in pieces(calendar[FIRST : FIRST + SESSIONS], size):
        inside = sessions.isin(piece)
        start = all_bars.loc[inside, "time"].min()
        history = all_bars[all_bars["time"] < start].groupby("instrument").tail(max_window())
        part = everything(pd.concat([history, all_bars[inside]]))
        part = part[part["time"] >= start]
        assert len(part) == int(inside.sum())
        assert next(differences(whole, part), None) is None
