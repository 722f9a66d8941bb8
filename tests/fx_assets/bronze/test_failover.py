"""When a source is asked, rests, and is tried again. Time is a number that the test moves."""

import threading

import pytest

from fx_assets.bronze.failover import FAILURES, LONGEST_REST_S, REST_S, Breaker
from fx_assets.errors import MissingData
from fx_assets.sources import SourceError, SourceRefused
from tests.fx_assets.bronze.answers import asked, bars, dead, sources


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def ask(made, name: str = "oanda", what: str = "EUR_USD"):
    return made.ask(name, what, lambda source: source.candles(what, "H1", 0, 1))


def test_a_dead_source_is_asked_only_a_few_times():
    clock = Clock()
    made = sources(clock, oanda=dead("oanda"))
    told = []
    for number in range(2600):
        with pytest.raises(SourceError) as caught:
            ask(made, what=f"X{number % 4}")
        told.append(str(caught.value))
    assert len(asked(made, "oanda")) == FAILURES
    assert told[FAILURES] == "oanda: left out after 3 failures; the last: oanda: does not answer. Check the network."
    assert sum(entry["times"] for entry in made.passed_over()) == FAILURES


def test_after_a_rest_one_request_tries_and_success_ends_it():
    clock = Clock()
    made = sources(clock, oanda=dead("oanda"))
    source = made._made["oanda"]
    for _ in range(FAILURES):
        with pytest.raises(SourceError):
            ask(made)
    clock.now += REST_S
    with pytest.raises(SourceError, match="does not answer"):
        ask(made)  # the trial: it fails, and the rest becomes longer
    clock.now += REST_S
    with pytest.raises(SourceError, match="left out"):
        ask(made)
    clock.now += REST_S
    source.say = bars()
    assert len(ask(made)) == 24
    source.say = dead("oanda")
    for _ in range(FAILURES):  # it counts from nothing again
        with pytest.raises(SourceError, match=r"^oanda: does not answer"):
            ask(made)


def test_the_rest_has_a_longest():
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(FAILURES):
        breaker.failed("x")
    for _ in range(12):
        assert not breaker.allows()
        clock.now += LONGEST_REST_S
        assert breaker.allows()
        assert not breaker.allows(), "one trial at a time"
        breaker.failed("x")
    assert breaker.rest_s == LONGEST_REST_S


def test_requests_under_way_when_it_broke_do_not_prolong_the_rest():
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(FAILURES + 10):
        breaker.failed("x")
    clock.now += REST_S
    assert breaker.allows()


def test_a_refusal_holds_for_its_instrument_and_is_no_failure_of_the_source():
    made = sources(oanda=SourceRefused("oanda: no EUR_XYZ (404)."))
    for _ in range(10):
        with pytest.raises(SourceRefused, match="no EUR_XYZ"):
            ask(made, what="EUR_XYZ")
    assert len(asked(made, "oanda")) == 1
    made._made["oanda"].say = bars()
    assert len(ask(made, what="EUR_USD")) == 24


def test_a_source_is_made_once_for_all_threads_and_closed_at_the_end():
    with sources() as made:
        seen = []
        threads = [threading.Thread(target=lambda: seen.append(made.ask("sample", "x", lambda s: s))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert len({id(source) for source in seen}) == 1
    with sources(oanda=bars()) as made:
        ask(made)
    assert made._made["oanda"].closed


@pytest.mark.parametrize("error", [ValueError("token=hunter2"), OverflowError("x"), KeyError("candles")])
def test_an_answer_that_breaks_its_reader_is_a_failure_of_the_source(error):
    made = sources(Clock(), oanda=error)
    for _ in range(FAILURES):
        with pytest.raises(SourceError) as caught:
            ask(made)
        assert str(caught.value) == f"oanda: its answer could not be used ({type(error).__name__})"
    with pytest.raises(SourceError, match="left out after 3 failures"):
        ask(made)
    (said,) = made.passed_over()
    assert (said["source"], said["times"]) == ("oanda", FAILURES)
    assert "hunter2" not in str(said)


def test_an_error_of_ours_keeps_its_remedy():
    with pytest.raises(MissingData, match="Run x"):
        ask(sources(oanda=MissingData("table: is missing. Run x.")))


def test_a_source_that_cannot_be_made_is_passed_over(monkeypatch):
    monkeypatch.delenv("FINNHUB_API_KEY", raising=False)
    with sources() as made, pytest.raises(SourceError, match="FINNHUB_API_KEY"):
        ask(made, "finnhub")
