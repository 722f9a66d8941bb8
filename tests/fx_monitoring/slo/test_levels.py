"""Service levels: which runs are good, how budgets and burns follow, and how a real instance is read."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.automation.table import ROW, SESSION
from fx_assets.configuration import Configuration, load_configuration
from fx_assets.configuration.automation import Slo, load_automation
from fx_monitoring.assets.levels import level_table, missed_table
from fx_monitoring.slo import collect
from fx_monitoring.slo.budget import Counts, add, between, forget, level
from fx_monitoring.slo.collect import count, late_sessions, levels, look
from fx_monitoring.slo.runs import FAILED, SUCCEEDED, Missed, RunRow, belongs_to, deadline, fault, not_done
from fx_monitoring.slo.sensor import in_words
from fx_monitoring.slo.store import State, read_levels, read_state
from fx_serving.client.home import Stores

NOW = datetime(2026, 11, 19, 15, tzinfo=UTC)  # a Thursday, 10:00 in New York
TABLE = load_automation()


def run(job: str, minutes: float = 1, status: str = SUCCEEDED, **more) -> RunRow:
    ended = more.pop("ended", NOW)
    return RunRow("r1", job, status, ended - timedelta(minutes=minutes), ended, **more)


@pytest.mark.parametrize(
    ("job", "row", "expected"),
    [
        ("live", None, [("data", "live")]),
        ("train_move_60m", None, [("training", "weekly_train")]),
        ("train_move_60m", "daily_train", [("training", "daily_train")]),
        ("monitor", "monitor", [("monitoring", "monitor")]),
        ("monitor", "monitor_close", []),  # no service level names that row
        ("paper_trade", None, [("monitoring", "paper_trade")]),
        ("champions", "daily_champions", []),
    ],
)
def test_a_run_belongs_to_the_row_that_asked_for_it(job, row, expected):
    assert belongs_to(run(job, row=row), TABLE) == expected


@pytest.mark.parametrize(
    ("job", "minutes", "status", "told"),
    [
        ("live", 119, SUCCEEDED, None),
        ("live", 121, SUCCEEDED, "took 121 min of 120"),
        ("weekly_train", 359, SUCCEEDED, None),
        ("weekly_train", 361, SUCCEEDED, "took 361 min of 360"),
        ("paper_trade", 6, SUCCEEDED, "took 6 min of 5"),
        ("monitor", 11, SUCCEEDED, "took 11 min of 10"),
        ("monitor", 1, FAILED, "failed"),
    ],
)
def test_a_run_is_good_within_its_rows_time(job, minutes, status, told):
    assert fault(run(job, minutes, status), TABLE.row(job)) == told


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        ("2026-03-05", datetime(2026, 3, 7, 11, tzinfo=UTC)),  # ends Friday 17:00; by Saturday 06:00, winter
        ("2026-03-09", datetime(2026, 3, 11, 10, tzinfo=UTC)),  # summer time
        ("2026-11-01", datetime(2026, 11, 3, 11, tzinfo=UTC)),
    ],
)
def test_the_night_is_over_at_six_in_new_york(session, expected):
    assert deadline(session, TABLE.row("nightly_close")).astimezone(UTC) == expected


def test_a_night_that_is_done_too_late_is_bad():
    row, session = TABLE.row("nightly_close"), "2026-11-17"
    good = run("nightly_close", session=session, ended=datetime(2026, 11, 19, 10, 59, tzinfo=UTC))
    late = run("nightly_close", session=session, ended=datetime(2026, 11, 19, 11, 1, tzinfo=UTC))
    assert fault(good, row) is None
    assert fault(late, row) == "session 2026-11-17 was done at Thu 06:01, and not by Thu 06:00 America/New_York"


def test_sessions_that_no_run_has_done_are_told_from_the_first_that_was():
    row, ended = TABLE.row("nightly_close"), ["2026-11-12", "2026-11-15", "2026-11-16", "2026-11-17"]
    assert not_done("nightly_close", row, [], ended, NOW) == []
    (missed,) = not_done("nightly_close", row, ["2026-11-15", "2026-11-17"], ended, NOW)
    assert missed.why == "session 2026-11-16 was not done by 06:00 America/New_York"
    before = datetime(2026, 11, 18, 10, 59, tzinfo=UTC)
    assert not_done("nightly_close", row, ["2026-11-15"], ended, before) == []


def counted(*hours: tuple[float, int, int]) -> Counts:
    """(hours ago, good, bad)"""
    counts: Counts = {}
    for ago, good, bad in hours:
        for number in range(good + bad):
            add(counts, NOW - timedelta(hours=ago), number < good)
    return counts


def test_budget_and_burn_by_hand():
    slo = Slo(target=0.99, window_days=30, rows=("live",))
    found = level("data", slo, counted((0, 97, 3), (100, 900, 0)), [], NOW)
    assert (found.runs, found.achieved) == (1000, 0.997)
    assert found.budget_left == pytest.approx(0.7)  # three of the ten that may be bad
    assert found.burn["1h"] == pytest.approx(3.0)
    assert found.burn["3d"] == pytest.approx(3.0)
    assert found.status == "burning"  # at that rate the month's budget is gone in ten days
    assert level("data", slo, counted((0, 84, 16), (100, 4000, 0)), [], NOW).burn["1h"] == pytest.approx(16.0)
    assert level("data", slo, counted((0, 99, 1)), [], NOW).status == "exhausted"
    assert level("data", slo, counted((100, 1000, 1)), [], NOW).status == "ok"
    one_of_few = level("data", slo, counted((0, 3, 1), (200, 1000, 0)), [], NOW)
    assert one_of_few.status == "ok"  # one bad run of four is a large share and says little
    nothing = level("data", slo, {}, [], NOW)
    assert (nothing.status, nothing.achieved, nothing.budget_left) == ("no runs", None, None)
    assert nothing.burn == {"1h": None, "6h": None, "3d": None}


HOURS = st.lists(
    st.tuples(st.integers(0, 800), st.integers(0, 30), st.integers(0, 5)), max_size=12, unique_by=lambda entry: entry[0]
)


@given(HOURS, st.floats(0.5, 0.999))
def test_counts_are_kept_and_shares_stay_within_bounds(hours, target):
    counts = counted(*hours)
    good, bad = between(counts, NOW - timedelta(days=60))
    assert (good, bad) == (sum(g for _, g, _ in hours), sum(b for _, _, b in hours))
    found = level("x", Slo(target=target, window_days=30, rows=("live",)), counts, [], NOW)
    if found.achieved is not None and found.budget_left is not None:
        assert 0 <= found.achieved <= 1
        assert found.budget_left <= 1
        assert (found.budget_left > 0) == (found.status != "exhausted")
        assert found.achieved == pytest.approx(1 - (1 - found.budget_left) * (1 - target), abs=1e-8)
    forget(counts, NOW - timedelta(days=30))
    assert level("x", Slo(target=target, window_days=30, rows=("live",)), counts, [], NOW) == found


def test_only_the_newest_misses_are_told():
    missed = [Missed(str(n), "live", "live", "failed", NOW - timedelta(minutes=n)) for n in range(80)]
    found = level("data", TABLE.slo["data"], {}, missed, NOW)
    assert [entry.run_id for entry in found.missed[:2]] == ["0", "1"]
    assert len(found.missed) == 50


@pytest.fixture(scope="module")
def configuration() -> Configuration:
    return load_configuration()


def test_a_session_that_is_late_counts_once(configuration, monkeypatch):
    monkeypatch.delenv("FX_CLOCK", raising=False)
    now = datetime.now(UTC)
    state, row = State(), TABLE.row("nightly_close")
    running = configuration.model_copy(
        update={
            "instruments": configuration.instruments.model_copy(
                update={"sessions": configuration.instruments.sessions.model_copy(update={"end": None})}
            )
        }
    )
    from fx_assets.runs.sessions import begun_sessions

    ended = [key for key in begun_sessions(running, now) if deadline(key, row) < now][-3:]
    done_in_time = deadline(ended[0], row) - timedelta(hours=10)
    count(state, run("nightly_close", row="nightly_close", session=ended[0], ended=done_in_time), running)
    for _ in range(2):
        late_sessions(state, running, now)
    found = next(entry for entry in levels(state, running, now) if entry.name == "data")
    assert (found.runs, len(found.missed)) == (3, 2)
    late = run(
        "nightly_close", row="nightly_close", session=ended[1], ended=deadline(ended[1], row) + timedelta(hours=2)
    )
    count(state, late, running)
    assert next(entry for entry in levels(state, running, now) if entry.name == "data").runs == 3
    monkeypatch.setenv("FX_CLOCK", "2021-03-05T22:00:00Z")
    replayed = State(done={"nightly_close": [ended[0]]})
    late_sessions(replayed, running, now)
    assert not replayed.missed


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def a_run(instance: dg.DagsterInstance, job: str, good: bool, **tags: str) -> dg.DagsterRun:
    definition = dg.GraphDefinition(name=job, node_defs=[]).to_job()
    made = instance.create_run_for_job(definition, tags=tags, status=dg.DagsterRunStatus.STARTED)
    if good:
        instance.report_dagster_event(
            dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, job, message="done"), made.run_id
        )
    else:
        instance.report_run_failed(made)
    return made


def test_each_look_reads_what_is_new_and_nothing_twice(instance, configuration, tmp_path, monkeypatch):
    stores = Stores(tmp_path)
    monkeypatch.setattr(collect, "AT_ONCE", 2)
    monkeypatch.setattr(collect, "BUDGET_S", 60.0)  # this test is not about speed
    for _ in range(3):
        a_run(instance, "live", True)
    bad = a_run(instance, "live", False)
    a_run(instance, "monitor", True, **{ROW: "monitor", SESSION: "2026-11-17"})
    a_run(instance, "monitor", False, **{ROW: "monitor", "dagster/will_retry": "true"})
    a_run(instance, "of_nobody", False)

    def rows():
        return {entry.name: entry for entry in look(instance, stores, configuration, datetime.now(UTC)).rows}

    found = rows()
    assert (found["data"].runs, found["data"].achieved) == (4, 0.75)
    assert [(entry.run_id, entry.why) for entry in found["data"].missed] == [(bad.run_id, "failed")]
    assert found["monitoring"].runs == 1
    assert found["training"].status == "no runs"
    assert rows()["data"].runs == 4
    a_run(instance, "live", True)
    found = rows()
    assert found["data"].runs == 5
    document = read_levels(stores)
    assert document is not None
    assert {entry.name: entry.runs for entry in document.rows} == {"data": 5, "training": 0, "monitoring": 1}
    # What was counted outlives the run records, which live runs lose after hours.
    instance.delete_run(bad.run_id)
    assert rows()["data"].runs == 5
    told = in_words(found["data"])
    assert told == "data: 80.00% of 5 runs good (target 99%), -1900% of the error budget left"
    assert in_words(found["training"]) == "training: no runs yet"
    assert "| data | 99% | 80.00% | 5 | 30 | -1900% | 20.0 | exhausted |" in level_table(list(found.values()))
    assert "| live | live |" in missed_table(list(found.values()))


def test_a_state_that_cannot_be_read_is_begun_again(tmp_path):
    stores = Stores(tmp_path)
    assert read_state(stores) == State()
    (tmp_path / "monitoring").mkdir()
    (tmp_path / "monitoring" / "slo-state.json").write_bytes(b"{")
    (tmp_path / "monitoring" / "slo.json").write_bytes(b"{")
    assert read_state(stores) == State()
    assert read_levels(stores) is None


def test_a_record_of_the_future_blinds_nobody(configuration, tmp_path):
    """The clock was two days fast for a moment: what ends after it was set right counts as before."""
    stores, now = Stores(tmp_path), datetime.now(UTC)
    with dg.DagsterInstance.ephemeral() as instance:

        def count_runs() -> int:
            return {entry.name: entry.runs for entry in look(instance, stores, configuration, now).rows}["data"]

        early = a_run(instance, "live", True)
        ahead = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, "live", message="done")
        instance.run_storage.handle_run_event(early.run_id, ahead, now + timedelta(days=2))
        assert count_runs() == 1
        a_run(instance, "live", True)
        assert count_runs() == 2
        assert count_runs() == 2
