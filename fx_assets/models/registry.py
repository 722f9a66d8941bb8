"""The model registry (MLflow): versions, the aliases challenger and champion, and what is recorded with a version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fx_assets.errors import StoreError
from fx_assets.resources.tracking import prepare

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CHALLENGER, CHAMPION = "challenger", "champion"


def open_registry(home: Path) -> MlflowClient:
    """A client of the home's registry."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(prepare(home))


def version_with_alias(client: MlflowClient, model: str, alias: str) -> str | None:
    """The version an alias points to; None when there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return str(client.get_model_version_by_alias(model, alias).version)
    except MlflowException:
        return None


def version_tags(client: MlflowClient, model: str, version: str) -> dict[str, str]:
    """The tags of a registered version. Raises StoreError where it does not exist."""
    from mlflow.exceptions import MlflowException

    try:
        return dict(client.get_model_version(model, version).tags)
    except MlflowException as error:
        raise StoreError(f"model registry: {model} version {version}: {error}. Look at `fx status`.") from None


def set_version_tags(client: MlflowClient, model: str, version: str, tags: Mapping[str, Any]) -> None:
    """Add tags to a registered version."""
    for key, value in tags.items():
        client.set_model_version_tag(model, version, key, str(value))
