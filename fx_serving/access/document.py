"""Access in the OpenAPI document: the bearer scheme, each route's roles, and the refusals every route has in common."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from fx_serving.access.roles import rule_for

_METHODS = ("get", "post", "put", "patch", "delete")
# What a worker hands on to the controller.
_HANDED_ON = ("/rollouts", "/models", "/traffic", "/audit", "/series")
_PROBLEM = {
    "title": "Problem",
    "type": "object",
    "description": "What was wrong, where, and what to do.",
    "required": ["detail"],
    "properties": {"detail": {"title": "Detail", "type": "string"}},
}
_ALWAYS = {
    "400": "The request is not valid HTTP, or its body ended early",
    "403": "Another page's origin, an unknown host name, or a token without the role",
    "431": "Headers too long",
}
_GUARDED = {"401": "No token, or one that is not in force", "429": "Asked too often, or too much at once: Retry-After"}
_CHANGES = {"404": "No such thing; those there are, are named", "409": "Not now: the present state is told"}
_BODY = {"408": "The body did not arrive in time", "413": "The body is too long"}


def document_access(app: FastAPI) -> None:
    """Let app.openapi() tell of access. Call it when all routes are there."""
    build = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(build())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).setdefault("Problem", _PROBLEM)
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "Made by `fx token create NAME --role ROLE`."}
    }
    for path, item in document.get("paths", {}).items():
        for method in [name for name in _METHODS if name in item]:
            operation = item[method]
            rule = rule_for(method.upper(), path)
            told = dict(_ALWAYS)
            if rule is None or not rule.open:
                roles = sorted(rule.roles) if rule else ["operate"]
                told |= _GUARDED
                operation["security"] = [{"token": []}]
                operation["x-roles"] = roles
            if "requestBody" in operation:
                told |= _BODY
            if "{" in path or path == "/feedback":
                told["404"] = _CHANGES["404"]
            if method != "get" and path.startswith(("/rollouts", "/models", "/traffic")):
                told |= _CHANGES
            if path.startswith(_HANDED_ON):
                told["503"] = "The controller is not there for a moment; ask again in a few seconds"
            responses = operation.setdefault("responses", {})
            name = "error" if path.startswith("/v2") else "detail"
            for status, words in told.items():
                responses.setdefault(status, _problem(words, name))
            validation = responses.get("422", {})
            if "HTTPValidationError" in str(validation):
                responses["422"] = _problem("A field is malformed; it is named", "detail")
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    return document


def _problem(words: str, name: str) -> dict[str, Any]:
    """name: under which the words stand, as clients of the inference protocol expect them, or all others."""
    plain: dict[str, Any] = {"$ref": "#/components/schemas/Problem"}
    if name != "detail":
        inference = {"type": "object", "required": [name], "properties": {name: {"type": "string"}}}
        # What is refused below all routes has the shape of all routes.
        plain = {"anyOf": [inference, plain]}
    return {"description": words, "content": {"application/json": {"schema": plain}}}
