"""What is due, and the runs that make it: pure, on small calendars, and as properties over random ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.inputs import Input
from fx_assets.runs.backfill.cut import Range, needs, ranges, spread_out, stages
from fx_assets.runs.backfill.work import (
    BLOCKED,
    CURRENT,
    FETCH,
    MISSING,
    OUTDATED,
    in_order,
    onlookers,
    with_ancestors,
    work,
)

CANDLES, SILVER, TECHNICAL, FEATURES, LABELS = (
    "bronze/candles",
    "silver/candles",
    "silver/technical",
    "gold/features",
    "gold/labels",
)
INPUTS = {
    LABELS: {"candles": Input(SILVER, 2, 1)},
    FEATURES: {"technical": Input(TECHNICAL, 1), "candles": Input(SILVER)},
    TECHNICAL: {"candles": Input(SILVER, 3)},
    SILVER: {"fetched": Input(CANDLES)},
}
ORDER = in_order(INPUTS)
DAYS = [f"2021-03-{day:02d}" for day in range(1, 13)]


def states(**changed: dict[str, str]) -> dict[str, dict[str, str]]:
    """Everything up to date but for `changed`: by the last part of a table's name (bronze: fetched)."""
    names = {"fetched": CANDLES, "silver": SILVER, "technical": TECHNICAL, "features": FEATURES, "labels": LABELS}
    base = {table: dict.fromkeys(DAYS, CURRENT) for table in ORDER}
    for name, those in changed.items():
        base[names[name]] |= those
    return base


def due(todo) -> dict[str, list[str]]:
    return {table: [key[-2:] for key in todo.keys(row)] for table, row in todo.due.items() if row.any()}


def plain(parts: list[Range]) -> list[tuple]:
    return [(part.first[-2:], part.last[-2:], part.sessions, *part.tables) for part in parts]


def test_tables_come_after_what_they_are_made_of():
    assert ORDER[0] == CANDLES
    assert set(ORDER) == {CANDLES, *INPUTS}
    for table, sources in INPUTS.items():
        assert all(ORDER.index(source.table) < ORDER.index(table) for source in sources.values())
    assert with_ancestors([TECHNICAL], INPUTS) == {TECHNICAL, SILVER, CANDLES}


def test_nothing_is_due_when_everything_is_current():
    todo = work(DAYS, ORDER, INPUTS, states())
    assert due(todo) == {}
    assert ranges(todo, INPUTS) == []


def test_an_empty_lake_is_one_run_over_the_whole_range():
    empty = {t: dict.fromkeys(DAYS, FETCH if t == CANDLES else MISSING) for t in ORDER}
    todo = work(DAYS, ORDER, INPUTS, empty)
    assert ranges(todo, INPUTS) == [Range(tuple(ORDER), DAYS[0], DAYS[-1], len(DAYS))]
    assert todo.count(todo.missing) == todo.count(todo.due) == len(ORDER) * len(DAYS)


def test_a_corrected_session_reaches_exactly_what_looks_back_or_ahead_at_it():
    todo = work(DAYS, ORDER, INPUTS, states(fetched={DAYS[4]: FETCH}))
    assert due(todo) == {
        CANDLES: ["05"],
        SILVER: ["05"],
        TECHNICAL: ["05", "06", "07", "08"],
        FEATURES: ["05", "06", "07", "08", "09"],
        LABELS: ["04", "05", "06", "07"],
    }
    parts = ranges(todo, INPUTS)
    # The label before the corrected session looks ahead at it: made after it.
    assert ("04", "04", 1, LABELS) in plain(parts)
    assert plain(parts)[0] == ("05", "05", 1, *ORDER)
    assert_made_once_and_in_order(todo, parts)


def test_a_changed_table_reaches_only_what_follows_from_it():
    todo = work(DAYS, ORDER, INPUTS, states(technical={DAYS[6]: OUTDATED}))
    assert due(todo) == {TECHNICAL: ["07"], FEATURES: ["07", "08"]}
    assert todo.count(todo.missing) == 0


def test_nothing_is_built_on_a_session_with_problems():
    changed = states(
        silver={DAYS[3]: BLOCKED},
        technical={DAYS[3]: MISSING},
        features={DAYS[3]: MISSING},
        labels={DAYS[3]: OUTDATED},
    )
    todo = work(DAYS, ORDER, INPUTS, changed)
    assert due(todo) == {}
    assert todo.keys(todo.refused[SILVER]) == [DAYS[3]]
    assert {t: todo.keys(row) for t, row in todo.blocked.items() if row.any()} == {
        TECHNICAL: [DAYS[3]],
        FEATURES: [DAYS[3]],
        LABELS: [DAYS[3]],
    }


def test_a_session_with_problems_is_tried_again_when_its_fetches_have_changed():
    todo = work(DAYS, ORDER, INPUTS, states(silver={DAYS[3]: OUTDATED}, technical={DAYS[3]: MISSING}))
    assert due(todo)[SILVER] == ["04"]
    assert due(todo)[TECHNICAL] == ["04", "05", "06", "07"]
    assert todo.count(todo.refused) == todo.count(todo.blocked) == 0


