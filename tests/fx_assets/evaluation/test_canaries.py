"""The leak canaries on procedures whose honesty is known: quiet about honest ones, loud about each kind of leak."""

from dataclasses import replace
from statistics import NormalDist

import msgspec
import numpy as np
import pandas as pd
import pytest

from fx_assets.evaluation import canaries
from fx_assets.evaluation.canaries import CANARIES, canary_gates, leak_canary, periods, run_canaries
from fx_assets.evaluation.metrics import auc, grouped_auc
from fx_assets.evaluation.spec import Folding, StudySpec
from fx_assets.evaluation.splits import Fold, folds
from fx_assets.evaluation.training import Matrix, matrix, predict_folds

HOUR = pd.Timedelta(hours=1)
TREES = {"name": "trees", "algorithm": "xgboost", "rounds": 25, "params": {"max_depth": 3, "eta": 0.2}}
SPEC = StudySpec(
    feature_names=("signal", "slow", "hour"),
    candidates=(TREES,),
    label_kind="direction",
    typical={},
    validation=Folding(folds=3, embargo_minutes=120),
)


def world(life: int = 1, rows: int = 1500, seed: int = 0) -> pd.DataFrame:
    """Two instruments; the label follows `signal`, the hour of the day and, weakly, what market it is (`slow`)."""
    parts = []
    for k, name in enumerate("AB"):
        random = np.random.default_rng([seed, k])
        time = pd.date_range("2021-01-04", periods=rows, freq="1h", tz="UTC").as_unit("us")
        signal, noise = (_mean(random.normal(size=rows), life) for _ in range(2))
        slow = np.cumsum(random.normal(size=rows)) / 20
        ahead = 0.5 * signal + 0.4 * np.sin(time.hour / 24 * 2 * np.pi) + 0.1 * np.sign(slow) + noise
        frame = {"label": (ahead > 0) * 1.0, "forward_return": ahead / 1000}
        frame |= {"signal": signal, "slow": slow, "hour": time.hour.to_numpy(float)}
        decision = time + HOUR
        parts.append(
            pd.DataFrame(
                {
                    "instrument": name,
                    "time": time,
                    "decision_time": decision,
                    "label_end": decision + life * HOUR,
                    "weight": 1.0 / life,
                    **frame,
                }
            )
        )
    return pd.concat(parts).sort_values(["decision_time", "instrument"], ignore_index=True)


def _mean(values: np.ndarray, life: int) -> np.ndarray:
    """Of the values to come for as long as a label lives, with a deviation of about 1."""
    return pd.Series(values[::-1]).rolling(life, min_periods=1).mean().to_numpy()[::-1] * np.sqrt(life)


def verdicts(found: dict) -> dict[str, bool]:
    return {gate.name.removeprefix("leak_"): gate.passed for gate in canary_gates({"canaries": found})}


def shuffled(rows: pd.DataFrame) -> list[Fold]:
    order = np.random.default_rng(1).permutation(len(rows))
    return [Fold(np.sort(np.setdiff1d(order, part)), np.sort(part)) for part in np.array_split(order, 3)]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return world()


@pytest.fixture(scope="module")
def cuts(rows) -> list[Fold]:
    return folds(rows, SPEC.validation)


@pytest.mark.parametrize("method", ["walk_forward", "kfold", "combinatorial"])
@pytest.mark.parametrize("life", [1, 30])
def test_an_honest_procedure_raises_no_alarm_whatever_there_is_to_learn(method, life):
    rows = world(life)
    cuts = folds(rows, Folding(method=method, folds=4, embargo_minutes=120))
    lines: list[str] = []
    found = run_canaries(rows, SPEC, TREES, cuts, progress=lines.append)
    assert list(found) == list(CANARIES)
    assert verdicts(found) == dict.fromkeys(CANARIES, True), canary_gates({"canaries": found})
    assert 0.7 < found["future_feature"]["value"] < 0.8  # the outcome seen through noise of its own size: 0.76
    assert len(lines) == 4
    # There is something to learn, and it is not what the canaries are quiet about.
    p = np.concatenate(predict_folds(matrix(rows, SPEC), SPEC, [TREES], cuts)["trees"])
    test = np.concatenate([cut.test for cut in cuts])
    assert auc(rows["label"].to_numpy()[test], p) > 0.6
    assert run_canaries(rows, SPEC, TREES, cuts) == found


