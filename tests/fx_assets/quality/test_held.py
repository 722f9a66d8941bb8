"""Sessions held back across runs: until their fetches change, or the check has passed over all of their group."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from fx_assets.bronze.files import CANDLES, Bronze
from fx_assets.errors import DataError
from fx_assets.quality.held import Held
from tests.fx_assets.small import configuration_of, write_config

WEEK = ["2021-03-01", "2021-03-02", "2021-03-03"]


@pytest.fixture
def held(tmp_path, monkeypatch) -> Held:
    configuration = configuration_of(write_config(tmp_path / "config"), monkeypatch)
    for session in WEEK:
        fetch(tmp_path, session, 1.2)
    return Held(tmp_path, Bronze(tmp_path / "lake"), configuration)


def fetch(home: Path, session: str, price: float) -> None:
    time = pd.to_datetime([f"{session}T23:00Z"], utc=True).astype("datetime64[us, UTC]")
    rows = pd.DataFrame({"time": time, "open": price, "high": price, "low": price, "close": price})
    Bronze(home / "lake").append(CANDLES, "GBP_USD", session, "feed", rows, datetime.now(UTC))


def judge(home: Path, held: Held, judged: list[str], *bad: list[str]) -> None:
    """A run over some sessions, as their fetches are now."""
    held.judge(Bronze(home / "lake").digests(CANDLES, judged, ["GBP_USD", "USD_JPY"]), bad)


def test_what_is_held_stays_held_in_another_process(held, tmp_path):
    judge(tmp_path, held, WEEK)
    assert held.sessions() == set()
    assert not (tmp_path / "runs").exists(), "nothing to note is no note"
    judge(tmp_path, held, WEEK, WEEK[:2])
    assert held.sessions() == set(WEEK[:2])


def test_another_fetch_frees_its_session_and_an_equal_one_does_not(held, tmp_path):
    judge(tmp_path, held, WEEK, WEEK)
    fetch(tmp_path, WEEK[0], 1.2)
    assert held.sessions() == set(WEEK)
    fetch(tmp_path, WEEK[1], 1.3)
    assert held.sessions() == {WEEK[0], WEEK[2]}


def test_what_was_fetched_while_a_run_judged_is_not_held_by_it(held, tmp_path):
    judged = Bronze(tmp_path / "lake").digests(CANDLES, WEEK, ["GBP_USD", "USD_JPY"])
    fetch(tmp_path, WEEK[1], 1.3)
    held.judge(judged, [WEEK])
    assert held.sessions() == {WEEK[0], WEEK[2]}


def test_a_group_is_freed_only_as_a_whole(held, tmp_path):
    judge(tmp_path, held, WEEK, WEEK)
    judge(tmp_path, held, WEEK[:2])
    assert held.sessions() == set(WEEK)
    judge(tmp_path, held, WEEK)
    assert held.sessions() == set()


def test_runs_that_judge_at_once_lose_no_hold(held, tmp_path):
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda key: judge(tmp_path, held, [key], [key]), WEEK))
    assert held.sessions() == set(WEEK)


def test_a_damaged_note_is_named_with_its_remedy(held, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "held.json").write_text("[{")
    with pytest.raises(DataError, match=r"held\.json: cannot be read: .* Remove it"):
        held.sessions()
