"""Holding a demo's summary.json against its published schema."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "demo-summary.schema.json"


def validator(definition: str | None = None) -> Draft202012Validator:
    """A validator of the whole summary, or of one of the schema's definitions."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    if definition is not None:
        schema = {"$defs": schema["$defs"], "$ref": f"#/$defs/{definition}"}
    return Draft202012Validator(schema, format_checker=FormatChecker())


def problems(content: Any, definition: str | None = None) -> list[str]:
    """What does not fit, as "path: message"; empty when everything does."""
    return [f"{error.json_path}: {error.message[:300]}" for error in validator(definition).iter_errors(content)]


def summary_problems(path: Path) -> list[str]:
    """problems() of a summary file."""
    content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return problems(content)
