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
    folder = os.environ.get("FX_CONFIG_DIR", "").strip()
    candidates = [Path(folder) / "serving.yaml"] if folder else []
    candidates.append(Path(home) / "config" / "serving.yaml")
    return next((path for path in candidates if path.is_file()), None)


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
        """Prediction and feedback log segments."""
        return self.serving / "predictions"

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
        """Rollouts, audit records and deployed versions (SQLite)."""
        return self.serving / "state.db"

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
