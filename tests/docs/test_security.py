"""docs/security.md: each of its claims names a test that is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
TABLES = re.findall(r"^\| claim \| test \|\n\| --- \| --- \|\n((?:\|.*\n)+)", TEXT, re.M)
ROWS = [tuple(cell.strip() for cell in row.strip("|").split(" | ")) for table in TABLES for row in table.splitlines()]


def test_the_claims_are_read():
    assert len(TABLES) == TEXT.count("| claim | test |") >= 4
    assert len(ROWS) >= 40
    assert len({claim for claim, _ in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("claim", "named"), ROWS, ids=[claim for claim, _ in ROWS])
def test_a_claim_has_a_test(claim, named):
    place = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", named)
    assert place is not None, named
    path, name = place.groups()
    functions = [n for n in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(n, ast.FunctionDef)]
    assert [function.name for function in functions].count(name) == 1
