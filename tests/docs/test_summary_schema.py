"""docs/demo-summary.schema.json is a schema, closed, and refuses what it should. The demo's own summary is held
against it where the demo runs (tests/e2e).
"""

import json

import pytest
from jsonschema import Draft202012Validator

from tests.docs.summary import SCHEMA, problems

TRAFFIC = {
    "requests": 2578,
    "failed": 0,
    "resets": 0,
    "late": 0,
    "by_version": {"move_60m 1 blue": 1594, "move_60m 2 green": 984},
    "p50_ms": 1.33,
    "p99_ms": 9.71,
    "errors": [],
}
STEP = {
    "weight": 5.0,
    "started_at": "2026-11-21T03:11:48.505458Z",
    "ended_at": "2026-11-21T03:11:52.559278Z",
    "requests": 22,
    "errors": 0,
    "error_rate": 0.0,
    "p99_ms": 3.9,
    "outcome": "passed",
}
ROLLOUT = {
    "id": "3ddd4f8df43e",
    "model": "move_60m",
    "version": "2",
    "from_version": None,
    "state": "succeeded",
    "reason": "version 2 answers everywhere",
    "created_at": "2026-11-21T03:11:46.723272Z",
    "finished_at": None,
    "steps": [STEP],
}
GATE = {"name": "costs", "value": -0.24, "threshold": 0.0, "op": ">", "passed": False, "reason": "misses"}


def objects(node):
    """Every object schema, however deep."""
    if isinstance(node, dict):
        if node.get("type") == "object":
            yield node
        for value in node.values():
            yield from objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from objects(value)


def test_the_schema_is_valid_and_closed():
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    assert all("additionalProperties" in found for found in objects(schema))


@pytest.mark.parametrize(
    ("definition", "good"),
    [("traffic", TRAFFIC), ("rollout", ROLLOUT), ("gate", GATE)],
    ids=lambda value: str(value)[:8],
)
def test_real_parts_pass(definition, good):
    assert problems(good, definition) == []


@pytest.mark.parametrize(
    ("definition", "wrong", "where"),
    [
        ("traffic", {**TRAFFIC, "failed": -1}, "$.failed"),
        ("traffic", {**TRAFFIC, "surprise": 1}, "surprise"),
        ("rollout", {**ROLLOUT, "state": "fine"}, "$.state"),
        ("rollout", {**ROLLOUT, "created_at": 5}, "$.created_at"),
        ("rollout", {**ROLLOUT, "steps": [{**STEP, "weight": 101}]}, "$.steps[0].weight"),
        ("gate", {k: v for k, v in GATE.items() if k != "reason"}, "reason"),
        (None, {"format": 2}, "$.format"),
    ],
)
def test_wrong_parts_are_named(definition, wrong, where):
    assert any(where in problem for problem in problems(wrong, definition))
