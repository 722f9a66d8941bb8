"""The model registry (MLflow) as it is read: versions, the aliases challenger and champion, what each version holds.

Registering is train.py's business, moving the champion promotion.py's. A version is complete from its first moment:
its tags are part of the call that creates it, and every artifact is there before. Artifacts of a home that was moved
or restored are found in the home itself, wherever it was when they were written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

import msgspec
import pandas as pd

from fx_assets.errors import StoreError
from fx_assets.lake import Lake
from fx_assets.resources.tracking import VARIABLE, database, database_file, prepare
from fx_assets.schemas import content_hash
from fx_serving.client.home import Stores
from fx_serving.client.state_address import words

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CHALLENGER, CHAMPION = "challenger", "champion"
# Where a version's files lie: in its run, and for the model in the logged model.
SPEC, GOLD, ROWS = "spec.json", "lineage/gold.json", "training/rows.parquet"
FIGURES, OUT_OF_FOLD, MODEL = "evaluation/figures.json", "evaluation/out_of_fold.parquet", "data/model.fx"
# The tag that says when a version's training rows were removed; see retention.py.
PRUNED = "rows_pruned_at"
# What a version must say of itself to be rebuilt and compared; versions of older code have less.
LINEAGE_TAGS = (
    "session",
    "code_version",
    "training_set_hash",
    "gold_hash",
    "feature_schema_hash",
    "config_hash",
    "model_sha256",
    "booster_sha256",
    "spec_sha256",
    "feature_service",
    "dagster_run_id",
)


class PrunedError(StoreError):
    """The training rows of a version were removed on purpose, and no others like them are at hand."""


@dataclass(frozen=True)
class VersionRecord:
    """One registered version: its tags, the aliases that point to it, and where its files are."""

    model: str
    version: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...]
    run_id: str
    created_at: datetime
    source: str

    def __getattr__(self, name: str) -> str:
        """A lineage tag by its name; empty for a version of older code that lacks it."""
        if name in LINEAGE_TAGS:
            return self.tags.get(name, "")
        raise AttributeError(name)

    @property
    def gates(self) -> str:
        """approved, rejected, or undecided while no decision was recorded."""
        return self.tags.get("gates", "undecided")

    @property
    def missed(self) -> list[str]:
        """The gates that were missed."""
        return [name for name in self.tags.get("gates_missed", "").split(",") if name]

    @property
    def expires_at(self) -> datetime | None:
        """When the version is too old to serve, UTC; None where it never is."""
        text = self.tags.get("expires_at", "")
        return datetime.fromisoformat(text) if text else None

    def expired(self, now: datetime) -> bool:
        """Whether the version is too old to serve at a moment."""
        return self.expires_at is not None and now >= self.expires_at

    @property
    def lacks(self) -> list[str]:
        """Lineage tags it does not have: empty for every version of this code."""
        return [name for name in LINEAGE_TAGS if name not in self.tags]


@contextmanager
def answers(home: Path | None = None) -> Iterator[None]:
    """A registry that does not answer, in words."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        below = error if isinstance(error, SQLAlchemyError) else error.__cause__
        if database() is not None and isinstance(below, SQLAlchemyError):  # its words name host and account
            why = words(getattr(below, "orig", None) or below)
            raise StoreError(f"model registry: {VARIABLE}: {why}. See that the PostgreSQL is there.") from None
        where = f" in {home / 'mlflow'}" if home is not None else ""
        told = str(error).splitlines()[0][:300]
        raise StoreError(
            f"model registry{where} cannot be read: {told}. See that the disk is there and not full, that mlflow.db is "
            "whole, and that the installed MLflow is not older than the one that wrote it."
        ) from error


def open_registry(home: Path) -> MlflowClient:
    """A client of the home's registry. Raises StoreError when it cannot be opened."""
    from mlflow.tracking import MlflowClient

    with answers(home):
        return MlflowClient(prepare(home))


def exists(home: Path) -> bool:
    """Whether the home has a registry; opening makes one."""
    return database() is not None or database_file(home).is_file()


def aliases(client: MlflowClient, model: str) -> dict[str, str]:
    """alias -> version of a registered model; empty for one that has no version yet. Raises StoreError."""
    from mlflow.exceptions import MlflowException

    with answers():
        try:
            found: Mapping[str, Any] = client.get_registered_model(model).aliases
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise
    return {alias: str(version) for alias, version in found.items()}


def version_with_alias(client: MlflowClient, model: str, alias: str) -> str | None:
    """The version an alias points to; None when there is none. Raises StoreError when that cannot be known."""
    return aliases(client, model).get(alias)


def version_tags(client: MlflowClient, model: str, version: str) -> dict[str, str]:
    """The tags of a registered version. Raises StoreError where it does not exist."""
    return dict(_version(client, model, version).tags)


def set_version_tags(client: MlflowClient, model: str, version: str, tags: Mapping[str, Any]) -> None:
    """Add tags to a registered version."""
    with answers():
        for key, value in tags.items():
            client.set_model_version_tag(model, version, key, str(value))


def record(stores: Stores, model: str, version: str) -> VersionRecord:
    """One version of a model. Raises StoreError where it does not exist, or the registry cannot be read."""
    client = open_registry(stores.home)
    return _record(_version(client, model, version), aliases(client, model))


def records(stores: Stores, model: str) -> list[VersionRecord]:
    """Every version of a model, newest first; empty where none was registered. Raises StoreError."""
    client = open_registry(stores.home)
    named = aliases(client, model)
    found: list[Any] = []
    token: str | None = None
    with answers(stores.home):
        while True:
            page = client.search_model_versions(f"name='{model}'", max_results=200, page_token=token)
            found += page
            token = page.token
            if not token:
                break
    return sorted((_record(version, named) for version in found), key=lambda r: -int(r.version))


