"""The locks of the images beside the one that everything is tested with."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==(\S+)", re.MULTILINE)


def pinned(path: Path) -> set[tuple[str, str]]:
    return set(_PINNED.findall(path.read_text()))


@pytest.mark.parametrize("image", ["serving", "exporter", "platform"])
def test_an_image_holds_only_versions_that_are_tested(image):
    found = pinned(ROOT / "deploy" / "images" / f"{image}.lock")
    assert len(found) > 40
    assert found <= pinned(ROOT / "requirements.lock")


def test_the_serving_image_holds_no_part_of_the_platform():
    names = {name for name, _ in pinned(ROOT / "deploy" / "images" / "serving.lock")}
    assert not names & {"dagster", "mlflow", "feast", "pandas", "xgboost", "evidently", "alembic", "sqlalchemy"}
