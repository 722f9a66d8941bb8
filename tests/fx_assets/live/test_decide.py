"""What the live sensor decides, tick by tick: polls, streamed bars, rollover, weekend, holiday, restarts."""

from datetime import UTC, datetime, timedelta

import pytest

from fx_assets.live.decide import POLL, SETTLE, STREAM, State, decide
from tests.fx_assets.small import INSTRUMENTS, changed, configuration_of, write_config

RUNNING = {"start": "2021-03-01"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def settled(polled: str, **more) -> State:
    """A platform that has been running: what ended before 10 March 2021 is settled, its labels requested."""
    return State(polled=at(polled), settled="2021-03-08", labelled="2021-03-08", **more)


@pytest.fixture
def configuration(tmp_path, monkeypatch):
    return configuration_of(write_config(tmp_path, changed(INSTRUMENTS, sessions=RUNNING)), monkeypatch)


def walk(configuration, start: datetime, minutes: float, state: State, every: float = 10, streamed=None):
    """Decisions of a tick every so many seconds, each run being over at once: (time, reason, first, last)."""
    runs, ticks = [], int(minutes * 60 / every)
    for n in range(ticks + 1):
        now = start + timedelta(seconds=n * every)
        decision = decide(configuration, now, state, streamed(now) if streamed else {})
        state = decision.state
        if decision.reason:
            runs.append((f"{now:%a %H:%M:%S}", decision.reason, decision.first, decision.last))
        else:
            assert decision.skip
    return runs, state


def test_the_first_run_fetches_and_settles_what_came_before(configuration):
    found = decide(configuration, at("2021-03-10 12:00"), State(), {})
    assert (found.reason, found.first, found.last) == (SETTLE, "2021-03-08", "2021-03-09")
    assert found.fetches


def test_the_running_session_is_polled_at_its_cadence(configuration):
    state = settled("2021-03-10 12:00")
    runs, _ = walk(configuration, at("2021-03-10 12:00"), 11, state)
    assert runs == [
        ("Wed 12:05:00", POLL, "2021-03-09", "2021-03-09"),
        ("Wed 12:10:00", POLL, "2021-03-09", "2021-03-09"),
    ]


def test_the_news_sources_are_asked_every_half_hour_and_with_what_is_settled(configuration):
    assert decide(configuration, at("2021-03-10 12:00"), State(), {}).news
    state, asked, polls = settled("2021-03-10 12:00", news=at("2021-03-10 12:00")), [], 0
    for minute in range(62):
        found = decide(configuration, at("2021-03-10 12:00") + timedelta(minutes=minute), state, {})
        state, polls = found.state, polls + (found.reason == POLL)
        asked += [minute] if found.news else []
    assert (asked, polls) == ([30, 60], 12)
    close = State(
        polled=at("2021-03-12 21:58"), news=at("2021-03-12 21:58"), settled="2021-03-10", labelled="2021-03-10"
    )
    assert decide(configuration, at("2021-03-12 22:02"), close, {}).news


def test_a_streamed_bar_is_a_run_without_a_fetch_and_only_one(configuration):
    state = settled("2021-03-10 12:00")

    def streamed(now: datetime) -> dict[str, datetime]:
        return {"GBP_USD": (now - timedelta(seconds=61)).replace(second=0, microsecond=0)}

    runs, after = walk(configuration, at("2021-03-10 12:00"), 3, state, streamed=streamed)
    assert [reason for _, reason, _, _ in runs] == [STREAM] * 4
    assert after.seen["GBP_USD"] == at("2021-03-10 12:01")
    assert not decide(configuration, at("2021-03-10 12:03:30"), after, after.seen).reason
    assert after.polled == state.polled  # a stream does not put off the next fetch
    assert not decide(configuration, at("2021-03-10 12:00:30"), state, {"GBP_USD": at("2021-03-10 12:02")}).fetches


def test_a_bar_of_the_future_is_another_replays_and_counts_for_nothing(configuration):
    state = settled("2021-03-10 12:00")
    assert not decide(configuration, at("2021-03-10 12:01"), state, {"GBP_USD": at("2021-03-11 12:00")}).reason


def test_the_rollover_takes_the_ended_session_along_and_settles_it_and_later_its_labels(configuration):
    state = settled("2021-03-10 21:58")
    runs, after = walk(configuration, at("2021-03-10 21:58"), 130, state)
    around = [run for run in runs if run[2] != run[3]]
    assert around == [
        ("Wed 22:01:30", SETTLE, "2021-03-09", "2021-03-10"),  # 90 s after 17:00 New York
        ("Thu 00:01:30", SETTLE, "2021-03-09", "2021-03-10"),  # the last label of 60 minutes, and the bar it needs
    ]
    assert [run[3] for run in runs if run[1] == POLL] == ["2021-03-10"] * (len(runs) - 2)
    assert (after.settled, after.labelled) == ("2021-03-09", "2021-03-09")


def test_a_bar_by_stream_right_after_the_rollover_is_made_with_the_session_it_belongs_to(configuration):
    state = settled("2021-03-10 21:58", seen={"GBP_USD": at("2021-03-10 21:58")})
    found = decide(configuration, at("2021-03-10 22:00:05"), state, {"GBP_USD": at("2021-03-10 21:59")})
    assert (found.reason, found.first, found.last) == (STREAM, "2021-03-09", "2021-03-10")


def test_friday_is_settled_after_the_close_and_then_nothing_runs_until_sunday(configuration):
    state = State(polled=at("2021-03-12 21:58"), settled="2021-03-10", labelled="2021-03-10")
    runs, after = walk(configuration, at("2021-03-12 21:58:30"), 47.2 * 60, state, every=90)
    assert runs[0] == ("Fri 22:01:30", SETTLE, "2021-03-11", "2021-03-11")
    # New York's clocks went forward: Sunday 17:00 is 21:00 UTC. Friday's last labels wait for an hour of trading.
    assert runs[1][0] == "Sun 21:00:00"
    assert after.settled == "2021-03-11"
    closed = decide(configuration, at("2021-03-13 12:00"), after, {})
    assert closed.skip.endswith("the next opens at 2021-03-14 21:00 UTC (Sun 17:00 New York)")
    later, after = walk(configuration, at("2021-03-14 21:01"), 130, after)
    assert ("Sun 23:01:30", SETTLE, "2021-03-11", "2021-03-14") in later
    assert after.labelled == "2021-03-11"


def test_just_after_the_close_it_says_what_it_waits_for(configuration):
    state = State(polled=at("2021-03-12 21:58"), settled="2021-03-10", labelled="2021-03-10")
    waiting = decide(configuration, at("2021-03-12 22:00:30"), state, {})
    assert waiting.skip == (
        "the market has just closed; its last candles are fetched at 2021-03-12 22:01 UTC (Fri 17:01 New York)"
    )


def test_an_early_close_is_settled_and_the_holiday_is_left_alone(configuration):
    state = State(polled=at("2024-12-24 18:58"), settled="2024-12-22", labelled="2024-12-22")
    runs, _ = walk(configuration, at("2024-12-24 18:58:30"), 26 * 60, state, every=90)
    assert runs == [("Tue 19:01:30", SETTLE, "2024-12-23", "2024-12-23")]
    state = State(polled=at("2024-12-24 19:01"), settled="2024-12-23", labelled="2024-12-22")
    runs, _ = walk(configuration, at("2024-12-25 22:00"), 2, state)
    # Nothing was traded in the holiday's session; it is made all the same, so that its empty files exist.
    assert runs[1] == ("Wed 22:01:30", SETTLE, "2024-12-24", "2024-12-25")


def test_after_days_without_a_platform_only_so_many_sessions_are_made_up_for(configuration):
    state = State(polled=at("2021-03-01 12:00"), settled="2021-02-25", labelled="2021-02-25")
    found = decide(configuration, at("2021-03-24 12:00"), state, {})
    assert (found.first, found.last) == ("2021-03-16", "2021-03-23")  # five sessions whose labels are known


def test_a_replay_that_starts_again_at_an_earlier_moment_starts_afresh(configuration):
    state = State(
        polled=at("2021-04-10 12:00"),
        seen={"GBP_USD": at("2021-04-10 11:00")},
        settled="2021-04-08",
        labelled="2021-04-08",
    )
    found = decide(configuration, at("2021-03-10 12:00"), state, {})
    assert (found.reason, found.last) == (SETTLE, "2021-03-09")
    assert found.state.seen == {}


def test_bars_that_the_stream_has_lost_are_fetched_at_once_and_those_it_has_not_are_not(configuration):
    bar = at("2021-03-10 12:00")
    state = settled("2021-03-10 12:59", seen={"GBP_USD": at("2021-03-10 11:00")})
    after = at("2021-03-10 13:00:05")
    assert decide(configuration, after, state, {"GBP_USD": bar}, {"GBP_USD": bar}).reason == STREAM
    # Nothing was streamed for hours, but the last fetch has brought these bars.
    early = settled("2021-03-10 12:59", seen={"GBP_USD": at("2021-03-10 08:00")})
    assert decide(configuration, after, early, {"GBP_USD": bar}, {"GBP_USD": bar}).reason == STREAM


def test_the_minute_in_which_the_stream_connected_is_fetched(tmp_path, monkeypatch):
    instruments = changed(INSTRUMENTS, sessions=RUNNING, defaults={"granularity": "M1"})
    configuration = configuration_of(write_config(tmp_path, instruments), monkeypatch)
    state = settled("2021-03-10 12:00:20")  # the newest bar that this fetch brought is 11:59
    now, second = at("2021-03-10 12:02:03"), {"GBP_USD": at("2021-03-10 12:01")}
    lost = decide(configuration, now, state, second, second)  # 12:00 was running when it connected
    assert lost.reason == POLL
    # The fetch has brought 12:00 and 12:01; from there on the stream is enough.
    third = {"GBP_USD": at("2021-03-10 12:02")}
    assert decide(configuration, at("2021-03-10 12:03:02"), lost.state, third, second).reason == STREAM
    whole = {"GBP_USD": at("2021-03-10 12:00")}
    assert decide(configuration, now, state, second, whole).reason == STREAM


def test_a_settling_run_that_failed_is_tried_again_at_the_cadence(configuration):
    first = decide(configuration, at("2021-03-10 22:01:30"), settled("2021-03-10 21:58"), {})
    assert (first.reason, first.first) == (SETTLE, "2021-03-09")
    state = first.state
    assert not decide(configuration, at("2021-03-10 22:02:30"), state, {}, failed=True).reason
    again = decide(configuration, at("2021-03-10 22:06:30"), state, {}, failed=True)
    assert (again.reason, again.first, again.last) == (SETTLE, "2021-03-09", "2021-03-10")
    # When it succeeds at last, or when what failed was only a poll, nothing is settled again.
    assert not decide(configuration, at("2021-03-10 22:08:00"), again.state, {}).reason
    poll = decide(configuration, at("2021-03-10 22:12:00"), again.state, {})
    assert poll.reason == POLL
    assert decide(configuration, at("2021-03-10 22:17:00"), poll.state, {}, failed=True).reason == POLL


def test_a_bar_by_stream_does_not_wait_for_what_failed(configuration):
    state = decide(configuration, at("2021-03-10 22:01:30"), settled("2021-03-10 21:58"), {}).state
    bar = {"GBP_USD": at("2021-03-10 22:01")}
    assert decide(configuration, at("2021-03-10 22:02:03"), state, bar, failed=True).reason == STREAM


def test_fridays_last_candles_are_asked_for_again_when_the_run_failed(configuration):
    state = State(polled=at("2021-03-12 21:58"), settled="2021-03-10", labelled="2021-03-10")
    first = decide(configuration, at("2021-03-12 22:01:30"), state, {})
    assert first.reason == SETTLE
    assert not decide(configuration, at("2021-03-12 22:03:00"), first.state, {}, failed=True).reason
    assert decide(configuration, at("2021-03-12 22:06:30"), first.state, {}, failed=True).reason == SETTLE
    assert not decide(configuration, at("2021-03-12 22:06:30"), first.state, {}).reason
    assert not decide(configuration, at("2021-03-12 23:10:00"), first.state, {}, failed=True).reason


@pytest.fixture
def streaming(tmp_path, monkeypatch):
    """Two instruments of one-minute bars by stream."""
    instruments = changed(INSTRUMENTS, sessions=RUNNING, defaults={"granularity": "M1", "sources": ["oanda"]})
    instruments["sources"] = {"oanda": {"stream": True}}
    return configuration_of(write_config(tmp_path, instruments), monkeypatch)


def test_a_bar_that_the_stream_does_not_bring_in_time_is_fetched_but_only_once(streaming):
    runs, state = walk(streaming, at("2021-03-10 12:00:20"), 12, settled("2021-03-10 12:00:20"), every=5)
    # 12:00 ended at 12:01; then the stream is taken for dead, and the cadence holds.
    assert [(time, reason) for time, reason, _, _ in runs] == [
        ("Wed 12:01:15", POLL),
        ("Wed 12:06:15", POLL),
        ("Wed 12:11:15", POLL),
    ]
    assert state.overdue


def test_when_the_stream_is_back_a_bar_that_is_late_counts_again(streaming):
    silent = settled("2021-03-10 12:01:15", overdue=True)
    bar = {"GBP_USD": at("2021-03-10 12:01"), "USD_JPY": at("2021-03-10 12:01")}
    back = decide(streaming, at("2021-03-10 12:02:03"), silent, bar, bar)
    assert (back.reason, back.state.overdue) == (STREAM, False)
    assert not decide(streaming, at("2021-03-10 12:03:05"), back.state, bar, bar).reason
    assert decide(streaming, at("2021-03-10 12:03:15"), back.state, bar, bar).reason == POLL


def test_one_quiet_instrument_makes_no_bar_overdue(streaming):
    state = settled("2021-03-10 12:00:20", seen={"USD_JPY": at("2021-03-10 12:00")})
    assert not decide(streaming, at("2021-03-10 12:01:30"), state, {"USD_JPY": at("2021-03-10 12:00")}).reason
