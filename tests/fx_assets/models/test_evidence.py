"""Evidence: what is found about a registered version, alone and beside the champion."""

import dataclasses
import json

import numpy as np
import pytest

from fx_assets.evaluation.predictor import Predictor
from fx_assets.evaluation.study import evaluate
from fx_assets.models.evidence import gather
from fx_assets.models.report import summary_table
from tests.fx_assets.evaluation.worlds import NAMES, spec
from tests.fx_assets.models.cards import BEFORE, SESSION, judged, rows, study, version


class Opaque(Predictor):
    """A predictor of a library that cannot say what its features contributed."""

    def contributions(self, x: np.ndarray) -> None:
        return None


def test_the_figures_of_the_study_are_kept_and_the_rest_stands_beside_them():
    evidence = judged().evidence
    assert {key: evidence[key] for key in study().figures} == study().figures
    assert set(evidence) - set(study().figures) == {"naive", "champion", "latency"}
    assert set(evidence["naive"]) == set(study().figures["baselines"])
    assert evidence["latency"]["engine"] == "onnx"
    json.dumps(evidence, allow_nan=False)


def test_the_advantage_over_the_best_naive_forecast_is_that_of_the_study():
    evidence = judged().evidence
    assert evidence["naive"][evidence["baseline"]] == pytest.approx(evidence["auc_vs_baseline"])


def test_the_champion_is_compared_on_rows_it_was_not_trained_on():
    found = judged().evidence["champion"]
    assert (found["version"], found["session"]) == ("1", BEFORE)
    later = study().predictions["decision_time"] >= found["same_rows"]["since"]
    assert found["same_rows"]["rows"] == int(later.sum()) > 500
    assert found["same_rows"]["conclusive"]
    # The same candidate on fewer rows of the same world: neither is better beyond doubt.
    assert found["same_rows"]["auc"]["low"] < 0.01
    assert found["importance"]["overlap"] == 1.0
    assert found["regression"]["auc"]["value"] == 0.0


def test_without_a_champion_there_is_none_in_the_evidence():
    assert judged(compared=False).evidence["champion"] is None


def test_a_champion_without_its_inputs_is_an_error():
    found = study()
    one = version("2", SESSION, found, rows())
    with pytest.raises(ValueError, match="the champion's inputs must be there"):
        gather(one, one, found.figures, found.predictions, rows(), None, 0)


def test_contributions_point_at_the_feature_that_matters():
    found = judged()
    assert found.ranked_by == "contributions"
    assert next(iter(found.shap)) == next(iter(found.gain)) == "signal"
    assert found.contributions is not None
    assert found.contributions.values.shape == found.contributions.inputs.shape == (2000, len(NAMES))


def test_where_a_library_gives_none_permutation_takes_their_place():
    found = study()
    one = version("2", SESSION, found, rows())
    parts = {field.name: getattr(one.predictor, field.name) for field in dataclasses.fields(one.predictor)}
    opaque = dataclasses.replace(one, predictor=Opaque(**parts))
    made = gather(opaque, None, found.figures, found.predictions, rows(), None, 0)
    assert (made.ranked_by, made.contributions) == ("permutation", None)
    assert next(iter(made.shap)) == "signal"


def test_a_model_of_returns_is_judged_by_the_chance_of_a_rise_that_it_implies():
    data = rows().assign(label=lambda frame: frame["forward_return"])
    found = evaluate(data, spec("return", target="real"), canaries=False)
    one, before = (version(number, session, found, data) for number, session in (("2", SESSION), ("1", BEFORE)))
    inputs = found.predictions[["instrument", "decision_time"]].merge(data, on=["instrument", "decision_time"])
    made = gather(one, before, found.figures, found.predictions, data, inputs, 0).evidence
    # Returns are not exported to the service: they are timed as they are.
    assert made["latency"]["engine"] == one.predictor.algorithm == "xgboost"
    assert made["champion"]["same_rows"]["conclusive"]
    assert "| forecast return: r2 | 0." in summary_table(made)