def _version(client: MlflowClient, model: str, version: str) -> Any:
    from mlflow.exceptions import MlflowException

    with answers():
        try:
            return client.get_model_version(model, version)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise StoreError(
                    f"model registry: {model} has no version {version!r}. `fx models` lists those there are."
                ) from None
            raise


def _record(version: Any, named: Mapping[str, str]) -> VersionRecord:
    number = str(version.version)
    return VersionRecord(
        model=version.name,
        version=number,
        tags=dict(version.tags),
        aliases=tuple(sorted(alias for alias, to in named.items() if to == number)),
        run_id=version.run_id or "",
        created_at=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
        source=version.source or "",
    )


def artifact(stores: Stores, found: VersionRecord, name: str) -> Path:
    """A file of a version's run, such as "evaluation/figures.json". Raises StoreError when it is lost."""
    client = open_registry(stores.home)
    with answers(stores.home):
        uri = client.get_run(found.run_id).info.artifact_uri
    return _local(stores, found, f"{uri}/{name}")


def log_artifacts(stores: Stores, found: VersionRecord, folder: Path, where: str) -> None:
    """Add a folder's files to a version's run, below `where`. Raises StoreError."""
    client = open_registry(stores.home)
    with answers(stores.home):
        client.log_artifacts(found.run_id, str(folder), where)


def model_file(stores: Stores, found: VersionRecord) -> Path:
    """The file of the fitted model (Predictor.save). Raises StoreError when it is lost."""
    client = open_registry(stores.home)
    with answers(stores.home):
        uri = client.get_model_version_download_uri(found.model, found.version)
    return _local(stores, found, f"{uri}/{MODEL}")


def folder_of(uri: str) -> Path:
    """The folder or file of an artifact URI; every home keeps its artifacts in files."""
    return Path(unquote(urlparse(uri).path))


def _local(stores: Stores, found: VersionRecord, uri: str) -> Path:
    """The file of an artifact URI: in this home, else where the URI says it is."""
    said = folder_of(uri)
    below = said.as_posix().rpartition("/mlflow/artifacts/")[2]
    places = [stores.home / "mlflow" / "artifacts" / below, said]
    for place in places:
        if place.is_file():
            return place
    raise StoreError(
        f"model registry: {found.model} version {found.version}: {said.name} is lost ({places[0]}). Restore it from a "
        f"backup, or train session {found.session or '?'} again."
    )


def checked(stores: Stores, found: VersionRecord, path: Path, tag: str) -> bytes:
    """A file's content, compared with the sha256 in one of the version's tags. Raises StoreError."""
    raw = path.read_bytes()
    digest = hashlib.sha256(raw).hexdigest()
    if digest != found.tags.get(tag):
        raise StoreError(
            f"model registry: {found.model} version {found.version}: {path} has sha256 {digest[:12]}, its tag {tag} "
            f"says {found.tags.get(tag, 'nothing')[:12]}: the file was altered or cut short. Restore it from a backup, "
            f"or train session {found.session or '?'} again."
        )
    return raw


def figures(stores: Stores, found: VersionRecord) -> dict[str, Any]:
    """The figures of the study that chose the version; what could not be computed is None. Raises StoreError."""
    return msgspec.json.decode(artifact(stores, found, FIGURES).read_bytes())


def out_of_fold(stores: Stores, found: VersionRecord) -> pd.DataFrame:
    """The predictions out of fold of its study. Raises StoreError."""
    return pd.read_parquet(artifact(stores, found, OUT_OF_FOLD))


def gold(stores: Stores, found: VersionRecord) -> dict[str, dict[str, str]]:
    """Content hashes of the gold partitions it was made of, {table: {session: content}}. Raises StoreError."""
    return msgspec.json.decode(checked(stores, found, artifact(stores, found, GOLD), "gold_hash"))


def rows(stores: Stores, found: VersionRecord, lake: Lake | None = None) -> pd.DataFrame:
    """Its training set, compared with the hash in its tags.

    lake: where the session's training set is looked for once the version's own rows were pruned; the hash must be the
    same. Raises PrunedError where it is not, StoreError for rows that are lost or altered.
    """
    try:
        path = artifact(stores, found, ROWS)
    except StoreError:
        if not found.tags.get(PRUNED):
            raise
        return _made_again(found, lake)
    frame = pd.read_parquet(path)
    digest = content_hash(frame)
    if digest != found.training_set_hash:
        raise StoreError(
            f"model registry: {found.model} version {found.version}: the rows in {path} have content {digest[:12]}, "
            f"the tag training_set_hash says {found.training_set_hash[:12]}. Restore the file from a backup."
        )
    return frame


def _made_again(found: VersionRecord, lake: Lake | None) -> pd.DataFrame:
    """The session's training set in the lake, if it has the version's rows."""
    table, session = f"models/{found.model}/training_set", found.session
    frame = None if lake is None else lake.read(table, [session]).get(session)
    if frame is not None and content_hash(frame) == found.training_set_hash:
        return frame
    there = "is not there" if frame is None else f"has other rows ({content_hash(frame)[:12]})"
    raise PrunedError(
        f"model registry: {found.model} version {found.version}: its training rows were pruned on "
        f"{found.tags[PRUNED]}, and {table} of session {session} {there}. Materialize {found.model}/training_set for "
        f"{session}: gold tables with the contents in {GOLD} give the rows {found.training_set_hash[:12]} again."
    )
