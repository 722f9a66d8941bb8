"""Wrong inputs end a training with a named error, and leave registry and champion exactly as they were."""

import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from fx_assets.models import registry
from fx_serving.client.home import Stores
from tests.fx_assets.small import GATES, MODELS, Platform, changed, configuration_of, write_config

pytestmark = pytest.mark.slow

SESSION, NEXT = "2021-03-15", "2021-03-16"
STEPS = ["training_set", "model_study", "trained_model", "model_evaluation", "promotion_decision", "promoted_model"]


@pytest.fixture(scope="module")
def trained(history, instance, tmp_path_factory) -> Platform:
    """A platform with a champion."""
    home = tmp_path_factory.mktemp("wrong")
    shutil.copytree(history.home / "lake", home / "lake")
    folder = write_config(tmp_path_factory.mktemp("config"), gates=GATES)
    with pytest.MonkeyPatch.context() as patch:
        platform = Platform(home, configuration_of(folder, patch), instance)
    platform.run(["feature_registry"])
    platform.run([f"move/{step}" for step in STEPS], SESSION)
    return platform


def state(home: Path) -> list[tuple]:
    """Everything the registry says: versions, their tags, aliases."""
    found = registry.records(Stores(home), "move")
    assert [record.version for record in found if registry.CHAMPION in record.aliases] == ["1"]
    return [(record.version, dict(record.tags), record.aliases) for record in found]


def spoiled(platform: Platform, home: Path, change: Callable[[str, pd.DataFrame], pd.DataFrame]) -> Platform:
    """The same platform on a copy whose gold tables are changed."""
    shutil.copytree(platform.home, home)
    made = Platform(home, platform.configuration, platform.instance)
    for table in ("gold/features", "gold/labels"):
        frames = made.lake.read(table, made.lake.keys(table))
        made.lake.write(table, {key: change(table, frame) for key, frame in frames.items()})
    made.run(["feature_registry"])  # it names the folders of its home
    return made


def one_class(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    column = "large_move_60m"
    return frame.assign(**{column: frame[column].where(frame[column].isna(), 0.0)}) if "labels" in table else frame


def no_value(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(rsi_14=np.nan) if "features" in table else frame


def twice(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame.tail(1)], ignore_index=True) if "labels" in table else frame


def nothing_decided(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(large_move_60m=np.nan) if "labels" in table else frame


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (one_class, f"move, session {NEXT}: every label is 0. Widen the window."),
        (no_value, f"move, session {NEXT}: rsi_14 (1) has no value in the whole window."),
        (twice, f"move, session {NEXT}: gold/labels: "),
        (nothing_decided, f"move, session {NEXT}: 0 complete rows in 85 sessions"),
    ],
)
def test_a_window_that_cannot_be_used(trained, tmp_path, change, told):
    before = state(trained.home)
    platform = spoiled(trained, tmp_path / "home", change)
    with pytest.raises(dg.Failure) as caught:
        platform.run([f"move/{step}" for step in STEPS], NEXT)
    assert told in str(caught.value.description)
    assert state(platform.home) == before


def test_an_empty_window(trained):
    before = state(trained.home)
    first = trained.lake.keys("gold/labels")[0]
    with pytest.raises(dg.Failure, match=f"move, session {first}: gold/features or gold/labels not made"):
        trained.run([f"move/{step}" for step in STEPS], first)
    assert state(trained.home) == before


def test_another_label_than_the_champions(trained, tmp_path, monkeypatch):
    before = state(trained.home)
    models = changed(MODELS, models__move__label={"kind": "direction", "horizon_minutes": 60})
    other = configuration_of(write_config(tmp_path / "config", models=models, gates=GATES), monkeypatch)
    platform = Platform(trained.home, other, trained.instance)
    with pytest.raises(
        dg.Failure, match="the label is not that of the champion, version 1: kind large_move is now dir"
    ):
        platform.run([f"move/{step}" for step in STEPS], NEXT)
    assert state(trained.home) == before


def test_a_schema_that_has_changed_since_the_champion(trained, monkeypatch):
    """As if a release had dropped a feature that the champion was trained with."""
    from fx_assets import schemas
    from fx_assets.models import champion

    before = state(trained.home)

    def without(configuration):
        return {view: [n for n in names if n != "rsi_14"] for view, names in schemas.views(configuration).items()}

    monkeypatch.setattr(champion, "views", without)
    with pytest.raises(dg.Failure, match=r"changed since the champion, version 1, was trained: it lacks rsi_14 \(tech"):
        trained.run([f"move/{step}" for step in STEPS], NEXT)
    assert state(trained.home) == before


def test_a_champion_that_cannot_be_read_blocks_and_stays(trained, tmp_path):
    """It is not taken for none: a new version would otherwise pass without comparison."""
    shutil.copytree(trained.home, tmp_path / "home")
    platform = Platform(tmp_path / "home", trained.configuration, trained.instance)
    platform.run(["feature_registry"])
    stores = Stores(platform.home)
    path = registry.model_file(stores, registry.record(stores, "move", "1"))
    path.write_bytes(path.read_bytes()[:-7])
    before = state(platform.home)
    with pytest.raises(Exception, match="altered or cut short"):
        platform.run([f"move/{step}" for step in STEPS], NEXT)
    assert state(platform.home) == before
