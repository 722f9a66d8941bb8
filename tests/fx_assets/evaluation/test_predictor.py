"""The predictor: members, calibrator and names in one file that gives back the very same predictions."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fx_assets.evaluation.predictor import Predictor
from fx_assets.evaluation.training import fit_predictor
from tests.fx_assets.evaluation.worlds import ALGORITHMS, NAMES, spec, world


def features(rows: int = 300) -> np.ndarray:
    return world(0.5, rows, seed=20)[list(NAMES)].to_numpy(np.float32)


@pytest.mark.parametrize("candidate", ALGORITHMS, ids=[c["algorithm"] for c in ALGORITHMS])
@pytest.mark.parametrize("calibration", ["none", "platt", "isotonic"])
def test_it_comes_back_from_its_bytes(candidate, calibration):
    made = fit_predictor(world(0.5, 1200), {**candidate, "calibration": calibration, "seeds": 3}, spec())
    raw = made.save()
    again = Predictor.load(raw)
    x = features()
    assert len(again.members) == 3
    assert again.algorithm == candidate["algorithm"]
    assert again.features == NAMES
    assert (again.predict(x) == made.predict(x)).all()
    assert (
        again.save()
        == raw
        == fit_predictor(world(0.5, 1200), {**candidate, "calibration": calibration, "seeds": 3}, spec()).save()
    )
    assert (again.probability(x) == made.predict(x)).all()
    assert ((made.predict(x) > 0) & (made.predict(x) < 1)).all()


def test_members_are_averaged_and_the_first_is_the_one_without_an_ensemble():
    frame, drawn = world(0.5, 1200), {**ALGORITHMS[0], "seeds": 1}
    alone = fit_predictor(frame, drawn, spec())
    joint = fit_predictor(frame, {**drawn, "seeds": 3}, spec())
    x = features()
    parts = [member.predict(x) for member in joint.members]
    assert joint.members[0].save() == alone.members[0].save()
    assert len({member.save() for member in joint.members}) == 3
    assert joint.predict(x) == pytest.approx(np.mean(parts, axis=0))
    assert joint.importance()[0] == pytest.approx(np.mean([m.importance()[0] for m in joint.members]))
    told = joint.contributions(x)
    assert told is not None
    assert told.shape == x.shape


def test_a_calibrator_never_saw_what_its_members_learned_from():
    """Pure noise, learned by heart: a calibrator fitted on the training rows would be certain of it."""
    rng = np.random.default_rng(0)
    frame = world(0.0, 1500).assign(label=lambda f: (rng.random(len(f)) < 0.5).astype(float))
    heart = {"name": "h", "algorithm": "xgboost", "params": {"max_depth": 9, "eta": 0.5}, "rounds": 60}
    raw = fit_predictor(frame, heart, spec())
    mended = fit_predictor(frame, {**heart, "calibration": "platt"}, spec())
    x = features()
    assert raw.predict(x).std() > 0.2
    assert mended.predict(x).std() < 0.05
    # The members themselves are fitted on every row all the same.
    assert mended.members[0].save() == raw.members[0].save()


def test_a_forecast_of_returns_implies_a_probability():
    frame = world(0.5, 1500).assign(label=lambda f: f["forward_return"])
    made = fit_predictor(frame, ALGORITHMS[4], spec("return", target="real"))
    again = Predictor.load(made.save())
    x = features()
    assert made.scale == pytest.approx(1e-3, rel=0.1)
    assert again.scale == made.scale
    assert ((again.probability(x) > 0.5) == (again.predict(x) > 0)).all()
    assert again.probability(x).std() > 0.05


def test_rows_without_a_label_are_left_out():
    frame = world(0.5, 800)
    holes = frame.copy()
    holes.loc[::3, "label"] = np.nan
    assert (
        fit_predictor(holes, ALGORITHMS[0], spec()).save()
        == fit_predictor(holes.dropna(subset=["label"]), ALGORITHMS[0], spec()).save()
    )


def test_what_is_no_predictor_is_refused():
    with pytest.raises(ValueError, match="no stored model"):
        Predictor.load(b"not a model")
    with pytest.raises(ValueError, match="no stored model"):
        Predictor.load(b"")


CHILD = """
import hashlib
from fx_assets.evaluation.training import fit_predictor
from tests.fx_assets.evaluation.worlds import ALGORITHMS, spec, world

for candidate in ALGORITHMS:
    asked = {**candidate, "calibration": "isotonic", "seeds": 2}
    print(hashlib.sha256(fit_predictor(world(0.5, 800), asked, spec()).save()).hexdigest())
"""


def test_another_process_makes_the_same_bytes():
    root = Path(__file__).parents[3]
    found = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
        done = subprocess.run(
            [sys.executable, "-c", CHILD], cwd=root, env=environment, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr
        found.append(done.stdout.split())
    assert found[0] == found[1]
    assert len(set(found[0])) == len(ALGORITHMS)
