"""A model version: its registry entry, its bundle, and the training set that its hash names."""

from __future__ import annotations

from fx_assets.errors import FxError, MissingData, StoreError
from fx_assets.lake import Lake
from fx_assets.models import registry
from fx_assets.models.registry import VersionRecord
from fx_assets.schemas import content_hash
from fx_assets.trace.link import Link
from fx_serving.client.bundle import BundleError, bundle_dir, read_manifest, verify_files
from fx_serving.client.home import Stores

# What both a version's tags and its bundle's lineage state.
SHARED = ("session", "training_set_hash", "model_sha256", "booster_sha256", "feature_service", "code_version")


def version_of(stores: Stores, model: str, version: str) -> VersionRecord:
    """The registry's record. version: a number, or the alias champion or challenger. Raises MissingData, StoreError."""
    if not registry.exists(stores.home):
        raise MissingData(
            f"{stores.home}: has no model registry yet. Train a model first, or name another home: --home."
        )
    if version in (registry.CHAMPION, registry.CHALLENGER):
        found = registry.version_with_alias(registry.open_registry(stores.home), model, version)
        if found is None:
            raise MissingData(f"model registry: {model} has no {version}. `fx models` lists the versions there are.")
        version = found
    return registry.record(stores, model, version)


def version_link(stores: Stores, record: VersionRecord) -> Link:
    """The registry entry: complete, its model file the one that was trained, its bundle made of it."""
    tags, problems = record.tags, []
    facts = {"model": record.model, "version": record.version, "tags": dict(tags), "mlflow_run_id": record.run_id}
    lacking = [name for name in ("session", "training_set_hash") if not tags.get(name)]
    problems += [f"model registry: {record.model} version {record.version} has no tag {name}" for name in lacking]
    folder = bundle_dir(stores.bundles, record.model, record.version)
    if folder.is_dir():
        try:
            manifest = read_manifest(folder)
            verify_files(folder, manifest)
            for name in SHARED:
                told, known = manifest.lineage.get(name), tags.get(name)
                if told and known and told != known:
                    problems.append(f"{folder}: {name} is {told[:16]} in the bundle and {known[:16]} in the registry")
        except BundleError as error:
            problems.append(str(error))
    words = (
        f"{record.model} version {record.version}, trained for session {tags.get('session', '?')}, "
        f"gates {tags.get('gates', 'undecided')}" + ("" if folder.is_dir() else "; it has no bundle")
    )
    return Link("model version", words, facts, problems)


def training_link(stores: Stores, lake: Lake, record: VersionRecord) -> Link:
    """The training set kept with the version: its content must have the hash in the version's tag."""
    wanted, session = record.tags.get("training_set_hash", ""), record.tags.get("session", "")
    words, facts = f"hash {wanted[:16]}", {"training_set_hash": wanted, "session": session}
    try:
        rows = registry.rows(stores, record, lake)
    except FxError as error:
        return Link("training set", words, facts, [str(error)])
    problems = []
    if (found := content_hash(rows)) != wanted:
        problems.append(f"the rows kept with the version have the hash {found[:16]}, the tag says {wanted[:16]}")
    first, last = rows["decision_time"].min(), rows["label_end"].max()
    words += f", {len(rows):,} rows, decisions from {first} on, labels until {last}"
    facts |= {"rows": len(rows), "first_decision": str(first), "last_label_end": str(last)}
    if record.tags.get(registry.PRUNED):
        words += f"; the version's own were pruned on {record.tags[registry.PRUNED]}, these are the lake's"
    stored = lake.read(f"models/{record.model}/training_set", [session]).get(session)
    if stored is not None and content_hash(stored) != wanted:
        words += "; the session's file in the lake is of a later training"
    return Link("training set", words, facts, problems)


def recorded_gold(stores: Stores, record: VersionRecord) -> tuple[dict[str, dict[str, str]], list[str]]:
    """The gold contents recorded at the training (table -> session -> content), and what is wrong with the record."""
    try:
        return registry.gold(stores, record), []
    except (StoreError, MissingData) as error:
        return {}, [str(error)]
