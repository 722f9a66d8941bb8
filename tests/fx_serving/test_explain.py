"""?explain=true."""

import asyncio
import math
import os
import signal
from typing import Any

import msgspec
import pytest

from fx_serving.dataplane import explain
from fx_serving.dataplane.explain import Explainer, Question
from fx_serving.dataplane.explain_helper import Models
from tests.servers.plane import Plane
from tests.servers.serving import make_bundle, wait_until


def explained(plane: Plane, **question: Any) -> dict[str, Any]:
    """An explained answer: the first ones may be too early for the helper process."""
    asked = lambda: plane.predict(path="/predict?explain=true", **question)  # noqa: E731
    return wait_until(lambda: (answer := asked())["explanation"] and answer)


def test_the_contributions_add_up_to_the_score(plane):
    answer = explained(plane)
    told = answer["explanation"]
    assert answer["explanation_note"] is None
    sizes = [abs(one["contribution"]) for one in told["contributions"]]
    assert sizes == sorted(sizes, reverse=True)
    log_odds = told["base"] + sum(one["contribution"] for one in told["contributions"])
    assert 1 / (1 + math.exp(-log_odds)) == pytest.approx(answer["prediction"], abs=1e-5)
    assert {one["feature"]: one["value"] for one in told["contributions"]} == answer["features_used"]


def test_a_repeated_question_can_be_explained_afterwards(plane):
    plain = plane.predict(request_id="later-1")
    answer = explained(plane, request_id="later-1")
    assert "explanation" not in plain
    assert answer["explanation"]["method"] == "tree_shap_log_odds"
    assert {key: answer[key] for key in plain} == plain


def test_what_cannot_be_explained_is_answered_with_a_note(plane):
    explained(plane)
    answer = plane.predict(path="/predict?explain=true", model="dir_60m")
    assert answer["explanation"] is None
    assert "native model" in answer["explanation_note"]


def test_the_helper_comes_back_when_it_was_killed(plane):
    explained(plane)
    children = f"/proc/{plane.process.pid}/task/{plane.process.pid}/children"
    with open(children) as file:
        pids = file.read().split()
    for pid in pids:
        os.kill(int(pid), signal.SIGKILL)
    assert explained(plane)["explanation"]["contributions"]


def test_a_helper_that_hangs_is_replaced(plane, monkeypatch):
    body = plane.http.post("/predict", json={"instrument": "GBP_USD"}).content

    async def ask() -> list[dict[str, Any]]:
        explainer, answers = Explainer(plane.stores.bundles), []
        try:
            for deadline_s, hanging_s in ((60, 60), (0.2, 0.1), (60, 60)):
                monkeypatch.setattr(explain, "DEADLINE_S", deadline_s)
                monkeypatch.setattr(explain, "HANGING_S", hanging_s)
                answers.append(msgspec.json.decode(await explainer.explain(body)))
                if explainer._process is not None:
                    explainer._process.send_signal(signal.SIGSTOP)
            return answers
        finally:
            await explainer.stop()

    first, hanging, last = asyncio.run(ask())
    assert first["explanation"] == last["explanation"] is not None
    assert "ask again" in hanging["explanation_note"]


@pytest.mark.parametrize("query", ["explain=yes", "explain=", "explain=1"])
def test_only_true_and_false_are_taken(plane, query):
    answer = plane.http.post(f"/predict?{query}", json={"instrument": "GBP_USD"})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("explain:")


def test_false_is_a_plain_answer(plane):
    assert "explanation" not in plane.predict(path="/predict?explain=false")


def test_a_native_model_that_is_not_the_listed_one_is_not_explained(plane):
    make_bundle(plane.stores, "7", native=True)
    folder = plane.stores.bundles / "move_60m" / "7"
    (folder / "model.ubj").write_bytes(b"something else")
    assert "manifest" in str(Models().answer(Question(str(folder), [0.0] * 4)).note)