@pytest.mark.parametrize("algorithm", ["logistic", "lightgbm", "random_forest"])
def test_the_candidate_itself_is_asked(rows, cuts, algorithm):
    other = {"name": "other", "algorithm": algorithm, "rounds": 60, "params": {}, "calibration": "platt", "seeds": 3}
    found = run_canaries(rows, SPEC, other, cuts)
    assert verdicts(found) == dict.fromkeys(CANARIES, True), canary_gates({"canaries": found})
    assert found != run_canaries(rows, SPEC, TREES, cuts)


def test_a_real_target_is_asked_for_its_sign(rows, cuts):
    spec = msgspec.structs.replace(SPEC, target="real", label_kind="return")
    returns = rows.assign(label=rows["forward_return"])
    found = run_canaries(returns, spec, TREES, cuts)
    assert verdicts(found) == dict.fromkeys(CANARIES, True), canary_gates({"canaries": found})
    assert not verdicts(run_canaries(returns, spec, TREES, shuffled(returns)))["persistent_labels"]


@pytest.mark.parametrize("life", [1, 30])
def test_shuffled_folds_are_found_by_noise_that_lasts(life):
    """Labels of one bar do not overlap: shuffling them alone would show nothing in random labels."""
    rows = world(life)
    found = verdicts(run_canaries(rows, SPEC, TREES, shuffled(rows)))
    assert not found["persistent_labels"]
    assert found["random_labels"]


def test_rows_trained_on_are_found_by_random_labels(rows, cuts):
    whole = [Fold(np.union1d(cut.train, cut.test), cut.test) for cut in cuts]
    greedy = {**TREES, "params": {"max_depth": 8, "eta": 0.5, "min_child_weight": 0}}
    found = verdicts(run_canaries(rows, SPEC, greedy, whole))
    assert not found["random_labels"]
    assert not found["persistent_labels"]


def test_labels_that_come_round_the_features_are_found(rows, cuts, monkeypatch):
    """An encoding of every four hours by their labels, made before the rows were split."""
    hours = rows["decision_time"].dt.floor("4h").astype("int64").to_numpy()

    def encoded(data: Matrix, spec, *given, shared, **named):
        del shared  # the features are not the same in every world
        mean = pd.Series(data.y).groupby(hours).transform("mean").to_numpy(np.float32)
        wider = msgspec.structs.replace(spec, feature_names=(*spec.feature_names, "mean_label"))
        return predict_folds(replace(data, x=np.column_stack([data.x, mean])), wider, *given, **named)

    monkeypatch.setattr(canaries, "predict_folds", encoded)
    found = verdicts(run_canaries(rows, SPEC, TREES, cuts))
    assert not found["random_labels"]
    assert not found["shifted_features"]


def test_a_procedure_that_would_not_notice_a_leak_is_found(rows, cuts, monkeypatch):
    def blind(data: Matrix, spec, *given, **named):
        narrow = msgspec.structs.replace(spec, feature_names=spec.feature_names[:3])
        return predict_folds(replace(data, x=data.x[:, :3]), narrow, *given, **named)

    monkeypatch.setattr(canaries, "predict_folds", blind)
    found = run_canaries(rows, SPEC, TREES, cuts)
    assert verdicts(found) == {**dict.fromkeys(CANARIES, True), "future_feature": False}
    gate = leak_canary({"canaries": found})
    assert (gate.name, gate.value, gate.passed) == ("leak_canary", 1.0, False)
    assert "with a feature that knows the outcome lies" in gate.reason
    assert "needed" in gate.reason


def test_a_candidate_that_learns_nothing_gives_nothing_away_but_has_no_power(rows, cuts):
    mute = {**TREES, "params": {"min_child_weight": 1e9}}
    found = run_canaries(rows, SPEC, mute, cuts)
    assert {c["value"] for c in found.values()} == {0.5}
    assert verdicts(found) == {**dict.fromkeys(CANARIES, True), "future_feature": False}
    reason = leak_canary({"canaries": found}).reason
    assert reason.startswith("the candidate is too tame to tell: it could not have noticed a leak")
    assert "Let it learn more (more rounds, a smaller min_child_weight or penalty), or give it more rows" in reason
    assert "AUC 0.5000 with a feature that knows the outcome lies 0.0 standard errors above 0.5" in reason
    assert "too tame" not in leak_canary({"canaries": run_canaries(rows, SPEC, TREES, cuts)}).reason


