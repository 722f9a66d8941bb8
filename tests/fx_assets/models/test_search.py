"""The hyperparameter search: it finds, it repeats itself, it forgets no trial, and a kill does not change its end."""

import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fx_assets.configuration import Search
from fx_assets.evaluation import splits, trials
from fx_assets.evaluation.spec import Folding
from fx_assets.lake import Lake
from fx_assets.models import search, search_report
from tests.fx_assets.evaluation.worlds import spec, world

SPACE = {
    "max_depth": {"low": 1, "high": 6, "whole": True},
    "eta": {"low": 0.01, "high": 0.5, "log": True},
    "subsample": {"choices": [0.5, 0.7, 1.0]},
    "rounds": {"low": 5, "high": 60, "whole": True},
}
WANTED = Search.model_validate({"trials": 16, "space": SPACE, "rows": "all"})
ROWS = 700


def run(folder: Path, wanted: Search = WANTED, progress=None, **fields):
    return search.run(world(0.4, ROWS), spec(**fields), wanted, folder / "search.journal", progress)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole"))


def test_the_best_of_all_finished_trials_is_found(found):
    assert [trial["number"] for trial in found.trials] == list(range(1, 17))
    done = [trial for trial in found.trials if trial["state"] == "complete"]
    assert found.loss == min(trial["loss"] for trial in done)
    assert found.loss < np.median([trial["loss"] for trial in done]) < 0.8
    assert found.candidate in [trial["candidate"] for trial in done]
    assert found.candidate["name"] == "searched"
    assert 5 <= found.candidate["rounds"] <= 60
    assert found.candidate["params"]["subsample"] in (0.5, 0.7, 1.0)
    assert isinstance(found.candidate["params"]["max_depth"], int)
    assert sum(found.importance.values()) == pytest.approx(1.0)


def test_hopeless_trials_are_stopped_after_a_fold_and_still_count(found):
    stopped = [trial for trial in found.trials if trial["state"] == "pruned"]
    assert stopped
    assert all(trial["folds"] < search.FOLDS and trial["sharpe"] is None for trial in stopped)
    assert all(trial["number"] > search.STARTUP for trial in stopped)
    entries = found.entries(spec())
    assert len(entries) == 16
    assert sum(entry.sharpe is not None for entry in entries) == 16 - len(stopped)


def test_a_finished_search_is_read_and_a_longer_one_goes_on(tmp_path, found):
    lines: list[str] = []
    short = WANTED.model_copy(update={"trials": 10})
    first = run(tmp_path, short, lines.append)
    assert len(lines) == 10
    assert lines[0].startswith("trial 1/10: loss 0.")
    assert run(tmp_path, short, lines.append) == first
    assert len(lines) == 10
    assert run(tmp_path, progress=lines.append) == found
    assert len(lines) == 16
    # Other rows or settings are another search, in the same file.
    other = run(tmp_path, short, lines.append, seed=9)
    assert other.trials != first.trials
    assert len(lines) == 26


CHILD = """
import os, signal, sys
from pathlib import Path
from fx_assets.models import search
from tests.fx_assets.models import test_search

fits, real = [0], search.predict_folds

def predict_folds(*given, **options):
    fits[0] += 1
    if fits[0] == 4 * 10 - 9:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*given, **options)

search.predict_folds = predict_folds
test_search.run(Path(sys.argv[1]))
"""


def test_a_killed_search_ends_where_it_would_have_ended(tmp_path, found):
    root = Path(__file__).parents[3]
    killed = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path)], cwd=root, capture_output=True, timeout=240)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    journal = tmp_path / "search.journal"
    assert journal.stat().st_size > 0
    # And killed once more, while it was writing a line.
    with journal.open("ab") as file:
        file.write(b'{"op_code": 6, "trial_id"')
    lines: list[str] = []
    again = run(tmp_path, progress=lines.append)
    assert 0 < len(lines) < 16
    assert again == found


def test_only_rows_that_the_study_never_tests_are_searched(tmp_path):
    frame, asked = world(0.4, 2000), spec(validation=Folding(folds=4, embargo_minutes=120))
    narrow = WANTED.model_copy(update={"rows": "untested", "trials": 2})
    one = search.run(frame, asked, narrow, tmp_path / "a.journal")
    assert one.scope == "untested"
    ordered = frame.sort_values(["decision_time", "instrument"], kind="stable").reset_index(drop=True)
    tested = splits.folds(ordered, asked.validation)[0].test
    begin = ordered["decision_time"].iloc[tested].min()
    assert one.rows == (frame["label_end"] <= begin - np.timedelta64(120, "m")).sum()
    # What the study tests may be anything: the search does not know it.
    late = frame["decision_time"] >= begin
    other = frame.assign(signal=frame["signal"].where(~late, 0.0), label=frame["label"].where(~late, 1.0))
    assert search.run(other, asked, narrow, tmp_path / "b.journal") == one
    # Other methods test every row, so that there are none left over.
    crossed = spec(validation=Folding("kfold", folds=4, embargo_minutes=120))
    assert search.run(frame, crossed, narrow, tmp_path / "c.journal").scope == "all"


@pytest.mark.parametrize(
    ("algorithm", "space"),
    [
        ("lightgbm", {"num_leaves": {"low": 3, "high": 12, "whole": True}}),
        ("catboost", {"depth": {"low": 1, "high": 4, "whole": True}}),
        ("random_forest", {"max_depth": {"low": 2, "high": 6, "whole": True}}),
        ("logistic", {"ridge": {"low": 0.1, "high": 1000.0, "log": True}}),
    ],
)
def test_every_algorithm_can_be_searched(tmp_path, algorithm, space):
    wanted = Search.model_validate({"algorithm": algorithm, "trials": 3, "rounds": 20, "space": space, "rows": "all"})
    one = run(tmp_path, wanted)
    assert one.candidate["algorithm"] == algorithm
    assert one.loss < 0.68


def test_the_newest_search_up_to_a_session_is_used(tmp_path, found):
    lake = Lake(tmp_path)
    assert search.best(lake, "move", "2021-03-02") is None
    for session, rounds in (("2021-03-01", 11), ("2021-03-03", 33)):
        record = {"model": "move", "session": session, "candidate": {**found.candidate, "rounds": rounds}}
        path = f"models/move/{search.TABLE}/session={session}/record.json"
        lake.store.write(path, msgspec.json.encode(record))
    assert search.best(lake, "move", "2021-02-28") is None
    assert search.best(lake, "move", "2021-03-02") == {**found.candidate, "rounds": 11}
    assert (search.best(lake, "move", "2021-03-03") or {})["rounds"] == 33


def test_the_searched_candidate_is_one_trial_in_the_study(tmp_path, found):
    lake = Lake(tmp_path)
    trials.add(lake, "move", "2021-03-01", found.entries(spec()))
    asked = spec(candidates=(found.candidate,))
    assert trials.with_ledger(asked, lake, "move", "2021-03-01").ledger.count == 15


def test_the_report_shows_every_trial(found):
    from matplotlib.figure import Figure

    table = search_report.trial_table(found)
    assert table.count("\n") == 1 + min(search_report.LISTED, sum(t["loss"] is not None for t in found.trials))
    assert f"{found.loss:.5g}" in table.splitlines()[2]
    history, importance = Figure().add_subplot(), Figure().add_subplot()
    search_report.draw_history(history, found)
    search_report.draw_importance(importance, found)
    drawn = {line.get_label(): len(np.asarray(line.get_xdata())) for line in history.lines}
    assert drawn["finished"] + drawn["stopped early"] == 16
    assert len(importance.patches) == len(found.importance)