def test_what_was_given_up_is_left_out_and_nothing_is_built_on_it():
    changed = states(fetched={DAYS[2]: FETCH, DAYS[9]: FETCH})
    todo = work(DAYS, ORDER, INPUTS, changed, given_up={CANDLES: {DAYS[2]}})
    assert due(todo)[CANDLES] == ["10"]
    assert due(todo)[SILVER] == ["10"]


def test_forced_tables_are_due_whatever_they_are():
    todo = work(DAYS, ORDER, INPUTS, states(), forced=[LABELS])
    assert due(todo) == {LABELS: [day[-2:] for day in DAYS]}


def test_tables_of_one_step_are_made_together():
    inputs = {**INPUTS, "silver/quarantine": {"fetched": Input(CANDLES)}}
    order = in_order(inputs)
    present = states() | {"silver/quarantine": {day: MISSING for day in DAYS[:1]}}
    todo = work(DAYS, order, inputs, present, together=[(SILVER, "silver/quarantine")])
    assert due(todo)[SILVER] == due(todo)["silver/quarantine"] == ["01"]


def test_a_long_range_is_cut_and_the_label_at_the_cut_is_made_again():
    empty = {t: dict.fromkeys(DAYS, MISSING) for t in ORDER}
    todo = work(DAYS, ORDER, INPUTS, empty)
    parts = ranges(todo, INPUTS, longest=lambda tables: 5)
    assert plain(parts) == [
        ("01", "04", 4, *ORDER),
        ("05", "08", 4, *ORDER),
        ("04", "04", 1, LABELS),
        ("09", "12", 4, *ORDER),
        ("08", "08", 1, LABELS),
    ]
    assert_in_order(todo, parts)


STATE = st.sampled_from([CURRENT, CURRENT, CURRENT, MISSING, OUTDATED, BLOCKED])


@st.composite
def lakes(draw):
    """Any inputs with lookback and look-ahead over any states of a short calendar."""
    tables = [CANDLES, "a", "b", "c", "d"]
    inputs = {}
    for number, table in enumerate(tables[1:], 1):
        sources = draw(st.lists(st.sampled_from(tables[:number]), min_size=1, max_size=3, unique=True))
        inputs[table] = {s: Input(s, draw(st.integers(0, 3)), draw(st.integers(0, 2))) for s in sources}
    days = DAYS[: draw(st.integers(1, len(DAYS)))]
    found = {t: {day: draw(STATE) for day in days} for t in tables[1:]}
    found[CANDLES] = {day: draw(st.sampled_from([CURRENT, FETCH])) for day in days}
    longest = draw(st.integers(0, 6))
    return days, inputs, found, longest


@given(lakes())
def test_runs_make_what_is_due_and_find_their_inputs_made(lake):
    days, inputs, found, longest = lake
    order = in_order(inputs)
    todo = work(days, order, inputs, found)
    parts = ranges(todo, inputs, lambda tables: longest)
    assert_in_order(todo, parts, inputs)
    if not longest and all(not source.ahead for sources in inputs.values() for source in sources.values()):
        assert_made_once_and_in_order(todo, parts, inputs)
    for table in order:
        assert not (todo.due[table] & todo.blocked[table]).any()
        # Whatever takes a partition that is made is made as well, or waits for one with problems.
        for source in inputs.get(table, {}).values():
            for n in np.flatnonzero(todo.due[source.table]):
                takers = range(max(0, n - source.ahead), min(len(days), n + source.before + 1))
                assert all(todo.due[table][m] or todo.blocked[table][m] for m in takers)


@given(lakes(), st.data())
def test_runs_at_once_find_their_inputs_made_and_nobody_changes_them_meanwhile(lake, data):
    days, inputs, found, longest = lake
    order = in_order(inputs)
    todo = work(days, order, inputs, found)
    parts = spread_out(todo, inputs, lambda tables: longest)
    waits = needs(parts, days, inputs)
    assert all(earlier < number for number, before in enumerate(waits) for earlier in before)
    # Whatever is picked among the runs that may begin, one after another, the order is one that `ranges` might give.
    done: list[int] = []
    while len(done) < len(parts):
        ready = [n for n in range(len(parts)) if n not in done and waits[n] <= set(done)]
        done.append(data.draw(st.sampled_from(ready)))
    assert_in_order(todo, [parts[number] for number in done], inputs)
    if not longest:
        assert_made_once_and_in_order(todo, [parts[number] for number in done], inputs)
    # And two that may be at work together have no partition in common that one of them writes.
    cells = [_cells(part, days, inputs) for part in parts]
    for number, (writes, reads) in enumerate(cells):
        for earlier in set(range(number)) - _ancestors(number, waits):
            others, their_reads = cells[earlier]
            assert not writes & others
            assert not writes & their_reads
            assert not reads & others


