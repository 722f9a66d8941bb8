"""What the live sensor requests at a moment, and why: pure, so that a day can be walked through tick by tick.

Three things make a run due:
- stream: the pricing stream has put a newer bar into bronze than the last run saw. The sources are not asked.
- poll: poll_seconds have passed since the sources were last asked, or the stream has lost bars
  or not brought one that is due.
- settle: a session has ended, or the market closed: its last candles are fetched; and once more when the last labels
  of a session are known.
A run covers the running session, and from the one before those that are still to be settled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from fx_assets.configuration import Configuration
from fx_assets.labels import decided_after
from fx_assets.live.gating import closed_reason, in_two_zones, last_close, next_open, open_instruments
from fx_assets.live.streams import streamed as streamed_symbols
from fx_assets.market_hours import market_hours
from fx_assets.sessions import previous_session, running_session, session_bounds

# A broker's last candle of a session is complete a little after its end.
SETTLE_AFTER = timedelta(seconds=90)
# How long after the market's close its last candles are still asked for.
SETTLE_WITHIN = timedelta(hours=1)
# A fetch may come a moment too early for the bar that has just closed.
FETCH_LAG = timedelta(seconds=5)
CATCH_BACK = timedelta(days=1)
# A streamed bar is there a second or two after its close. Later, the stream is not connected, or was not all along.
OVERDUE_AFTER = timedelta(seconds=15)
# Sessions that a run goes back for at most, after days without a running platform; the rest is `fx backfill`'s.
CATCH_UP = 5
POLL, STREAM, SETTLE = "poll", "stream", "settle"


class State(msgspec.Struct, frozen=True):
    """What earlier runs have covered: kept in the sensor's cursor.

    polled: when the sources were last asked (data clock). seen: instrument -> newest streamed bar. settled and
    labelled: the newest session whose last candles, and whose last labels, have been requested.
    """

    polled: datetime | None = None
    seen: dict[str, datetime] = {}
    settled: str = ""
    labelled: str = ""
    # settled and labelled as they were before the last run, if that settled something: it may fail.
    before: tuple[str, str] | None = None
    # Whether what failed to settle has been requested again already: a session that is blocked fails every time.
    retried: bool = False
    # Whether the sources were asked for a bar that the stream should have brought, and it has brought none since.
    overdue: bool = False
    # When the news sources were last asked (data clock): more rarely than those of candles.
    news: datetime | None = None


@dataclass(frozen=True)
class Decision:
    """A run over the sessions first to last, or, where reason is empty, why there is none. state: for the next tick.

    news: whether the news sources are asked too.
    """

    state: State
    skip: str = ""
    reason: str = ""
    first: str = ""
    last: str = ""
    news: bool = False

    @property
    def fetches(self) -> bool:
        """Whether the sources are asked."""
        return self.reason in (POLL, SETTLE)


def decide(
    configuration: Configuration,
    now: datetime,
    state: State,
    streamed: Mapping[str, datetime],
    since: Mapping[str, datetime] | None = None,
    failed: bool = False,
) -> Decision:
    """The decision at a moment of the data clock.

    streamed: the stream's newest bar by instrument. since: the first bar by instrument from which on it lost none.
    failed: whether the last live run failed; what it was to settle is then tried again with the next poll. If that
    fails too, the running session is made alone: settling may not stop it. Should even this fail, the cause is not
    in what was to be settled, and it is tried again.
    """
    if state.polled is not None and state.polled > now:
        state = State()  # a replay was started again, at an earlier moment
    pending = state.before if failed and state.retried else None
    if failed and state.before is not None and not state.retried:
        settled, labelled = state.before
        state = msgspec.structs.replace(state, settled=settled, labelled=labelled, before=None, retried=True)
    else:
        failed = False
    if not open_instruments(configuration, now):
        return _closed(configuration, now, state, failed)
    all_week, due = configuration.all_week, timedelta(seconds=configuration.poll_seconds)
    resting = failed and state.polled is not None and now - state.polled < due
    running, start = running_session(now, all_week), _first_session(configuration)
    if running < start:
        return Decision(state, skip=f"the first session (instruments.yaml: sessions.start) is {start}")
    ended = previous_session(running, all_week)
    settling = now < session_bounds(ended)[1] + SETTLE_AFTER
    unsettled = not (settling or resting) and ended >= start and ended > state.settled
    labelled = _newest_labelled(configuration, now)
    unlabelled = not resting and labelled >= start and labelled > state.labelled
    first = ended if settling or unsettled else running
    if unlabelled:
        first = min(first, _first_unlabelled(labelled, state.labelled, all_week))
    first = max(first, start)
    newer = {s: t for s, t in streamed.items() if t <= now and t > state.seen.get(s, t - due)}
    overdue = not newer and not state.overdue and _overdue(configuration, now, state, streamed)
    if unsettled or unlabelled:
        reason = SETTLE
    elif (
        state.polled is None or now - state.polled >= due or overdue or _lost(configuration, state, newer, since or {})
    ):
        reason = POLL
    elif newer:
        reason = STREAM
    else:
        wait = (state.polled + due - now).total_seconds()
        return Decision(state, skip=f"no newer bar by stream; the sources are asked again in {wait:.0f} s")
    news = reason == SETTLE or (reason == POLL and _news_due(configuration, now, state))
    after = State(
        polled=state.polled if reason == STREAM else now,
        seen={**state.seen, **newer},
        settled=ended if unsettled else state.settled,
        labelled=labelled if unlabelled else state.labelled,
        before=(state.settled, state.labelled) if reason == SETTLE else pending,
        retried=state.retried and reason != POLL,
        overdue=overdue or (state.overdue and not newer),
        news=now if news else state.news,
    )
    return Decision(after, reason=reason, first=first, last=running, news=news)


def _news_due(configuration: Configuration, now: datetime, state: State) -> bool:
    """Whether the time between two questions to the news sources (automation.yaml: rows.news) is over."""
    rhythm = configuration.automation.row("news").every_seconds or 0
    return state.news is None or now - state.news >= timedelta(seconds=rhythm)


def _overdue(configuration: Configuration, now: datetime, state: State, streamed: Mapping[str, datetime]) -> bool:
    """Whether a bar has closed that neither the stream nor a fetch has brought, for any instrument that streams."""
    symbols = [symbol for names in streamed_symbols(configuration).values() for symbol in names.values()]
    for symbol in symbols:
        instrument = configuration.instruments.instruments[symbol]
        hours = market_hours(instrument.calendar)
        expected = hours.newest_closed_bar(now - OVERDUE_AFTER, instrument.minutes)
        fetched = hours.newest_closed_bar((state.polled or now) - FETCH_LAG, instrument.minutes)
        known = [time for time in (fetched, streamed.get(symbol)) if time is not None]
        if expected is None or (known and max(known) >= expected):
            return False
    return bool(symbols)


def _lost(
    configuration: Configuration, state: State, newer: Mapping[str, datetime], since: Mapping[str, datetime]
) -> bool:
    """Whether the stream lost bars that no fetch has brought: between what is known and its unbroken row."""
    for symbol in newer.keys() & since.keys():
        instrument = configuration.instruments.instruments.get(symbol)
        if instrument is None or state.polled is None:
            continue
        hours = market_hours(instrument.calendar)
        fetched = hours.newest_closed_bar(state.polled - FETCH_LAG, instrument.minutes)
        known = max(time for time in (fetched, state.seen.get(symbol), since[symbol] - CATCH_BACK) if time)
        if len(hours.expected_bars(known + timedelta(microseconds=1), since[symbol], instrument.minutes)):
            return True
    return False


def _closed(configuration: Configuration, now: datetime, state: State, failed: bool) -> Decision:
    """While every market is closed: nothing, but for the last candles soon after the close."""
    close = last_close(configuration, now, SETTLE_WITHIN)
    ready = None if close is None else close + SETTLE_AFTER
    again = timedelta(seconds=configuration.poll_seconds)
    asked = state.polled is not None and ready is not None and state.polled >= ready
    if failed and state.polled is not None and now - state.polled >= again:
        asked = False
    if close is None or ready is None or asked:
        return Decision(state, skip=closed_reason(configuration, now) or "")
    if now < ready:
        return Decision(
            state, skip=f"the market has just closed; its last candles are fetched at {in_two_zones(ready)}"
        )
    session = running_session(close - timedelta(seconds=1), configuration.all_week)
    if session < _first_session(configuration):
        return Decision(state, skip=closed_reason(configuration, now) or "")
    over = session_bounds(session)[1] <= now
    before = (state.settled, state.labelled)
    settled = session if over else state.settled
    after = msgspec.structs.replace(state, polled=now, news=now, settled=settled, before=before)
    return Decision(after, reason=SETTLE, first=session, last=session, news=True)


def _first_session(configuration: Configuration) -> str:
    """The first session that is a partition; sessions.start itself may be a day that starts none."""
    start = configuration.instruments.sessions.start.isoformat()
    return running_session(session_bounds(start)[0], configuration.all_week)


def _first_unlabelled(newest: str, known: str, all_week: bool) -> str:
    """The first of the sessions behind `known` up to `newest`; no more than CATCH_UP of them."""
    first = newest
    for _ in range(CATCH_UP - 1 if known else 0):
        if (before := previous_session(first, all_week)) <= known:
            break
        first = before
    return first


def _newest_labelled(configuration: Configuration, now: datetime) -> str:
    """The newest session all of whose labels are decided: the longest horizon of trading lies behind its end."""
    longest_bar = max(i.minutes for i in configuration.instruments.instruments.values())
    horizon = max(decided_after(label, longest_bar) for label in configuration.label_horizons())
    wait = timedelta(minutes=horizon + longest_bar) + SETTLE_AFTER
    key = running_session(now, configuration.all_week)
    while True:
        key = previous_session(key, configuration.all_week)
        opening = next_open(configuration, session_bounds(key)[1])
        if opening is not None and opening + wait <= now:
            return key
