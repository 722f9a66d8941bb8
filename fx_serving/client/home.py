"""Where the platform keeps its files. Only paths belong here: nothing is created or opened."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[2]


def fx_home() -> Path:
    """The platform's data folder: FX_HOME, else `.fx` in the checkout, else `.fx` in the current folder."""
    given = os.environ.get("FX_HOME", "").strip()
    if given:
        return Path(given).expanduser().resolve()
    if (_CHECKOUT / "pyproject.toml").is_file():
        return _CHECKOUT / ".fx"
    return Path.cwd() / ".fx"


def serving_yaml(home: Path) -> Path | None:
    """The serving.yaml in force: FX_CONFIG_DIR/serving.yaml, else <home>/config/serving.yaml; None for the defaults."""
    candidates = (folder / "serving.yaml" for folder in config_folders(home))
    return next((path for path in candidates if path.is_file()), None)


def config_folders(home: Path) -> list[Path]:
    """Where a user's files are looked for, in this order: FX_CONFIG_DIR, <home>/config."""
    given = os.environ.get("FX_CONFIG_DIR", "").strip()
    return [*([Path(given).expanduser()] if given else []), Path(home) / "config"]


@dataclass(frozen=True)
class Stores:
    """The folders and files below one home, by name. `Stores(fx_home()).bundles` and so on."""

    home: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "home", Path(self.home))

    @classmethod
    def default(cls) -> Stores:
        """The stores of `fx_home()`."""
        return cls(fx_home())

    @property
    def lake(self) -> Path:
        """Silver and gold tables."""
        return self.home / "lake"

    @property
    def bundles(self) -> Path:
        """Exported models: bundles/<model>/<version>/."""
        return self.home / "bundles"

    @property
    def serving(self) -> Path:
        """Everything the service writes, and the feature blobs it reads."""
        return self.home / "serving"

    @property
    def features(self) -> Path:
        """Feature blobs: features/<view>/<instrument>.json."""
        return self.serving / "features"

    @property
    def predictions(self) -> Path:
        """Prediction, feedback and shadow log segments."""
        return self.serving / "predictions"

    @property
    def predictions_db(self) -> Path:
        """The ingested prediction log (SQLite)."""
        return self.predictions / "predictions.db"

    @property
    def routing(self) -> Path:
        """The routing table published by the controller."""
        return self.serving / "routing.json"

    @property
    def workers(self) -> Path:
        """What each worker has applied: workers/<id>.json."""
        return self.serving / "workers"

    @property
    def state_db(self) -> Path:
        """Rollouts, audit records, deployed versions, tokens and leases (SQLite)."""
        return self.serving / "state.db"

    @property
    def state(self) -> Path | str:
        """Where the controller keeps its state: the address FX_STATE_URL (it may hold a password: never log it),
        else the file `state_db`.
        """
        return os.environ.get("FX_STATE_URL", "").strip() or self.state_db

    @property
    def audit_head(self) -> Path:
        """The newest audit record's number and hash, as this home saw it: a trail cut short shows."""
        return self.serving / "audit.head"

    @property
    def evidence(self) -> Path:
        """What each worker has counted: evidence/<worker>.json."""
        return self.serving / "evidence"

    @property
    def tokens(self) -> Path:
        """The access tokens' hashes, for the workers (0600)."""
        return self.serving / "tokens.json"

    @property
    def internal_key(self) -> Path:
        """The key with which workers and controller speak to each other (0600)."""
        return self.serving / "internal.key"

    @property
    def metrics(self) -> Path:
        """Prometheus value files shared by the workers."""
        return self.serving / "metrics"

    @property
    def address(self) -> Path:
        """Where the running service listens."""
        return self.serving / "address.json"

    @property
    def controller(self) -> Path:
        """Where the running controller listens (loopback)."""
        return self.serving / "controller.json"

    @property
    def drift(self) -> Path:
        """Drift status per model."""
        return self.home / "monitoring" / "drift"

    @property
    def reports(self) -> Path:
        """Drift and quality reports."""
        return self.home / "monitoring" / "reports"

    @property
    def trading_db(self) -> Path:
        """Paper trading: decisions, orders, fills and refusals (SQLite)."""
        return self.home / "monitoring" / "trading.db"

    @property
    def health(self) -> Path:
        """The newest verdict on data, model and money."""
        return self.home / "monitoring" / "health.json"

    @property
    def infrastructure(self) -> Path:
        """The newest verdict on machine and services."""
        return self.home / "monitoring" / "infrastructure.json"

    @property
    def quality(self) -> Path:
        """The newest figures of each model's answers: quality/<model>.json."""
        return self.home / "monitoring" / "quality"

    @property
    def alerts_db(self) -> Path:
        """Alerts, and what was or must still be told of them (SQLite)."""
        return self.home / "monitoring" / "alerts.db"

    @property
    def logs(self) -> Path:
        """What every process has logged: logs/<name>.log."""
        return self.home / "logs"

    @property
    def repairs(self) -> Path:
        """What was done about damaged SQLite files, a line each (see databases.py)."""
        return self.home / "monitoring" / "repairs.ndjson"
