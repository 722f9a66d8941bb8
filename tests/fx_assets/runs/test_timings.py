"""Measurements kept, and what they let us expect."""

import pytest

from fx_assets.cli.common import duration, size
from fx_assets.cli.progress import time_left
from fx_assets.configuration import load_configuration
from fx_assets.runs import timings
from fx_assets.runs.backfill import estimate
from fx_assets.runs.backfill.cut import Range
from fx_assets.runs.backfill.estimate import Estimator


def test_the_newest_measurements_are_kept(tmp_path):
    for number in range(timings.KEPT + 3):
        timings.record(tmp_path, {"silver/candles": (number, float(number))})
    kept = timings.read(tmp_path)["silver/candles"]
    assert kept == [(number, float(number)) for number in range(3, timings.KEPT + 3)]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"a": [["x", 1]]}'])
def test_a_damaged_file_is_as_none(tmp_path, content):
    timings.path(tmp_path).parent.mkdir()
    timings.path(tmp_path).write_bytes(content)
    assert timings.read(tmp_path) == {}
    timings.record(tmp_path, {"a": (1, 2.0)})
    assert timings.read(tmp_path) == {"a": [(1, 2.0)]}


def test_what_is_expected_is_the_line_through_what_was_measured():
    line = [(n, 2.0 + 0.05 * n) for n in (1, 10, 500)]
    for n in (1, 50, 1000):
        assert timings.expected(line, n) == pytest.approx(2.0 + 0.05 * n)
    assert timings.expected([(10, 1.0)], 100) == pytest.approx(10.0)  # one length only: in proportion
    assert timings.expected([(10, 1.0), (10, 3.0)], 100) == pytest.approx(20.0)
    assert timings.expected([(1, 5.0), (100, 4.0)], 200) > 0  # noise: never a falling line
    assert timings.expected([(0, 1.0)], 10) >= 0


def test_an_estimate_rests_on_measurements_as_soon_as_there_are_some():
    configuration = load_configuration()
    parts = [Range(("silver/candles", "gold/labels"), "2021-03-01", "2021-03-30", 22)]
    guessed = Estimator({}, configuration).total(parts)
    assert guessed.measured == 0.0
    assert guessed.seconds > 0
    assert guessed.size > 22 * 2 * 5_000
    known = {t: [(22, 3.0)] for t in ("silver/candles", "gold/labels")} | {timings.RUN: [(44, 1.0)]}
    measured = Estimator(known, configuration).total(parts)
    assert measured.seconds == pytest.approx(7.0 + timings.guess(timings.START, 1, 1, 1))
    assert measured.measured == pytest.approx(7.0 / measured.seconds)
    assert Estimator(known | {timings.START: [(1, 2.0)]}, configuration).total(parts).seconds == pytest.approx(9.0)
    assert Estimator({}, configuration).total([]).seconds == 0
    assert Estimator(known, configuration).total(parts, online=True).seconds > measured.seconds


def test_a_run_is_as_long_as_it_may_take():
    configuration = load_configuration()
    quick = Estimator({"silver/candles": [(100, 1.0)]}, configuration)
    slow = Estimator({"silver/candles": [(100, 1000.0)]}, configuration)
    assert quick.longest(["silver/candles"]) == int(estimate.RUN_S / 0.01)
    assert slow.longest(["silver/candles"]) == int(estimate.RUN_S / 10)
    assert Estimator({"a": [(1, 1000.0)]}, configuration).longest(["a"]) == estimate.SHORTEST_RUN


def test_words_for_time_and_size():
    assert [duration(s) for s in (0.4, 59, 100, 3600, 8000, 12000)] == [
        "0 s",
        "59 s",
        "2 min",
        "60 min",
        "2 h 13 min",
        "3 h 20 min",
    ]
    assert [size(n) for n in (500, 12_000, 3_400_000, 2_500_000_000)] == ["0 kB", "12 kB", "3 MB", "2.5 GB"]


def test_the_time_left_is_the_share_that_is_left_at_the_pace_so_far():
    assert time_left(0, 100, 5) is None
    assert time_left(25, 100, 10) == pytest.approx(30)
    assert time_left(100, 100, 70) == 0
