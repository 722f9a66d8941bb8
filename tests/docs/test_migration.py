"""The migration guide names only what exists: assets, rows of automation.yaml, pools, and keys of the mapping file.

Its commands and links are tested with those of every document (test_docs).
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fx_assets.compare.mapping import Mapping
from fx_assets.configuration import load_configuration
from fx_assets.configuration.load import SHIPPED
from tests.fx_assets.small import changed, write_config

GUIDE = (Path(__file__).parents[2] / "docs" / "migration.md").read_text(encoding="utf-8")
SPAN = re.compile(r"`([^`]+)`")


def section(title: str) -> str:
    return GUIDE.split(f"## {title}\n")[1].split("\n## ")[0]


def cells(title: str, column: int) -> list[str]:
    """The code spans of one column of a section's first table, without its head."""
    rows = re.findall(r"^\|(.+)\|$", section(title), re.M)[2:]
    return [span for row in rows for span in SPAN.findall(row.split("|")[column])]


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Every asset of both code locations, models' without their model, where all that is optional is configured."""
    from fx_assets.definitions import build_definitions
    from fx_monitoring.definitions import build_definitions as build_monitoring

    folder = tmp_path_factory.mktemp("config")
    models: dict[str, Any] = yaml.safe_load((SHIPPED / "models.yaml").read_text())
    name = next(iter(models["models"]))
    models = changed(models, **{f"models__{name}__search": {"trials": 2, "space": {"rounds": {"low": 5, "high": 9}}}})
    instruments = yaml.safe_load((SHIPPED / "instruments.yaml").read_text())
    gates = yaml.safe_load((SHIPPED / "gates.yaml").read_text())
    reference = {"economic": str(folder / "economic.csv"), "rates": str(folder / "rates.csv")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FX_CONFIG_DIR", str(write_config(folder, instruments, models, gates, {"reference": reference})))
        patch.setenv("FX_HOME", str(folder / "home"))
        built = (build_definitions(load_configuration(), folder / "home"), build_monitoring())
        keys = {key for made in built for key in made.resolve_asset_graph().get_all_asset_keys()}
        names = load_configuration().models.models
    return {"/".join(key.path[1:] if key.path[0] in names else key.path) for key in keys}


def test_every_asset_it_names_exists(assets):
    named = cells("Job by job", 1)
    assert len(named) > 40
    assert not [name for name in named if name not in assets]


def test_every_row_it_names_exists_and_no_row_of_data_models_or_monitoring_is_left_out():
    named = cells("Job by job", 2)
    rows = load_configuration().automation.rows
    assert not [name for name in named if name not in rows]
    unnamed = {"news_clock_check", "synthetic_refresh_weekly", "feature_importance_weekly", "late_outcomes"}
    unnamed |= {"service_levels", "service_levels_report", "dead_runs"}
    assert set(rows) - set(named) == unnamed  # without a counterpart in a cron table


def test_what_it_switches_and_the_keys_of_rows_exist():
    from fx_assets.configuration.automation import Row
    from fx_assets.runs.pools import LIMITS

    rows = load_configuration().automation.rows
    switched = re.findall(r"fx automation (?:on|off) ([a-z_]+)", GUIDE)
    assert len(switched) >= 5
    assert set(switched) <= set(rows)
    spans = SPAN.findall(section("Concept by concept"))
    assert {"cron", "every_seconds", "timezone", "sla_minutes", "done_by", "market_hours"} <= set(spans)
    assert {"cron", "every_seconds", "timezone", "sla_minutes", "done_by", "market_hours"} <= set(Row.model_fields)
    pools = re.search(r"\| pools (`.+`) \(", section("Concept by concept"))
    assert pools is not None
    assert set(SPAN.findall(pools[1])) == set(LIMITS)


def test_its_mapping_file_is_one_and_names_real_tables_and_columns():
    from fx_assets.schemas import build_schemas

    block = section("2. Both at once").split("A mapping file says")[1]
    text = "\n".join(line[4:] for line in re.findall(r"^ {4}.+$", block, re.M))
    mapping = Mapping.model_validate(yaml.safe_load(text))
    schemas = build_schemas(load_configuration())
    assert set(mapping.tables) == {"gold/features", "silver/candles"}
    for name, table in mapping.tables.items():
        assert set(table.columns) <= set(schemas[name].names)
        assert not table.key or set(table.key) <= set(schemas[name].names)


@pytest.mark.parametrize("words", ["labels bars by their close", "inverted", "scaled", "look-ahead in the old system"])
def test_the_causes_it_explains_are_those_that_are_told(words):
    told = "".join(
        (Path(__file__).parents[2] / "fx_assets" / "compare" / f"{n}.py").read_text() for n in ("causes", "shifts")
    )
    assert words in section("2. Both at once")
    assert words in told
