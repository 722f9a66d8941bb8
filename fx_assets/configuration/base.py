"""What every configuration file shares: strictness, and defaults that are spread over its entries."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Symbol = Annotated[str, Field(pattern=r"^[A-Z0-9]{2,10}(_[A-Z0-9]{2,10})?$")]


class Strict(BaseModel):
    """Unknown keys are mistakes: a misspelt option must not be silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def with_defaults(raw: Any, key: str) -> Any:
    """`raw` with raw["defaults"] put under every entry of raw[key]; left alone where validation must speak."""
    if not isinstance(raw, dict) or not isinstance(raw.get(key), dict):
        return raw
    defaults = raw.get("defaults") or {}
    if not isinstance(defaults, dict):
        return raw  # validation says what is wrong with it

    def merged(entry: Any) -> Any:
        return {**defaults, **(entry or {})} if entry is None or isinstance(entry, dict) else entry

    return {**raw, key: {name: merged(entry) for name, entry in raw[key].items()}}
