"""What every candle source promises, asked of each of them in the same words, over its real protocol."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fx_assets.sources import SourceError, SourceRefused, make_source
from fx_assets.sources.options import default_options
from tests.contract.sources import BOUND_S, CANDLES, END, FAULTS, KEY, NETWORK, NOW, START, Case

pytestmark = pytest.mark.slow

THREADS = 8
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setenv("FX_CLOCK", NOW.isoformat())


@pytest.fixture
def case(request, tmp_path: Path) -> Iterator[Case]:
    with CANDLES[request.param](tmp_path) as made:
        yield made


@pytest.fixture
def source(case: Case) -> Iterator[Any]:
    made = case.make()
    yield made
    made.close()


every = pytest.mark.parametrize("case", CANDLES, indirect=True)
network = pytest.mark.parametrize("case", NETWORK, indirect=True)


def ask(source: Any, case: Case, start=None, end=None) -> pd.DataFrame:
    return source.candles(case.instrument, case.granularity, start or case.start, end or case.end)


@every
def test_a_long_range_is_the_truth_bar_for_bar_however_it_is_paged(case, source):
    answer = ask(source, case)
    expected = case.expected(case.start, case.end)
    assert len(expected) > 800
    pd.testing.assert_frame_equal(answer, expected, check_exact=True)


@every
def test_types_and_order_are_those_of_the_interface(case, source):
    answer = ask(source, case)
    assert str(answer["time"].dtype) == "datetime64[us, UTC]"
    assert {str(answer[name].dtype) for name in answer.columns[1:]} == {"float64"}
    assert answer["time"].is_monotonic_increasing
    assert answer["time"].is_unique
    assert answer.index.equals(pd.RangeIndex(len(answer)))


@every
def test_the_range_is_half_open_at_any_of_its_ends(case, source):
    opens = case.expected(case.start, case.end)["time"]
    first, last = opens.iloc[100], opens.iloc[140]
    assert ask(source, case, first, last)["time"].tolist() == opens.iloc[100:140].tolist()
    second, tiny = pd.Timedelta(seconds=1), pd.Timedelta(microseconds=1)
    assert ask(source, case, first + second, last + second)["time"].tolist() == opens.iloc[101:141].tolist()
    assert ask(source, case, first + tiny, last + tiny)["time"].tolist() == opens.iloc[101:141].tolist()
    assert ask(source, case, first - tiny, last - tiny)["time"].tolist() == opens.iloc[100:140].tolist()


@every
def test_pieces_put_together_are_the_whole(case, source):
    start, end = case.start, case.start + 6 * DAY
    whole = ask(source, case, start, end)
    cuts = [start, start + DAY, start + timedelta(days=2, hours=7, minutes=30), end]
    parts = [ask(source, case, a, b) for a, b in pairwise(cuts)]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole, check_exact=True)


@every
def test_a_range_without_bars_has_the_columns_and_no_rows(case, source):
    saturday = next(case.start + n * DAY for n in range(7) if (case.start + n * DAY).weekday() == 5)
    for start, end in ((saturday, saturday + DAY), (case.start, case.start)):
        answer = ask(source, case, start, end)
        assert len(answer) == 0
        assert list(answer.columns) == ["time", *case.columns]
        assert str(answer["time"].dtype) == "datetime64[us, UTC]"


@pytest.mark.parametrize("case", [name for name in CANDLES if name != "sample"], indirect=True)
def test_the_running_bar_and_the_future_are_left_out(case, source):
    answer = ask(source, case, END - DAY, NOW + 3 * DAY)
    assert answer["time"].iloc[-1] == END - timedelta(hours=1)
    assert ask(source, case, NOW, NOW + DAY).empty
    assert ask(source, case, NOW + DAY, NOW + 2 * DAY).empty


@every
def test_threads_share_a_source(case, source):
    start, end = case.start, case.start + 10 * DAY
    expected = case.expected(start, end)
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda _: ask(source, case, start, end), range(THREADS)))
    for answer in answers:
        pd.testing.assert_frame_equal(answer, expected, check_exact=True)


@every
def test_a_source_can_be_made_and_closed_without_having_been_asked(case):
    made = case.make()
    made.close()
    made.close()


@pytest.mark.parametrize("fault", FAULTS)
@network
def test_a_broken_server_is_told_in_time_and_nothing_is_made_of_it(case, fault, caplog):
    caplog.set_level(logging.DEBUG)
    source = case.dead() if fault == "dead" else case.make()
    if fault != "dead":
        case.fault(fault)
    started = time.monotonic()
    with pytest.raises(SourceError) as caught:
        ask(source, case, case.start, case.start + DAY)
    assert time.monotonic() - started < BOUND_S
    assert not isinstance(caught.value, SourceRefused)
    said = str(caught.value)
    assert said.startswith(source.name + ":")
    for secret in (KEY, *case.secrets):
        assert secret not in said + caplog.text
    source.close()


@network
def test_a_refusal_is_final(case, caplog):
    caplog.set_level(logging.DEBUG)
    source = case.make(retries=8)  # waiting for them would break the bound
    case.fault("unauthorized")
    started = time.monotonic()
    with pytest.raises(SourceRefused) as caught:
        ask(source, case, case.start, case.start + DAY)
    assert time.monotonic() - started < BOUND_S
    for secret in (KEY, *case.secrets):
        assert secret not in str(caught.value) + caplog.text
    source.close()


@network
def test_a_rate_limit_that_passes_is_waited_for(case, source):
    case.fault("rate_limited", times=1)
    answer = ask(source, case, case.start, case.start + DAY)
    pd.testing.assert_frame_equal(answer, case.expected(case.start, case.start + DAY), check_exact=True)


@network
def test_a_source_recovers_with_its_server(case, source):
    case.fault("server_error")
    with pytest.raises(SourceError):
        ask(source, case, case.start, case.start + DAY)
    case.fault(None)
    answer = ask(source, case, case.start, case.start + DAY)
    pd.testing.assert_frame_equal(answer, case.expected(case.start, case.start + DAY), check_exact=True)


@pytest.mark.parametrize("case", [name for name in CANDLES if name != "synthetic"], indirect=True)
def test_an_instrument_that_is_not_there_is_refused(case, source):
    with pytest.raises(SourceRefused):
        source.candles("QQQ_ZZZ", case.granularity, case.start, case.start + DAY)


@pytest.mark.parametrize(
    ("kind", "variable"), [("alpha_vantage", "ALPHAVANTAGE_API_KEY"), ("finnhub", "FINNHUB_API_KEY")]
)
def test_a_missing_key_names_its_variable(kind, variable, monkeypatch):
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(SourceRefused, match=variable):
        make_source(kind, default_options(kind)).candles("EUR_USD", "H1", START, END)


def test_imported_history_is_nothing_to_fetch():
    source = make_source("import", default_options("import"))
    assert source.candles("EUR_USD", "H1", START, END) is None
    source.close()