def test_all_four_raise_a_false_alarm_as_rarely_as_one_did(rows, cuts):
    single = 2 * NormalDist().cdf(-3.3)
    assert len(CANARIES) * canaries.LEVEL == pytest.approx(single)
    found = run_canaries(rows, SPEC, TREES, cuts)
    (limit,) = {c["limit"] for c in found.values()}
    normal = NormalDist().inv_cdf(1 - canaries.LEVEL / 2)
    assert normal == pytest.approx(3.67, abs=0.01)
    assert normal < limit < 4.5  # some 50 days: Student's quantile is wider


def test_figures_that_are_missing_pass_no_gate(rows, cuts):
    sound = {"value": 0.5, "low": 0.49, "high": 0.51, "limit": 3.7}
    every = dict.fromkeys(CANARIES, sound) | {"future_feature": {**sound, "value": 0.75}}
    assert leak_canary({"canaries": every}).passed
    for broken in ({}, {"canaries": {}}, {"canaries": {**every, "random_labels": {**sound, "low": None}}}):
        gates = canary_gates(broken)
        assert [gate.name for gate in gates] == [f"leak_{name}" for name in CANARIES]
        assert not leak_canary(broken).passed
        assert "missing or not a number" in leak_canary(broken).reason
    for edge, passed in ((0.5 + 3.69 * 0.02 / 3.92, True), (0.5 - 3.71 * 0.02 / 3.92, False)):
        gate = canary_gates({"canaries": {**every, "shifted_features": {**sound, "value": edge}}})[2]
        assert (gate.passed, gate.threshold, gate.op) == (passed, 3.7, "<=")


def test_no_period_is_on_both_sides_of_a_fold(rows, cuts):
    period = periods(rows, cuts)
    for cut in cuts:
        assert not set(period[cut.train]) & set(period[cut.test])
    sizes = np.bincount(period)
    assert sizes.max() == 48  # a day of two instruments
    assert np.bincount(periods(world(60), cuts)).max() == 3 * 48  # labels of two and a half days


def test_features_come_from_another_time_in_one_piece(rows, cuts):
    period = periods(rows, cuts)
    codes = pd.factorize(rows["instrument"])[0]
    start = rows["decision_time"].to_numpy("datetime64[us]").astype(np.int64)
    other = canaries._elsewhere(start, codes, period, np.random.default_rng(0))
    assert (np.abs(period[other] - period) >= 2).all()
    assert 0.3 < (codes[other] == codes).mean() < 0.7
    steps = []
    for code in (0, 1):
        for number in np.unique(period):
            own = np.flatnonzero((codes == code) & (period == number))
            assert len(set(codes[other[own]])) == 1
            steps.append(np.diff(start[other[own]]) / 3_600_000_000)
    steps = np.concatenate(steps)
    assert (steps == 1).mean() > 0.99  # but where a piece begins anew at the head of the history
    hours = rows["hour"].to_numpy()
    assert abs(np.corrcoef(hours, hours[other])[0, 1]) < 0.1


def test_auc_within_groups_leaves_out_what_differs_between_them():
    random = np.random.default_rng(0)
    group = np.repeat([0, 1], 500)
    y = (random.random(1000) < np.where(group == 0, 0.3, 0.7)).astype(float)
    p = np.where(group == 0, 0.7, 0.3) + 0.01 * random.random(1000)
    assert auc(y, p) < 0.4  # the forecasts follow the base rate of the other group
    found = grouped_auc(y, p, group, np.arange(1000) // 20)
    assert found["low"] < 0.5 < found["high"]
    parts = [auc(y[group == g], p[group == g]) for g in (0, 1)]
    assert min(parts) <= found["value"] <= max(parts)
    alone = grouped_auc(y, p, np.zeros(1000), np.arange(1000) // 20)
    assert alone["value"] == pytest.approx(auc(y, p))
    assert np.isnan(grouped_auc(np.ones(10), p[:10], np.zeros(10))["value"])


@pytest.mark.parametrize("algorithm", ["xgboost", "lightgbm", "catboost", "random_forest", "logistic"])
def test_bins_that_are_shared_between_labels_change_no_answer(rows, cuts, algorithm):
    candidate = {"name": "c", "algorithm": algorithm, "rounds": 5, "params": {}, "calibration": "platt", "seeds": 2}
    data, shared = matrix(rows, SPEC), {}
    for y in (data.y, 1.0 - data.y, np.random.default_rng(0).permutation(data.y)):
        other = replace(data, y=y)
        together = predict_folds(other, SPEC, [candidate], cuts, shared=shared)["c"]
        alone = predict_folds(other, SPEC, [candidate], cuts)["c"]
        assert all((a == b).all() for a, b in zip(together, alone, strict=True))
