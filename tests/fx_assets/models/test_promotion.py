"""Who is champion: only by promotion, against the champion that was judged, and always on record."""

import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fx_assets.errors import StoreError
from fx_assets.models import checks, promotion, registry
from fx_assets.models.promotion_log import PromotionLog
from fx_assets.resources.home import HomeResource
from fx_serving.client.home import Stores
from tests.fx_assets.models.registered import MODEL, SMALL_MODELS, register, rows_for, spec_for
from tests.fx_assets.small import changed, configuration_of, write_config

WHO: Any = {"reason": "a test", "actor": "tester"}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Versions 1 to 4: approved, approved, rejected, approved and expired long ago."""
    home = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        configuration = configuration_of(write_config(tmp_path_factory.mktemp("a"), models=SMALL_MODELS), patch)
        short = changed(SMALL_MODELS, models__move__expires_days=30)
        expiring = configuration_of(write_config(tmp_path_factory.mktemp("b"), models=short), patch)
    for number, gates in enumerate(("approved", "approved", "rejected", "approved"), start=1):
        rows = rows_for(configuration, 400, seed=number)
        register(home, expiring if number == 4 else configuration, rows, spec_for(configuration), gates=gates)
    return home


@pytest.fixture
def stores(made, tmp_path) -> Stores:
    shutil.copytree(made, tmp_path / "home")
    return Stores(tmp_path / "home")


def champion(stores: Stores) -> str | None:
    return registry.version_with_alias(registry.open_registry(stores.home), MODEL, registry.CHAMPION)


def test_a_promotion_is_on_record_with_reason_and_actor(stores):
    change = promotion.promote(stores, MODEL, "1", expected=None, reason="passed every gate", actor="dagster run 7")
    assert champion(stores) == "1"
    assert (change.action, change.version, change.previous, change.outcome) == ("promote", "1", None, "done")
    (kept,) = promotion.history(stores)
    assert (kept.reason, kept.actor) == ("passed every gate", "dagster run 7")
    assert PromotionLog(stores.home).first_broken() is None


def test_a_verdict_against_another_champion_moves_nothing(stores):
    promotion.promote(stores, MODEL, "1", **WHO)
    with pytest.raises(
        promotion.ConflictError, match=r"version 2 was judged against none, but the champion is now ver"
    ):
        promotion.promote(stores, MODEL, "2", expected=None, **WHO)
    assert champion(stores) == "1"
    promotion.promote(stores, MODEL, "2", expected="1", **WHO)
    promotion.rollback(stores, MODEL, **WHO)
    with pytest.raises(promotion.ConflictError, match="judged against version 2, but the champion is now version 1"):
        promotion.promote(stores, MODEL, "4", expected="2", force=True, **WHO)


def test_promoting_the_champion_again_changes_nothing_and_tells_what_it_replaced(stores):
    promotion.promote(stores, MODEL, "1", **WHO)
    promotion.promote(stores, MODEL, "2", expected="1", **WHO)
    again = promotion.promote(stores, MODEL, "2", expected="1", reason="a run repeated", actor="another")
    assert (again.previous, again.actor) == ("1", "tester")
    assert len(promotion.history(stores)) == 2


@pytest.mark.parametrize(
    ("version", "told"),
    [("3", "version 3 is rejected"), ("4", "version 4 expired at 2021-04-14T21:00:00Z"), ("9", "has no version '9'")],
)
def test_what_is_not_fit_is_refused_with_the_remedy(stores, version, told):
    promotion.promote(stores, MODEL, "1", **WHO)
    with pytest.raises(StoreError, match=told):
        promotion.promote(stores, MODEL, version, **WHO)
    assert champion(stores) == "1"
    assert [change.version for change in promotion.history(stores)] == ["1"]


def test_an_expired_version_is_told_from_a_rejected_one(stores):
    with pytest.raises(promotion.ExpiredError):
        promotion.promote(stores, MODEL, "4", **WHO)
    with pytest.raises(promotion.RefusedError) as caught:
        promotion.promote(stores, MODEL, "3", **WHO)
    assert not isinstance(caught.value, promotion.ExpiredError)


def test_force_is_on_record(stores):
    promotion.promote(stores, MODEL, "3", force=True, reason="no other is left", actor="tester")
    assert champion(stores) == "3"
    assert promotion.history(stores)[-1].reason == "no other is left"


def test_a_change_needs_a_reason(stores):
    with pytest.raises(promotion.RefusedError, match="needs a reason"):
        promotion.promote(stores, MODEL, "1", reason=" ", actor="tester")
    assert champion(stores) is None


def test_a_rejected_version_stays_away(stores):
    promotion.promote(stores, MODEL, "1", **WHO)
    promotion.reject(stores, MODEL, "2", reason="trained on a bad week", actor="tester")
    found = registry.record(stores, MODEL, "2")
    assert (found.gates, found.missed) == ("rejected", [promotion.BY_HAND])
    with pytest.raises(promotion.RefusedError, match="version 2 is rejected"):
        promotion.promote(stores, MODEL, "2", **WHO)
    # Deciding upon it again does not undo what a person said.
    registry.set_version_tags(registry.open_registry(stores.home), MODEL, "2", {"gates": "approved"})
    with pytest.raises(promotion.RefusedError, match="version 2 was rejected by tester: trained on a bad week"):
        promotion.promote(stores, MODEL, "2", **WHO)
    with pytest.raises(promotion.RefusedError, match="version 1 is the champion"):
        promotion.reject(stores, MODEL, "1", **WHO)


def test_what_a_person_rejected_does_not_come_back_by_a_rollback(stores):
    for version in ("1", "2"):
        promotion.promote(stores, MODEL, version, **WHO)
    promotion.reject(stores, MODEL, "1", reason="trained on a bad week", actor="tester")
    # A decision made again, as a run of the earlier session makes it.
    registry.set_version_tags(registry.open_registry(stores.home), MODEL, "1", {"gates": "approved"})
    for to in (None, "1"):
        with pytest.raises(promotion.RefusedError, match="version 1 was rejected by tester: trained on a bad week"):
            promotion.rollback(stores, MODEL, to=to, **WHO)
    assert champion(stores) == "2"
    promotion.promote(stores, MODEL, "1", force=True, **WHO)
    assert champion(stores) == "1"


def test_rolling_back_steps_over_what_was_rolled_back_from(stores):
    for version in ("1", "2", "4"):
        promotion.promote(stores, MODEL, version, force=True, **WHO)
    assert promotion.rollback(stores, MODEL, **WHO).version == "2"
    assert promotion.rollback(stores, MODEL, **WHO).version == "1"
    with pytest.raises(promotion.RefusedError, match="no champion before version 1 is on record"):
        promotion.rollback(stores, MODEL, **WHO)
    promotion.promote(stores, MODEL, "4", force=True, **WHO)
    assert promotion.rollback(stores, MODEL, **WHO).version == "1"
    assert promotion.rollback(stores, MODEL, to="2", **WHO).version == "2"
    with pytest.raises(promotion.RefusedError, match="version 3 is rejected"):
        promotion.rollback(stores, MODEL, to="3", **WHO)
    assert champion(stores) == "2"


def test_a_retired_line_has_no_champion_and_the_next_needs_none(stores):
    promotion.promote(stores, MODEL, "1", **WHO)
    promotion.retire(stores, MODEL, reason="another label", actor="tester")
    assert champion(stores) is None
    with pytest.raises(promotion.RefusedError, match="no champion to retire"):
        promotion.retire(stores, MODEL, **WHO)
    promotion.promote(stores, MODEL, "2", expected=None, **WHO)
    assert champion(stores) == "2"


def test_what_a_killed_process_meant_is_settled_by_the_next_one(stores):
    """Killed before the alias moved, and after it: the log then says what happened."""
    promotion.promote(stores, MODEL, "1", **WHO)
    log = PromotionLog(stores.home)
    log.mean(MODEL, "promote", "2", "1", "killed before", "tester")
    promotion.promote(stores, MODEL, "1", **WHO)
    assert [c.outcome for c in promotion.history(stores)] == ["done", "undone"]
    log.mean(MODEL, "promote", "2", "1", "killed after", "tester")
    registry.open_registry(stores.home).set_registered_model_alias(MODEL, registry.CHAMPION, "2")
    assert promotion.rollback(stores, MODEL, **WHO).version == "1"
    assert [c.outcome for c in promotion.history(stores)] == ["done", "undone", "done", "done"]
    assert log.first_broken() is None


def test_a_changed_line_of_the_log_shows(stores):
    for version in ("1", "2"):
        promotion.promote(stores, MODEL, version, **WHO)
    with sqlite3.connect(stores.home / "mlflow" / "promotions.db") as db:
        db.execute("UPDATE audit SET actor = 'nobody' WHERE seq = 2")
    assert PromotionLog(stores.home).first_broken() == 2


def test_a_log_that_cannot_be_written_leaves_the_champion_alone(stores):
    promotion.promote(stores, MODEL, "1", **WHO)
    (stores.home / "mlflow" / "promotions.db").write_bytes(b"no database at all, but long enough to look at")
    with pytest.raises(StoreError, match=r"promotions\.db: file is not a database"):
        promotion.promote(stores, MODEL, "2", **WHO)
    assert champion(stores) == "1"


def looked_at(stores: Stores) -> dict[str, bool]:
    """What the checks that look at a champion day by day find."""
    configuration = SimpleNamespace(models=SimpleNamespace(models={MODEL: None}))
    found: Any = [check(HomeResource(path=str(stores.home))) for check in checks.build(configuration)]  # type: ignore[arg-type]
    return {name: result.passed for name, result in zip(("alias", "age"), found, strict=True)}


def test_the_champion_is_the_one_on_record(stores):
    assert looked_at(stores) == {"alias": True, "age": True}  # none yet
    promotion.promote(stores, MODEL, "1", **WHO)
    assert looked_at(stores)["alias"]
    client = registry.open_registry(stores.home)
    client.delete_registered_model_alias(MODEL, registry.CHAMPION)
    assert not looked_at(stores)["alias"]
    client.set_registered_model_alias(MODEL, registry.CHAMPION, "3")
    assert not looked_at(stores)["alias"]
    promotion.promote(stores, MODEL, "4", force=True, **WHO)
    assert looked_at(stores) == {"alias": True, "age": False}
    promotion.retire(stores, MODEL, **WHO)
    assert looked_at(stores) == {"alias": True, "age": True}
