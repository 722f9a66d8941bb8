"""What the framework refuses in a request, in the service's words: `field: what; remedy`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

# Words for each kind of problem that pydantic knows by name; filled in from its context.
_WORDS = {
    "missing": "is missing; give it",
    "string_type": "must be a text; put it in quotes",
    "string_pattern_mismatch": "has characters it may not have; it must match {pattern}",
    "string_too_long": "is too long; at most {max_length} characters",
    "string_too_short": "is too short; at least {min_length} characters",
    "string_unicode": "holds half a character; send valid UTF-8",
    "dict_type": 'must be an object; write it as {{"name": value}}',
    "model_type": "must be an object; name its fields",
    "model_attributes_type": "must be an object; name its fields",
    "list_type": "must be a list; write it as [...]",
    "bool_type": "must be true or false; give one of them",
    "bool_parsing": "must be true or false; give one of them",
    "int_type": "must be a whole number; give one",
    "int_parsing": "must be a whole number; give one",
    "int_parsing_size": "is too large; give a smaller whole number",
    "int_from_float": "must be a whole number; leave the fraction out",
    "float_type": "must be a number; give one",
    "float_parsing": "must be a number; give one",
    "finite_number": "must be a finite number; give one",
    "literal_error": "is none of the values it can have; give {expected}",
    "greater_than": "is too small; it must be above {gt}",
    "greater_than_equal": "is too small; it must be at least {ge}",
    "less_than": "is too large; it must be below {lt}",
    "less_than_equal": "is too large; it must be at most {le}",
}
_KINDS_OF_PARAMETER = ("body", "query", "path", "header")


def problem_of(error: RequestValidationError, route: Any = None) -> str:
    """The first problem FastAPI found, as `field: what; remedy`. route: whose request it was."""
    first = error.errors()[0]
    parts = first["loc"][1:] if first["loc"][:1] and first["loc"][0] in _KINDS_OF_PARAMETER else first["loc"]
    field, context = ".".join(str(part) for part in parts), first.get("ctx", {})
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "json_invalid":
        return f"body: not valid JSON ({context.get('error', message)})"
    known = ", ".join(_fields(route))
    if first["type"] == "extra_forbidden" and len(parts) == 1:
        return f"{field}: no such field; known: {known}" if known else f"{field}: no such field; leave it out"
    if not field and first["type"] in ("missing", "model_attributes_type", "model_type", "dict_type"):
        what = "is missing" if first["type"] == "missing" else "must be a JSON object"
        return f"body: {what}; send an object with {known}" if known else f"body: {what}; send an object"
    if words := _WORDS.get(first["type"]):
        return f"{field or 'body'}: {words.format(**context)}"
    # What a validator says of a part of the field, or of several, begins with the name.
    return message if not field or message.startswith(f"{field}.") else f"{field}: {message}"


def _fields(route: Any) -> Iterator[str]:
    """Names of the fields that the route's body may have."""
    annotation = getattr(getattr(getattr(route, "body_field", None), "field_info", None), "annotation", None)
    for model in (annotation, *get_args(annotation)):
        if isinstance(model, type) and issubclass(model, BaseModel):
            yield from model.model_fields
