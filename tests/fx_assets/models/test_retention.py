"""Old versions lose their training rows by command only, and nobody who asks for them is left in the dark."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fx_assets.cli.models import app
from fx_assets.errors import ConfigError, StoreError
from fx_assets.lake import Lake
from fx_assets.models import champion, promotion, registry
from fx_assets.models.reproduce import reproduce
from fx_assets.models.retention import prune
from fx_assets.trace.model import training_link
from fx_serving.client.home import Stores
from tests.fx_assets.models.registered import MODEL, SESSION, SMALL_MODELS, register, rows_for, spec_for, study_record
from tests.fx_assets.small import configuration_of, write_config

WHO: Any = {"reason": "a test", "actor": "tester"}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Versions 1 to 6, all approved, 1 with a study; 3 was champion and 2 is; 6 is challenger."""
    home = tmp_path_factory.mktemp("registry") / "home"
    with pytest.MonkeyPatch.context() as patch:
        configuration = configuration_of(write_config(tmp_path_factory.mktemp("config"), models=SMALL_MODELS), patch)
    spec = spec_for(configuration)
    record, predictions = study_record(rows_for(configuration), spec)
    register(home, configuration, rows_for(configuration), spec, studied=record, predictions=predictions)
    for seed in range(2, 7):
        register(home, configuration, rows_for(configuration, 300, seed=seed), spec)
    for version in ("3", "2"):
        promotion.promote(Stores(home), MODEL, version, **WHO)
    return home.rename(home.parent / "moved")  # as a home that was restored: its files are found in itself only


@pytest.fixture
def stores(made, tmp_path) -> Stores:
    shutil.copytree(made, tmp_path / "home")
    return Stores(tmp_path / "home")


def with_rows(stores: Stores) -> list[str]:
    """The versions whose own rows can be read."""
    found = []
    for record in registry.records(stores, MODEL):
        try:
            registry.rows(stores, record)
        except registry.PrunedError:
            continue
        found.append(record.version)
    return sorted(found)


def test_what_may_be_needed_keeps_its_rows(stores):
    told = prune(stores, MODEL, 1, dry_run=True)
    assert [found.version for found in told] == ["5", "4", "1"]
    assert all(found.bytes > 10_000 and found.session == SESSION for found in told)
    assert with_rows(stores) == ["1", "2", "3", "4", "5", "6"]
    assert prune(stores, MODEL, 2) == told[1:]
    assert with_rows(stores) == ["2", "3", "5", "6"]
    assert prune(stores, MODEL, 0) == told[:1]
    assert with_rows(stores) == ["2", "3", "6"]
    assert prune(stores, MODEL, 0) == []


def test_everything_else_of_a_pruned_version_stays(stores):
    before = registry.record(stores, MODEL, "1")
    prune(stores, MODEL, 1)
    after = registry.record(stores, MODEL, "1")
    assert {**before.tags, registry.PRUNED: after.tags[registry.PRUNED]} == after.tags
    assert champion.load_version(stores, MODEL, "1").figures["n"] > 0
    assert promotion.rollback(stores, MODEL, to="1", **WHO).version == "1"


def test_a_pruned_version_says_so_and_how_its_rows_can_be_had_again(stores, tmp_path):
    lake = Lake(tmp_path / "lake")
    rows = registry.rows(stores, registry.record(stores, MODEL, "1"))
    prune(stores, MODEL, 1)
    with pytest.raises(registry.PrunedError) as caught:
        reproduce(stores, MODEL, "1", lake=lake)
    words = str(caught.value)
    assert "version 1: its training rows were pruned on 2" in words
    assert f"training_set of session {SESSION} is not there. Materialize {MODEL}/training_set for {SESSION}" in words
    assert training_link(stores, lake, registry.record(stores, MODEL, "1")).problems == [words]
    lake.write(f"models/{MODEL}/training_set", {SESSION: rows.head(100)})
    with pytest.raises(registry.PrunedError, match=r"has other rows \("):
        reproduce(stores, MODEL, "1", lake=lake)
    # Made again as it was, by its hash.
    lake.write(f"models/{MODEL}/training_set", {SESSION: rows})
    assert reproduce(stores, MODEL, "1", lake=lake).equal
    link = training_link(stores, lake, registry.record(stores, MODEL, "1"))
    assert link.problems == []
    assert "the version's own were pruned on" in link.words


def test_a_copied_home_does_not_prune_the_one_it_was_copied_from(stores, tmp_path):
    for record in registry.records(stores, MODEL):
        registry.artifact(stores, record, registry.ROWS)
    shutil.copytree(stores.home / "mlflow", tmp_path / "copy" / "mlflow")
    path = registry.artifact(stores, registry.record(stores, MODEL, "1"), registry.ROWS)
    original = Path(registry.folder_of(registry.record(stores, MODEL, "1").source)).parent / registry.ROWS
    original.parent.mkdir(parents=True)
    shutil.copy(path, original)
    copy = Stores(tmp_path / "copy")
    assert "1" in [found.version for found in prune(copy, MODEL, 1)]
    # Its own are gone: those of the place where it was written are still found, and are not its own.
    assert "1" not in [found.version for found in prune(copy, MODEL, 1)]
    assert original.is_file()
    assert path.is_file()
    shutil.rmtree(original.parents[3])


def test_lost_rows_are_not_taken_for_pruned_ones(stores, tmp_path):
    record = registry.record(stores, MODEL, "5")
    registry.artifact(stores, record, registry.ROWS).unlink()
    with pytest.raises(StoreError, match="is lost") as caught:
        registry.rows(stores, record, Lake(tmp_path / "lake"))
    assert not isinstance(caught.value, registry.PrunedError)
    assert [found.version for found in prune(stores, MODEL, 1)] == ["4", "1"]


def test_the_command_says_what_goes(stores, monkeypatch):
    monkeypatch.setenv("FX_HOME", str(stores.home))
    dry = CliRunner().invoke(app, ["prune", MODEL, "--keep", "1", "--dry-run", "--home", str(stores.home)])
    assert dry.exit_code == 0
    assert f"{MODEL}: training rows of 3 versions would be removed" in dry.stdout
    done = CliRunner().invoke(app, ["prune", MODEL, "--keep", "1", "--home", str(stores.home)])
    assert f"version 4, session {SESSION}: " in done.stdout
    assert f"{MODEL}: training rows of 3 versions removed" in done.stdout
    with pytest.raises(ConfigError, match="--keep: -1 is negative"):
        prune(stores, MODEL, -1)
