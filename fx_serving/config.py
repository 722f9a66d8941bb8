"""Settings of the service: read from serving.yaml, validated, defaults in one place. No behaviour here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from fx_serving.client.home import config_folders, fx_home, serving_yaml
from fx_serving.client.overlay import environment_files, laid_over, states
from fx_serving.policy import PolicyStep, RolloutPolicy, Strict

__all__ = ["ConfigError", "PolicyStep", "RolloutPolicy", "ServingConfig", "config_path", "first_problem", "load_config"]

PACKAGED = Path(__file__).parent / "config" / "serving.yaml"


class ConfigError(Exception):
    """serving.yaml cannot be used; the message names file, key, value and remedy."""


class SidecarSettings(Strict):
    """Limits of the process that scores a candidate."""

    deadline_ms: float = Field(default=100, gt=0)
    memory_mb: int = Field(default=512, ge=16)


class LeaseSettings(Strict):
    """How often the controller shows that it lives, and how long workers believe it."""

    renew_s: float = Field(default=2, gt=0)
    expire_s: float = Field(default=8, gt=0)

    @model_validator(mode="after")
    def _renewed_in_time(self) -> Self:
        if self.renew_s >= self.expire_s:
            raise ValueError("renew_s must be less than expire_s, or the lease runs out between renewals")
        return self


class LimitSettings(Strict):
    """What one worker takes on, and how long anything may last."""

    max_concurrent: int = Field(default=32, ge=1)
    body_bytes: int = Field(default=262_144, ge=1024)
    batch_rows: int = Field(default=1000, ge=1)
    body_timeout_s: float = Field(default=5, gt=0)
    deadline_ms: float = Field(default=1000, gt=0)
    drain_s: float = Field(default=5, ge=0)
    streams: int = Field(default=16, ge=0)


class LogSettings(Strict):
    """Where answered predictions go after the segments, and how long both are kept."""

    ingest: bool = True
    ingest_every_s: float = Field(default=1, gt=0)
    keep_segments_days: float = Field(default=7, gt=0)
    keep_rows_days: float = Field(default=400, gt=0)


class FeedbackSettings(Strict):
    """How feedback is judged."""

    late_after_s: float = Field(default=604_800, gt=0)


class AccessSettings(Strict):
    """Who may ask, from where, how often, and over which encryption. Tokens are made by `fx token create`."""

    cors_origins: tuple[Annotated[str, Field(pattern=r"^https?://[^/*\s]+$")], ...] = ()
    allowed_hosts: tuple[Annotated[str, Field(pattern=r"^[^/*\s]+$")], ...] = ()
    rate_per_s: float = Field(default=0, ge=0)
    rate_burst: int = Field(default=0, ge=0)
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_client_ca: str | None = None

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls_cert and tls_key belong together: give both, or neither")
        if self.tls_client_ca and not self.tls_cert:
            raise ValueError("tls_client_ca asks clients for certificates, which needs tls_cert and tls_key")
        return self


class ModelSettings(Strict):
    """What differs for one model: limits on its features' age (view -> seconds), and its rollout policy."""

    max_feature_age_s: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    rollout: dict[str, Any] = Field(default_factory=dict)


class ServingConfig(Strict):
    """The whole of serving.yaml."""

    host: str = "127.0.0.1"
    port: int = Field(default=8700, ge=0, le=65535)
    workers: int = Field(default=2, ge=1, le=256)
    default_model: str | None = "move_60m"
    routing_key: Literal["request_id", "instrument"] = "request_id"
    log_flush_ms: float = Field(default=200, ge=1, le=1000)
    feature_blobs: Literal["folder", "redis"] = "folder"
    max_active_rollouts: int = Field(default=4, ge=1)
    keep_hot_s: float = Field(default=86_400, ge=0)
    sidecar: SidecarSettings = SidecarSettings()
    lease: LeaseSettings = LeaseSettings()
    limits: LimitSettings = LimitSettings()
    log: LogSettings = LogSettings()
    feedback: FeedbackSettings = FeedbackSettings()
    access: AccessSettings = AccessSettings()
    rollout: RolloutPolicy = RolloutPolicy()
    models: dict[str, ModelSettings] = Field(default_factory=dict)

    @field_validator("models", mode="after")
    @classmethod
    def _policies_hold(cls, models: dict[str, ModelSettings], info: ValidationInfo) -> dict[str, ModelSettings]:
        """Each model's policy is checked with the default it changes, at the start and not at its first rollout."""
        default = info.data.get("rollout")
        if isinstance(default, RolloutPolicy):
            for name, settings in models.items():
                try:
                    changed_policy(default, settings.rollout)
                except ValidationError as error:
                    key, value, problem = first_problem(error)
                    raise ValueError(f"{name}.rollout.{key}: {value!r}: {problem}") from None
        return models

    def policy(self, model: str, overrides: Mapping[str, Any] | None = None) -> RolloutPolicy:
        """The policy in force: `rollout`, changed by the model's own, changed by the request's (ValidationError)."""
        own = self.models[model].rollout if model in self.models else {}
        return changed_policy(self.rollout, {**own, **(overrides or {})})


def changed_policy(policy: RolloutPolicy, changes: Mapping[str, Any]) -> RolloutPolicy:
    """The policy with some settings replaced; ValidationError where the result does not hold."""
    return RolloutPolicy.model_validate(policy.model_dump(mode="json") | dict(changes))


def config_path(home: Path | None = None) -> Path:
    """FX_CONFIG_DIR/serving.yaml, else <home>/config/serving.yaml, else the packaged file."""
    return serving_yaml(home or fx_home()) or PACKAGED


def first_problem(error: ValidationError) -> tuple[str, Any, str]:
    """(dotted key, value, what is wrong) of the first problem pydantic found."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    words = problem["msg"].removeprefix("Value error, ").replace("Extra inputs are not permitted", "no such setting")
    return key, problem["input"], words


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}. Correct it, or start from {PACKAGED}.") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: must hold 'name: value' lines. Start from {PACKAGED}.")
    return content


def load_config(home: Path | None = None) -> ServingConfig:
    """The settings in force, those of FX_ENV laid over them. Raises ConfigError naming file, key, value and remedy."""
    path = config_path(home)
    try:
        above = environment_files(config_folders(home or fx_home())).get(path.name)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    content, laid = _read(path), {} if above is None else _read(above)
    try:
        return ServingConfig.model_validate(laid_over(content, laid))
    except ValidationError as error:
        key, value, problem = first_problem(error)
        if above is not None and states(laid, error.errors()[0]["loc"]):
            path = above
        raise ConfigError(
            f"{path}: {key}: {value!r}: {problem}. Change it, or remove the line for the default (see {PACKAGED})."
        ) from None
