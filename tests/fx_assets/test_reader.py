"""What of earlier sessions a table's reader gives, by instrument."""

import pandas as pd

from fx_assets.inputs import Input
from fx_assets.lake import Lake
from fx_assets.sessions import session_keys
from fx_assets.tables.histories import by_session
from fx_assets.tables.reader import TableReader
from tests.fx_assets.production import CALENDAR, CLOSES, SOURCE, WINDOW, fill, means


def test_each_instrument_is_read_and_computed_with_its_own_history(tmp_path):
    lake = Lake(tmp_path)
    fill(lake)
    before, keys = {"A": 2, "B": 6}, CALENDAR[10:12]
    reader = TableReader(lake, CLOSES, Input(SOURCE, 6), CALENDAR, lake.stamps(SOURCE, CALENDAR))
    mixed = reader.read(keys, before=before)
    own = {symbol: rows for symbol, rows in mixed.groupby("instrument")}
    for symbol, sessions in before.items():
        read = sorted(set(session_keys(own[symbol]["time"])))
        assert read == CALENDAR[10 - sessions : 12]
    found = by_session(keys, mixed, means, before, {"mean": WINDOW}, CALENDAR)
    for symbol, sessions in before.items():
        alone = by_session(keys, own[symbol], means, sessions, {"mean": WINDOW}, CALENDAR)
        rows = found[found["instrument"] == symbol].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows, alone, check_exact=True)


def test_own_sessions_and_their_neighbours_are_what_is_read_together(tmp_path):
    lake = Lake(tmp_path)
    fill(lake)
    keys = [CALENDAR[8], CALENDAR[10]]  # the one between them is a neighbour
    reader = TableReader(lake, CLOSES, Input(SOURCE, 2), CALENDAR, lake.stamps(SOURCE, CALENDAR))
    columns = ["instrument", "time"]
    apart = pd.concat([reader.neighbours(keys, columns), reader.own(keys, columns)])
    assert sorted(set(session_keys(reader.neighbours(keys)["time"]))) == [CALENDAR[n] for n in (6, 7, 9)]
    whole = reader.read(keys, columns)
    order = {"by": ["time", "instrument"], "ignore_index": True}
    pd.testing.assert_frame_equal(apart.sort_values(**order), whole.sort_values(**order))
    alone = TableReader(lake, CLOSES, Input(SOURCE), CALENDAR, lake.stamps(SOURCE, CALENDAR))
    assert alone.neighbours(keys, columns).empty
