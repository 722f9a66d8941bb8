"""Settings of the service: read from serving.yaml, validated, defaults in one place. No behaviour here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from fx_serving.client.home import fx_home, serving_yaml

PACKAGED = Path(__file__).parent / "config" / "serving.yaml"


class ConfigError(Exception):
    """serving.yaml cannot be used; the message names file, key, value and remedy."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RolloutPolicy(_Strict):
    """When a rollout goes on, holds, or goes back. Times in seconds, weights in per cent of traffic."""

    steps: Annotated[tuple[Annotated[float, Field(gt=0, le=100)], ...], Field(min_length=1, max_length=20)] = (
        5,
        25,
        50,
        100,
    )
    window_s: float = Field(default=60, ge=0)
    min_requests: int = Field(default=50, ge=1)
    max_error_rate: float = Field(default=0.01, ge=0, le=1)
    max_p99_ms: float = Field(default=200, gt=0)
    consecutive_failures: int = Field(default=3, ge=1)
    hold_timeout_s: float = Field(default=600, gt=0)
    apply_timeout_s: float = Field(default=60, gt=0)

    @field_validator("steps")
    @classmethod
    def _rising_to_all(cls, steps: tuple[float, ...]) -> tuple[float, ...]:
        if list(steps) != sorted(set(steps)) or steps[-1] != 100:
            raise ValueError("must rise strictly and end at 100")
        return steps


class SidecarSettings(_Strict):
    """Limits of the process that scores a candidate."""

    deadline_ms: float = Field(default=100, gt=0)
    memory_mb: int = Field(default=512, ge=16)


class LeaseSettings(_Strict):
    """How often the controller shows that it lives, and how long workers believe it."""

    renew_s: float = Field(default=2, gt=0)
    expire_s: float = Field(default=10, gt=0)


class ServingConfig(_Strict):
    """The whole of serving.yaml."""

    host: str = "127.0.0.1"
    port: int = Field(default=8700, ge=0, le=65535)
    workers: int = Field(default=2, ge=1, le=256)
    default_model: str | None = "move_60m"
    routing_key: Literal["request_id", "instrument"] = "request_id"
    log_flush_ms: float = Field(default=200, ge=1, le=1000)
    feature_blobs: Literal["folder", "redis"] = "folder"
    sidecar: SidecarSettings = SidecarSettings()
    lease: LeaseSettings = LeaseSettings()
    rollout: RolloutPolicy = RolloutPolicy()


def config_path(home: Path | None = None) -> Path:
    """FX_CONFIG_DIR/serving.yaml, else <home>/config/serving.yaml, else the packaged file."""
    return serving_yaml(home or fx_home()) or PACKAGED


def first_problem(error: ValidationError) -> tuple[str, Any, str]:
    """(dotted key, value, what is wrong) of the first problem pydantic found."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    return key, problem["input"], problem["msg"].removeprefix("Value error, ")


def load_config(home: Path | None = None) -> ServingConfig:
    """The settings in force. Raises ConfigError naming file, key, value and remedy."""
    path = config_path(home)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}. Correct it, or start from {PACKAGED}.") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: must hold 'name: value' lines. Start from {PACKAGED}.")
    try:
        return ServingConfig.model_validate(content)
    except ValidationError as error:
        key, value, problem = first_problem(error)
        if "Extra inputs" in problem:
            problem = "no such setting"
        raise ConfigError(
            f"{path}: {key}: {value!r}: {problem}. Change it, or remove the line for the default (see {PACKAGED})."
        ) from None
