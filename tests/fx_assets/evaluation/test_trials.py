"""The ledger of trials: nothing is forgotten, nothing is counted twice, and old sessions see what they saw."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.evaluation import trials
from fx_assets.evaluation.spec import Ledger
from fx_assets.evaluation.trials import Entry
from fx_assets.lake import Lake
from tests.fx_assets.evaluation.worlds import CANDIDATES, spec

EARLY, LATE = "2021-03-01", "2021-03-02"


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path)


def test_an_entry_is_counted_once_however_often_it_is_added(lake):
    first = [Entry("a", "search", "1", 0.1), Entry("b", "search", "2"), Entry("c", "strategy", "3", -0.2)]
    assert trials.add(lake, "move", EARLY, first) == 3
    assert trials.add(lake, "move", EARLY, [*first, Entry("d", "search", "4", 0.3)]) == 1
    assert trials.add(lake, "move", LATE, first[:1]) == 1
    ledger = trials.load(lake, "move", LATE)
    assert ledger == Ledger(4, (0.1, 0.3, -0.2), {"search": 3, "strategy": 1})
    assert trials.load(lake, "move", EARLY) == ledger
    assert trials.load(lake, "move", LATE, without=["a", "b"]).count == 2
    assert trials.load(lake, "move", "2021-02-26") == trials.load(lake, "other", LATE) == Ledger()


def test_what_was_written_first_stays(lake):
    trials.add(lake, "move", EARLY, [Entry("a", "search", "1", 0.1)])
    trials.add(lake, "move", EARLY, [Entry("a", "search", "renamed", 0.9)])
    assert [entry.sharpe for _, entry in trials.entries(lake, "move", EARLY)] == [0.1]


def test_identity_is_of_the_settings_alone():
    assert trials.identity("x", a=1, b={"c": 2, "d": 3}) == trials.identity("x", b={"d": 3, "c": 2}, a=1)
    assert trials.identity("x", a=1) != trials.identity("y", a=1)
    asked = spec()
    renamed = {**CANDIDATES[0], "name": "other", "calibration": "none", "seeds": 1}
    assert trials.candidate_identity(CANDIDATES[0], asked) == trials.candidate_identity(renamed, asked)
    assert trials.candidate_identity({**renamed, "seeds": 2}, asked) != trials.candidate_identity(renamed, asked)
    other = spec(label="direction_120m")
    assert trials.candidate_identity(renamed, other) != trials.candidate_identity(renamed, asked)
    fewer = spec(feature_names=("signal",))
    assert trials.candidate_identity(renamed, fewer) != trials.candidate_identity(renamed, asked)


def test_a_study_made_again_sees_the_same_trials(lake):
    asked = spec()
    daily = pd.DataFrame({c["name"]: np.linspace(-1, 2, 50) * (k + 1) for k, c in enumerate(CANDIDATES)})
    searched = Entry("s", "search", "trial 3", 0.05)
    trials.add(lake, "move", EARLY, [searched])
    before = trials.with_ledger(asked, lake, "move", EARLY)
    assert before.ledger == Ledger(1, (0.05,), {"search": 1})
    # The study is written down, then strategies are tried on it: none of that changes what it saw.
    assert trials.add(lake, "move", EARLY, trials.of_study(before, daily)) == 2
    trials.add(lake, "move", EARLY, [Entry("t", "strategy", "0.6", 0.2)])
    assert trials.with_ledger(asked, lake, "move", EARLY) == before
    # The next session counts the strategy; its own candidates are not counted twice.
    assert trials.with_ledger(asked, lake, "move", LATE).ledger.sources == {"search": 1, "strategy": 1}
    # Another set of candidates does not make the first one untried.
    other = spec(candidates=({**CANDIDATES[0], "rounds": 31},))
    assert trials.with_ledger(other, lake, "move", EARLY).ledger.sources == {"candidates": 2, "search": 1}
    # A searched candidate that is studied is one trial, not two.
    found = Entry(trials.candidate_identity(CANDIDATES[0], asked), "search", "best", 0.1)
    trials.add(lake, "again", EARLY, [found])
    assert trials.with_ledger(asked, lake, "again", EARLY).ledger.count == 0


def test_a_broken_ledger_is_not_an_empty_one(lake):
    trials.add(lake, "move", EARLY, [Entry("a", "search", "1")])
    (lake.root / "models/move/trials" / f"session={EARLY}" / "search.json").write_text("{")
    with pytest.raises(ValueError, match=r"search\.json: no ledger of trials"):
        trials.load(lake, "move", LATE)
