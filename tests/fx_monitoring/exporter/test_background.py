"""A collector at work: its time limit, its failures, and what a scrape sees meanwhile."""

import threading

import pytest

from fx_assets.errors import StoreError
from fx_monitoring.exporter.background import STALE_S, Background, Collector, SourceDown
from fx_monitoring.exporter.catalogue import METRICS, Sample
from tests.servers.serving import wait_until

GOOD = [Sample("fx_market_open", (), 1.0)]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def background(collect, clock=None, **settings) -> Background:
    return Background(Collector("some", collect, **settings), clock=clock or Clock())


def test_before_the_first_attempt_nothing_is_said():
    state = background(lambda: GOOD).state()
    assert (state.up, state.age_s, list(state.samples)) == (None, None, [])


def test_figures_stay_while_a_collector_fails_and_go_when_they_are_stale(caplog):
    clock, answers = Clock(), [GOOD, StoreError("the disk is away. Mount it."), GOOD]

    def collect():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    work = background(collect, clock)
    work.once()
    assert work.state().up is True
    work.once()
    state = work.state()
    assert (state.up, state.problem, list(state.samples)) == (False, "the disk is away. Mount it.", GOOD)
    clock.now += STALE_S + 1
    assert list(work.state().samples) == []
    work.once()
    assert (work.state().up, list(work.state().samples)) == (True, GOOD)
    assert [record.levelname for record in caplog.records] == ["WARNING"]  # told once


def test_a_late_answer_is_used_and_counts_as_down():
    clock = Clock()

    def collect():
        clock.now += 11
        return GOOD

    work = background(collect, clock, limit_s=10)
    work.once()
    state = work.state()
    assert (state.up, list(state.samples)) == (False, GOOD)
    assert "took 11.0 s of at most 10 s" in str(state.problem)


def test_one_that_hangs_is_down_from_its_limit_on_and_not_begun_twice():
    clock, going, entered, begun = Clock(), threading.Event(), threading.Event(), []

    def collect():
        begun.append(1)
        entered.set()
        going.wait(120)
        return GOOD

    work = background(collect, clock, limit_s=10, every_s=0.01)
    work.start()
    try:
        assert entered.wait(120)
        assert work.state().up is None
        clock.now += 11
        assert work.state().up is False
        assert "has not answered for 11 s" in str(work.state().problem)
        assert begun == [1]
    finally:
        going.set()
        work.stop()
    wait_until(lambda: list(work.state().samples) == GOOD)


def test_a_source_that_is_down_says_so_in_place_of_its_figures():
    down = Sample("fx_redis_up", (), 0.0)
    answers = [GOOD]

    def collect():
        if answers:
            return answers.pop()
        raise SourceDown("Redis is away", down)

    work = background(collect)
    work.once()
    work.once()
    state = work.state()
    assert (state.up, state.problem, list(state.samples)) == (False, "Redis is away", [down])


@pytest.mark.parametrize("sample", [Sample("fx_made_up", (), 1.0), Sample("fx_market_open", ("too", "many"), 1.0)])
def test_a_figure_that_is_not_in_the_catalogue_never_reaches_a_scrape(sample):
    work = background(lambda: [sample])
    work.once()
    assert "not in the catalogue" in str(work.state().problem)
    assert list(work.state().samples) == []


def test_what_stands_in_an_address_before_the_at_is_told_to_nobody(caplog):
    def collect():
        raise RuntimeError("redis://user:hunter2@host:6379 refused\nand more")

    work = background(collect)
    work.once()
    assert work.state().problem == "RuntimeError: redis://***@host:6379 refused"
    assert "hunter2" not in caplog.text


def test_names_follow_the_practice_of_prometheus():
    exact = {
        "data_freshness_hours",
        "missing_value_rate",
        "schema_validation_status",
        "model_accuracy",
        "model_calibration_brier",
        "prediction_drift_kl_divergence",
        "simulated_pnl",
        "sharpe_ratio",
        "max_drawdown_pct",
    }
    assert exact <= METRICS.keys()
    for name, metric in METRICS.items():
        assert name in exact or name.startswith("fx_"), name
        assert not name.endswith(("_total", "_sum", "_count", "_bucket")), name  # these are no gauges' names
        unit = {"s": "_seconds", "unix s": "_timestamp_seconds", "B": "_bytes"}.get(metric.unit)
        assert unit is None or name.endswith(unit), name
        assert metric.meaning
        assert not {"job", "instance"} & set(metric.labels), f"{name}: Prometheus sets these itself"
        assert len(metric.meaning) < 100
