"""Which role each route needs: one table, from which requests are judged and the OpenAPI document is filled.

A route that is not in the table is for operators only, so forgetting a row closes a route and never opens one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

Role = Literal["predict", "observe", "operate"]
OPEN = "open"
ROLES: tuple[Role, ...] = ("predict", "observe", "operate")
MEANING: dict[Role, str] = {
    "predict": "ask for predictions and report what happened",
    "observe": "read everything: traffic, rollouts, audit, streams",
    "operate": "everything, rollouts and traffic included",
}


class Rule(NamedTuple):
    """One route: method, path as FastAPI declares it, the roles it is for, and what is special about it."""

    method: str
    path: str
    roles: frozenset[str]
    hot: bool = False  # the hot route reads the body itself, within its own limits
    stream: bool = False  # the answer has no end, so that the token is looked at again while it lasts

    @property
    def open(self) -> bool:
        """Whether no token is needed."""
        return OPEN in self.roles


_EVERYONE = frozenset({OPEN, *ROLES})
_PREDICT = frozenset({"predict", "operate"})
_OBSERVE = frozenset({"observe", "operate"})
_READ_MODEL = frozenset({"predict", "observe", "operate"})
_OPERATE = frozenset({"operate"})
_HOT = ("/predict", "/predict/blue", "/predict/green")
_V2 = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")

ROUTES: tuple[Rule, ...] = (
    # What an orchestrator or a scraper asks works without a secret, and so do files that hold no data.
    *(
        Rule("GET", path, _EVERYONE)
        for path in ("/health", "/ready", "/metrics", "/v2/health/live", "/v2/health/ready")
    ),
    *(Rule("GET", path, _EVERYONE) for path in ("/", "/console/{file}", "/docs", "/openapi.json")),
    *(Rule("GET", path, _EVERYONE) for path in ("/docs/assets/{file}", "/favicon.ico")),
    *(Rule("POST", path, _PREDICT, hot=True) for path in _HOT),
    *(Rule("POST", f"{path}/infer", _PREDICT, hot=True) for path in _V2),
    Rule("POST", "/feedback", _PREDICT),
    Rule("GET", "/v2", _READ_MODEL),
    *(Rule("GET", path, _READ_MODEL) for path in _V2),
    *(Rule("GET", f"{path}/ready", _READ_MODEL) for path in _V2),
    *(Rule("GET", path, _OBSERVE) for path in ("/service", "/traffic", "/drift/status", "/series")),
    *(Rule("GET", path, _OBSERVE) for path in ("/rollouts", "/rollouts/{id}", "/audit", "/audit/verify")),
    *(Rule("GET", path, _OBSERVE, stream=True) for path in ("/stream/predictions", "/console/events")),
    Rule("POST", "/rollouts", _OPERATE),
    *(
        Rule("POST", f"/rollouts/{{id}}/{action}", _OPERATE)
        for action in ("pause", "resume", "approve", "promote", "abort", "rollback")
    ),
    Rule("POST", "/models/{model}/rollback", _OPERATE),
    Rule("PUT", "/traffic", _OPERATE),
)
_EXACT = {(rule.method, rule.path): rule for rule in ROUTES if "{" not in rule.path}
_PATTERNS = [(rule, rule.path.split("/")) for rule in ROUTES if "{" in rule.path]
_ANYTHING_ELSE = Rule("*", "*", _OPERATE)


def rule_for(method: str, path: str) -> Rule | None:
    """The table's row for a request, or for a path as FastAPI declares it; None where there is none."""
    return _EXACT.get((method, path)) or _pattern(method, path)


@lru_cache(maxsize=1024)
def _pattern(method: str, path: str) -> Rule | None:
    parts = path.split("/")
    for rule, wanted in _PATTERNS:
        if (
            rule.method == method
            and len(wanted) == len(parts)
            and all(given == part or (part[:1] == "{" and given) for part, given in zip(wanted, parts, strict=True))
        ):
            return rule
    return None


def needed(method: str, path: str) -> Rule:
    """The row for a request; what is not in the table is for operators. HEAD is judged as GET."""
    method = "GET" if method == "HEAD" else method
    return _EXACT.get((method, path)) or _pattern(method, path) or _ANYTHING_ELSE


def methods(path: str) -> list[str]:
    """What may be done with a path, for the Allow header of a refusal."""
    return [method for method in ("GET", "POST", "PUT") if rule_for(method, path) is not None]
