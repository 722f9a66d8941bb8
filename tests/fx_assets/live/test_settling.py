"""Live runs over several days where one session can never be settled, and before the first session there is."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from fx_assets.live.decide import POLL, SETTLE, Decision, State, decide
from fx_assets.sessions import is_session
from tests.fx_assets.small import INSTRUMENTS, changed, configuration_of, write_config

EARLY = State(polled=datetime(2021, 3, 10, 21, 50, tzinfo=UTC), settled="2021-03-08", labelled="2021-03-08")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """configured(start): two instruments on the FX calendar, sessions from there on."""

    def of(start: str):
        instruments = changed(INSTRUMENTS, sessions={"start": start})
        return configuration_of(write_config(tmp_path, instruments), monkeypatch)

    return of


def walk(configuration, start: str, hours: float, state: State, fails) -> list[tuple[datetime, Decision, bool]]:
    """Runs of a tick every five minutes, as the sensor keeps the state: (time, decision, whether it failed)."""
    runs, failed = [], False
    for tick in range(int(hours * 12)):
        now = at(start) + timedelta(minutes=5 * tick)
        decision = decide(configuration, now, state, {}, failed=failed)
        if decision.reason:
            state, failed = decision.state, fails(now, decision)
            runs.append((now, decision, failed))
    return runs


def test_a_session_that_is_blocked_stops_the_running_one_only_for_a_few_runs(configured):
    blocked = "2021-03-09"
    runs = walk(configured("2021-03-01"), "2021-03-10 21:52", 6 * 24, EARLY, lambda _, d: d.first <= blocked <= d.last)
    after = [run for run in runs if run[1].last > blocked]
    failures = [(now, decision.reason) for now, decision, failed in after if failed and decision.first <= blocked]
    # Twice when it ended and twice when its labels were known, beside a poll that came before it could be settled.
    settles = [now for now, reason in failures if reason == SETTLE]
    assert len(settles) == 4
    assert len(failures) <= 6
    good = [now for now, _, failed in after if not failed]
    gaps = [later - now for now, later in itertools.pairwise(good) if later.weekday() < 4]
    assert max(gaps) < timedelta(minutes=20)
    # The sessions behind it are settled and labelled as ever.
    assert after[-1][1].state.settled == "2021-03-15"
    assert after[-1][1].state.labelled == "2021-03-14"


def test_when_nothing_can_be_fetched_for_hours_the_session_is_still_settled_afterwards(configured):
    down = at("2021-03-10 21:59"), at("2021-03-11 06:00")
    runs = walk(configured("2021-03-01"), "2021-03-10 21:52", 10, EARLY, lambda now, _: down[0] <= now < down[1])
    settled = [decision for _, decision, failed in runs if not failed and decision.reason == SETTLE]
    assert [(d.first, d.last) for d in settled] == [("2021-03-09", "2021-03-10")]
    assert (settled[0].state.settled, settled[0].state.labelled) == ("2021-03-09", "2021-03-09")


# Friday and Saturday start no session: the first is Sunday's.
@pytest.mark.parametrize(("start", "first"), [("2021-03-10", "2021-03-10"), ("2021-03-12", "2021-03-14")])
def test_nothing_is_requested_from_before_the_first_session(configured, start, first):
    runs = walk(configured(start), "2021-03-08 12:02", 8.5 * 24, State(), lambda *_: False)
    assert min(decision.first for _, decision, _ in runs) == first
    assert all(is_session(key) for _, decision, _ in runs for key in (decision.first, decision.last))
    assert {reason for _, d, _ in runs if (reason := d.reason)} == {POLL, SETTLE}
    assert runs[-1][1].state.settled == "2021-03-15"


def test_before_the_first_session_it_says_so(configured):
    found = decide(configured("2021-03-15"), at("2021-03-10 12:00"), State(), {})
    assert found.skip == "the first session (instruments.yaml: sessions.start) is 2021-03-15"