def _cells(part: Range, days, inputs) -> tuple[set, set]:
    """Partitions that a run writes, and those that it reads."""
    span = range(days.index(part.first), days.index(part.last) + 1)
    writes = {(table, n) for table in part.tables for n in span}
    reads = {
        (source.table, n + step)
        for table, n in writes
        for source in inputs.get(table, {}).values()
        for step in range(-source.before, source.ahead + 1)
    }
    return writes, reads - writes


def _ancestors(number: int, waits) -> set[int]:
    found: set[int] = set()
    waiting = list(waits[number])
    while waiting:
        if (earlier := waiting.pop()) not in found:
            found.add(earlier)
            waiting += waits[earlier]
    return found


def test_a_stage_is_what_needs_no_neighbours_of_itself():
    found = [set(tables) for tables in stages(ORDER, INPUTS)]
    assert found == [{CANDLES}, {SILVER}, {LABELS, TECHNICAL}, {FEATURES}]


def test_sessions_of_a_stage_are_made_at_once_but_one_run_fetches_at_a_time():
    empty = {t: dict.fromkeys(DAYS, FETCH if t == CANDLES else MISSING) for t in ORDER}
    parts = spread_out(work(DAYS, ORDER, INPUTS, empty), INPUTS, lambda tables: 6)
    waits = needs(parts, DAYS, INPUTS)
    assert [part.tables[0] for part in parts[:4]] == [CANDLES, CANDLES, SILVER, SILVER]
    assert waits[:4] == [set(), {0}, {0}, {1}]
    assert waits[4] == {2, 3}, "its last label looks ahead at the second half"
    assert waits[5] == {2, 3}, "its first sessions look back at the first half"


def assert_in_order(todo, parts: list[Range], inputs=INPUTS) -> None:
    """After the last run that makes a partition, none of its inputs is made any more; everything due is made."""
    last: dict[tuple[str, int], tuple[int, int]] = {}
    position = {key: n for n, key in enumerate(todo.sessions)}
    for number, part in enumerate(parts):
        assert part.sessions == position[part.last] - position[part.first] + 1
        for step, table in enumerate(part.tables):
            for n in range(position[part.first], position[part.last] + 1):
                last[table, n] = (number, step)
    assert set(last) == {(t, int(n)) for t, row in todo.due.items() for n in np.flatnonzero(row)}
    for (table, n), moment in last.items():
        for source in inputs.get(table, {}).values():
            for m in range(n - source.before, n + source.ahead + 1):
                assert last.get((source.table, m), (-1, -1)) < moment, f"{table} {n} before {source.table} {m}"


def assert_made_once_and_in_order(todo, parts: list[Range], inputs=INPUTS) -> None:
    assert sum(part.partitions for part in parts) == todo.count(todo.due)
    assert_in_order(todo, parts, inputs)


@pytest.mark.parametrize("longest", [0, 1, 3, 100])
def test_no_run_is_longer_than_it_may_be(longest):
    empty = {t: dict.fromkeys(DAYS, MISSING) for t in ORDER}
    parts = ranges(work(DAYS, ORDER, INPUTS, empty), INPUTS, lambda tables: longest)
    assert all(part.sessions <= (longest or 12) for part in parts)


def test_nothing_is_built_on_held_sessions_nor_on_what_looks_at_them():
    fresh = states(technical=dict.fromkeys(DAYS, MISSING), features=dict.fromkeys(DAYS, MISSING))
    todo = work(DAYS, ORDER, INPUTS, fresh, held=(SILVER, DAYS[4:6]))
    assert due(todo)[TECHNICAL] == ["01", "02", "03", "04", "10", "11", "12"]  # it looks three sessions back
    assert todo.held == DAYS[4:6]


def test_what_looks_at_a_held_session_before_the_range_is_not_tried():
    days, held = DAYS[6:], (SILVER, DAYS[4:6])
    outside = onlookers(held, set(days), DAYS, INPUTS)
    assert {key[-2:]: [day[-2:] for day in found[TECHNICAL]] for key, found in outside.items()} == {
        "05": ["07", "08"],
        "06": ["07", "08", "09"],
    }
    fresh = states(technical=dict.fromkeys(DAYS, MISSING), features=dict.fromkeys(DAYS, MISSING))
    todo = work(days, ORDER, INPUTS, fresh, held=held, looking_at=outside)
    assert due(todo)[TECHNICAL] == due(todo)[FEATURES] == ["10", "11", "12"]
    assert [key[-2:] for key in todo.keys(todo.blocked[TECHNICAL])] == ["07", "08", "09"]
    assert todo.held == DAYS[4:6]
    assert work(days, [SILVER], INPUTS, fresh, held=held, looking_at=outside).held == []


def test_a_label_before_the_range_is_made_again_and_nothing_else_there():
    before, asked = DAYS[0], DAYS[1:3]
    fresh = states(silver={DAYS[1]: MISSING}, technical={before: MISSING, DAYS[1]: MISSING})
    todo = work([before, *asked], ORDER, INPUTS, fresh, beyond={before: [LABELS]})
    assert due(todo)[LABELS][0] == before[-2:]
    assert before[-2:] not in due(todo)[TECHNICAL]
