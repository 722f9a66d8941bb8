"""What pyproject.toml declares can be called: the console script and the commands it loads."""

import tomllib
from importlib import import_module
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text())["project"]
DECLARED = [*PROJECT["scripts"].values()]
DECLARED += [target for group in PROJECT["entry-points"].values() for target in group.values()]


@pytest.mark.parametrize("target", DECLARED)
def test_entry_point_exists(target):
    module, _, name = target.partition(":")
    assert callable(getattr(import_module(module), name))


def test_the_platform_registers_its_commands_where_the_console_script_looks():
    assert PROJECT["scripts"] == {"fx": "fx_serving.cli:main"}
    assert "platform" in PROJECT["entry-points"]["fx.commands"]
