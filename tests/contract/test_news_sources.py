"""What every source of headlines promises, asked of each of them in the same words, over its real protocol."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fx_assets.silver.news import headlines
from fx_assets.sources import SourceError, SourceRefused
from tests.contract.news import NEWS, NEWS_LIVE, NEWS_NETWORK, NEWS_SESSION, NewsCase
from tests.contract.sources import BOUND_S, FAULTS, KEY, NOW

pytestmark = pytest.mark.slow

DTYPES = {
    "published": "datetime64[us, UTC]",
    "first_seen": "datetime64[us, UTC]",
    "headline": "object",
    "source": "object",
    "article_count": "int64",
}


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setenv("FX_CLOCK", NOW.isoformat())


@pytest.fixture
def case(request, tmp_path: Path) -> Iterator[NewsCase]:
    with NEWS[request.param](tmp_path) as made:
        yield made


@pytest.fixture
def source(case: NewsCase) -> Iterator[Any]:
    made = case.make()
    yield made
    made.close()


every = pytest.mark.parametrize("case", NEWS, indirect=True)
network = pytest.mark.parametrize("case", NEWS_NETWORK, indirect=True)
live = pytest.mark.parametrize("case", NEWS_LIVE, indirect=True)


@every
def test_headlines_have_the_columns_and_types_of_the_interface(case, source):
    news = source.news(*case.session)
    assert len(news) > 3
    assert {name: str(news[name].dtype) for name in DTYPES} == DTYPES
    assert not news[list(DTYPES)].isna().to_numpy().any()
    assert news["first_seen"].is_monotonic_increasing
    assert (news["article_count"] >= 1).all()
    assert news["headline"].str.strip().astype(bool).all()


@every
def test_the_range_is_half_open_in_first_seen(case, source):
    start, end = case.session
    seen = source.news(start, end)["first_seen"]
    assert ((seen >= start) & (seen < end)).all()
    first = seen.iloc[0].to_pydatetime()
    later = source.news(first + timedelta(microseconds=1), end)
    assert len(later) == int((seen > first).sum())
    assert len(source.news(start, first)) == 0
    assert len(source.news(first, first + timedelta(microseconds=1))) > 0


@every
def test_a_range_without_headlines_has_the_columns_and_no_rows(case, source):
    some = source.news(*case.session)
    saturday = datetime.fromisoformat("2024-06-15T00:00:00Z")
    for start, end in ((saturday, saturday + timedelta(hours=20)), (case.session[0], case.session[0])):
        none = source.news(start, end)
        assert len(none) == 0
        assert {name: str(kind) for name, kind in none.dtypes.items()} == {n: str(k) for n, k in some.dtypes.items()}


given = pytest.mark.parametrize("case", [*NEWS_LIVE, "file", "file_http"], indirect=True)


@given
def test_published_is_the_publishers_and_a_repetition_is_added_only_to_what_was_seen_with_it(case, source):
    news = source.news(*NEWS_SESSION)
    rows = zip(news["published"], news["headline"], news["source"], news["article_count"], strict=True)
    found = [(p.isoformat(), h, s, int(n)) for p, h, s, n in rows]
    assert set(found) == case.expected
    assert len(found) == len(case.expected)
    waited = news["first_seen"] - news["published"]
    assert (news["first_seen"] == NOW).all() if case.live else (waited == pd.Timedelta(minutes=2)).all()


@given
def test_a_headline_counts_once_in_silver_as_it_was_first_known(case, source):
    news = source.news(*NEWS_SESSION).assign(session=NEWS_SESSION[0].date().isoformat())
    twice = headlines(pd.concat([news, news], ignore_index=True))
    counts = dict(zip(twice["headline"], twice["article_count"], strict=True))
    others = {"Euro slides after weak PMI: traders react": 1, "Bank of Japan holds rates & guidance": 1}
    # Asked once, three articles of it are there; one by one, the first was known alone.
    assert counts == others | {"Dollar firms, as yields rise!": 3 if case.live else 1}
    first = NOW if case.live else datetime.fromisoformat("2025-06-13T09:12:00Z")
    assert twice.set_index("headline")["available_at"]["Dollar firms, as yields rise!"] == first


@live
def test_a_past_session_cannot_be_asked_for_any_more_and_nobody_is_asked(case, source):
    start, end = NEWS_SESSION
    assert len(source.news(start - timedelta(days=1), start)) == 0
    assert len(source.news(end, end + timedelta(days=1))) == 0
    assert case.server is not None
    assert case.server.requests == 0


@live
def test_entries_of_earlier_sessions_are_left_out(case, source):
    start, end = datetime.fromisoformat("2025-06-13T09:00:00Z"), NEWS_SESSION[1]
    assert source.news(start, end)["published"].min() == pd.Timestamp("2025-06-13T09:10:00Z")


@every
def test_threads_share_a_source(case, source):
    expected = source.news(*case.session)
    with ThreadPoolExecutor(8) as pool:
        for answer in pool.map(lambda _: source.news(*case.session), range(8)):
            pd.testing.assert_frame_equal(answer, expected, check_exact=True)


@pytest.mark.parametrize("fault", FAULTS)
@network
def test_a_broken_server_is_told_in_time_and_nothing_is_made_of_it(case, fault, caplog):
    caplog.set_level(logging.DEBUG)
    source = case.dead() if fault == "dead" else case.make()
    if fault != "dead":
        case.fault(fault)
    started = time.monotonic()
    with pytest.raises(SourceError) as caught:
        source.news(*case.session)
    assert time.monotonic() - started < BOUND_S
    assert not isinstance(caught.value, SourceRefused)
    assert str(caught.value).startswith(source.name + ":")
    assert KEY not in str(caught.value) + caplog.text
    source.close()


@network
def test_a_refusal_is_final_and_holds_no_key(case, caplog):
    caplog.set_level(logging.DEBUG)
    source = case.make(retries=8)
    case.fault("unauthorized")
    with pytest.raises(SourceRefused) as caught:
        source.news(*case.session)
    assert KEY not in str(caught.value) + caplog.text
    assert case.server.requests == 1
    source.close()


@network
def test_a_rate_limit_that_passes_is_waited_for(case, source):
    case.fault("rate_limited", times=1)
    assert len(source.news(*case.session)) == len(case.expected)
