"""Evaluation and decision as assets: the card of every version, the evidence, and the champion it holds against."""

from pathlib import Path

import dagster as dg
import msgspec
import pytest

from fx_assets.models import registry
from fx_assets.models.assets.judging import card_folder
from fx_serving.client.home import Stores
from tests.fx_assets.conftest import WALKED
from tests.fx_assets.small import Platform, checks

pytestmark = pytest.mark.slow

FIRST, SECOND = WALKED


def file(platform: Platform, step: str, session: str) -> Path:
    return platform.home / "lake" / "models" / "move" / step / f"session={session}" / "record.json"


def record(platform: Platform, step: str, session: str) -> dict:
    return msgspec.json.decode(file(platform, step, session).read_bytes())


@pytest.mark.parametrize(("version", "session"), [("1", FIRST), ("2", SECOND)])
def test_every_version_has_its_card_at_home_and_in_mlflow(walked, version, session):
    stores = Stores(walked.home)
    folder = card_folder(stores, "move", version)
    page = (folder / "model-card.html").read_text()
    assert f"<h1>move, version {version}</h1>" in page
    assert f"session {session}" in page
    found = registry.record(stores, "move", version)
    kept = registry.artifact(stores, found, "card/model-card.html")
    assert kept.read_text() == page
    assert (kept.parent / "plots" / "folds.png").read_bytes() == (folder / "plots" / "folds.png").read_bytes()
    # What the card's reader is told to trust is what the registry holds.
    assert found.training_set_hash in page


def test_the_first_version_met_no_champion_and_the_second_met_the_first(walked):
    first, second = (record(walked, "model_evaluation", session) for session in WALKED)
    assert first["champion"] is None
    assert (second["champion"]["version"], second["champion"]["session"]) == ("1", FIRST)
    verdict = record(walked, "promotion_decision", SECOND)
    assert (verdict["version"], verdict["champion"]) == ("2", "1")
    named = {gate["name"] for gate in verdict["gates"]}
    assert {"some_data", "leak_future_feature", "not_worse_than_champion"} <= named
    assert all(gate["reason"] for gate in verdict["gates"])


def test_the_evidence_is_the_study_and_what_was_measured_of_the_version(walked):
    found, trained = (record(walked, step, SECOND) for step in ("model_evaluation", "trained_model"))
    assert {key: found[key] for key in trained["figures"]} == trained["figures"]
    assert found["latency"]["engine"] == "onnx"
    assert set(found["naive"]) == set(trained["figures"]["baselines"])
    assert found["card"] == str(card_folder(Stores(walked.home), "move", "2") / "model-card.html")


def test_a_verdict_does_not_hold_against_a_champion_that_came_later(walked):
    with pytest.raises(dg.Failure, match=r"version 1 was compared with champion \(none\), but the champion is 2 now"):
        walked.run(["move/promotion_decision"], FIRST)
    assert registry.version_with_alias(registry.open_registry(walked.home), "move", registry.CHAMPION) == "2"


def test_the_user_interface_shows_the_card_with_its_pictures(walked):
    kept = file(walked, "model_evaluation", SECOND).read_bytes()
    result = walked.run(["move/model_evaluation"], SECOND)
    # By now the version is the champion itself; others want to see how it was judged before.
    file(walked, "model_evaluation", SECOND).write_bytes(kept)
    (event,) = result.get_asset_materialization_events()
    shown = event.step_materialization_data.materialization.metadata
    assert shown["model_card"].value.count("](data:image/png;base64,") == 10
    assert shown["model_card"].value.startswith("# move, version 2")
    assert shown["model_card_html"].value == str(card_folder(Stores(walked.home), "move", "2") / "model-card.html")
    assert shown["says"].value.startswith("It ")
    assert "move/model_evaluation/beats_baselines" in checks(result)
