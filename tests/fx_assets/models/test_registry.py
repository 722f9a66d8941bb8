"""What a registered version says of itself, and how a registry that cannot be trusted is told from an empty one."""

import hashlib
import shutil
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fx_assets.errors import DataError, StoreError
from fx_assets.models import champion, promotion, registry, spec_file
from fx_assets.schemas import content_hash, model_features
from fx_serving.client.home import Stores
from tests.fx_assets.models.registered import MODEL, SESSION, SMALL_MODELS, register, rows_for, spec_for
from tests.fx_assets.small import changed, configuration_of, write_config

EXPIRING = changed(SMALL_MODELS, models__move__expires_days=30)


@pytest.fixture(scope="module")
def configuration(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        return configuration_of(write_config(tmp_path_factory.mktemp("config"), models=EXPIRING), patch)


@pytest.fixture(scope="module")
def rows(configuration):
    return rows_for(configuration, 400)


@pytest.fixture(scope="module")
def made(tmp_path_factory, configuration, rows) -> Path:
    home = tmp_path_factory.mktemp("registry")
    register(home, configuration, rows, spec_for(configuration), gates=None)
    return home


@pytest.fixture
def stores(made, tmp_path) -> Stores:
    """A copy at another place: what is read is read there."""
    shutil.copytree(made, tmp_path / "home")
    return Stores(tmp_path / "home")


def test_a_version_says_all_of_itself_from_its_first_moment(stores, configuration, rows):
    found = registry.record(stores, MODEL, "1")
    assert found.lacks == []
    assert (found.session, found.gates, found.missed, found.aliases) == (SESSION, "undecided", [], ("challenger",))
    assert found.training_set_hash == content_hash(rows)
    assert found.model_sha256 == hashlib.sha256(registry.model_file(stores, found).read_bytes()).hexdigest()
    gold = registry.artifact(stores, found, registry.GOLD).read_bytes()
    assert found.gold_hash == hashlib.sha256(gold).hexdigest()
    assert registry.gold(stores, found) == {"gold/features": {"2021-03-12": "a"}, "gold/labels": {}}
    assert found.config_hash == spec_file.config_hash(configuration, MODEL)
    spec = champion.load_version(stores, MODEL, "1").spec
    assert spec.features == model_features(configuration, MODEL)
    assert found.feature_schema_hash == spec.schema_hash
    assert (spec.label["kind"], spec.session, spec.chosen["name"]) == ("large_move", SESSION, "tiny")
    assert registry.rows(stores, found).equals(rows)


def test_expiry_counts_from_the_session(stores):
    found = registry.record(stores, MODEL, "1")
    assert found.expires_at == datetime(2021, 4, 14, 21, tzinfo=UTC)
    assert not found.expired(datetime(2021, 4, 14, 20, 59, tzinfo=UTC))
    assert found.expired(datetime(2021, 4, 14, 21, tzinfo=UTC))


def test_spec_and_model_hold_neither_time_nor_run(made, stores, configuration, rows):
    register(stores.home, configuration, rows, spec_for(configuration))
    one, two = (registry.record(stores, MODEL, version) for version in "12")
    differing = {name for name in {*one.tags, *two.tags} if one.tags.get(name) != two.tags.get(name)}
    assert differing == {"gates"}
    assert registry.model_file(stores, one).read_bytes() == registry.model_file(stores, two).read_bytes()


def test_mlflow_loads_the_version_without_pickle(made, configuration, rows):
    import mlflow

    from fx_assets.resources.tracking import prepare

    prepare(made)
    loaded = mlflow.pyfunc.load_model(f"models:/{MODEL}/1")
    expected = champion.load_version(Stores(made), MODEL, "1").predictor
    names = list(expected.features)
    answers = np.asarray(loaded.predict(rows[names].head(20)))
    np.testing.assert_array_equal(answers, expected.predict(rows[names].head(20).to_numpy("float32")))


def test_versions_are_listed_newest_first(stores, configuration, rows):
    for _ in range(10):
        register(stores.home, configuration, rows, spec_for(configuration), gates=None)
    assert [found.version for found in registry.records(stores, MODEL)] == [str(n) for n in range(11, 0, -1)]
    assert registry.records(stores, "unheard_of") == []


@pytest.mark.parametrize(("name", "tag"), [(registry.SPEC, "spec_sha256"), (registry.GOLD, "gold_hash")])
def test_an_altered_file_is_named_with_its_tag(stores, name, tag):
    found = registry.record(stores, MODEL, "1")
    path = registry.artifact(stores, found, name)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(StoreError, match=rf"version 1: .*{path.name} has sha256 .*its tag {tag} says"):
        registry.checked(stores, found, path, tag)


def test_a_champion_that_cannot_be_read_is_not_taken_for_none(stores):
    registry.set_version_tags(registry.open_registry(stores.home), MODEL, "1", {"gates": "approved"})
    promotion.promote(stores, MODEL, "1", force=True, reason="a test", actor="tester")
    found = champion.load(stores, MODEL)
    assert found is not None
    assert (found.version, found.session, len(found.features)) == ("1", SESSION, len(found.spec.features))
    path = registry.model_file(stores, found.record)
    raw = path.read_bytes()
    path.write_bytes(raw[:-1])
    with pytest.raises(StoreError, match="altered or cut short"):
        champion.load(stores, MODEL)
    path.unlink()
    shutil.move(stores.home / "mlflow" / "artifacts", stores.home / "elsewhere")
    with pytest.raises(StoreError, match=r"version 1: (spec\.json|model\.fx) is lost"):
        registry._local(stores, found.record, "file:///nowhere/mlflow/artifacts/1/spec.json")


def test_a_registry_that_is_no_database_is_not_taken_for_an_empty_one(tmp_path):
    assert champion.load(Stores(tmp_path / "new"), MODEL) is None
    assert not (tmp_path / "new").exists()
    (tmp_path / "home" / "mlflow").mkdir(parents=True)
    (tmp_path / "home" / "mlflow" / "mlflow.db").write_bytes(b"no database at all, but long enough to look at")
    with pytest.raises(StoreError, match=r"model registry in .* cannot be read"):
        champion.load(Stores(tmp_path / "home"), MODEL)


def test_a_version_of_older_code_is_named_with_what_it_lacks(stores):
    client = registry.open_registry(stores.home)
    client.delete_model_version_tag(MODEL, "1", "spec_sha256")
    with pytest.raises(StoreError, match=r"older version of the platform, and lacks spec_sha256\. Retire it with"):
        champion.load_version(stores, MODEL, "1")


def test_a_label_that_is_another_one_is_refused_before_training(stores, configuration, monkeypatch, tmp_path):
    promotion.promote(stores, MODEL, "1", force=True, reason="a test", actor="tester")
    holder = champion.load(stores, MODEL)
    champion.must_be_comparable(configuration, holder)
    later = changed(EXPIRING, models__move__label={"kind": "large_move", "horizon_minutes": 120})
    other = configuration_of(write_config(tmp_path / "config", models=later), monkeypatch)
    with pytest.raises(DataError, match=r"label is not that of the champion, version 1: horizon_minutes 60 is now 120"):
        champion.must_be_comparable(other, holder)


def test_a_feature_that_is_gone_is_refused_before_training(stores, configuration):
    promotion.promote(stores, MODEL, "1", force=True, reason="a test", actor="tester")
    holder = champion.load(stores, MODEL)
    assert holder is not None
    moved = [("moon_phase", "technical"), *holder.spec.features]
    older = champion.Champion(
        holder.record, holder.predictor, msgspec.structs.replace(holder.spec, features=moved), holder.figures
    )
    with pytest.raises(
        DataError, match=r"changed since the champion, version 1, was trained: it lacks moon_phase \(tech"
    ):
        champion.must_be_comparable(configuration, older)
