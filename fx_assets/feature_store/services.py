"""Feature services and their versions: <model>_v<N> is one list of features, and never becomes another.

A model names the service it was trained with, and old services stay registered, so that an old model can be built
again from the features it knew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fx_assets.errors import StoreError

if TYPE_CHECKING:
    from feast import FeatureService, FeatureStore

REGISTRY_VARIABLE = "FX_REGISTRY_URL"
Features = Sequence[tuple[str, str]]  # (feature, feature view) in model input order


def version_name(store: FeatureStore, model: str, features: Features) -> str:
    """The name for a model's list: that of the newest version if it is the same list, else the next number."""
    versions = _versions(store, model)
    if not versions:
        return f"{model}_v1"
    newest = max(versions)
    same = listed(versions[newest]) == _by_view(features)
    return f"{model}_v{newest if same else newest + 1}"


def service_for(store: FeatureStore, model: str, features: Features) -> str:
    """The newest service of a model with exactly these features in this order.

    Raises StoreError when none is registered.
    """
    versions = _versions(store, model)
    for number in sorted(versions, reverse=True):
        if listed(versions[number]) == _by_view(features):
            return versions[number].name
    raise StoreError(
        f"feature registry: no service of {model} has its {len(features)} features "
        f"(there are {', '.join(f'{model}_v{n}' for n in sorted(versions)) or 'none'}). Materialize feature_registry."
    )


def service_of(store: FeatureStore, model: str, version: str, names: Sequence[str]) -> str:
    """The newest service of a model with the features, in order, that a version of it was trained with.

    Raises StoreError when none is registered.
    """
    versions = _versions(store, model)
    for number in sorted(versions, reverse=True):
        if [name for _, found in listed(versions[number]) for name in found] == list(names):
            return versions[number].name
    raise StoreError(
        f"feature registry: no service of {model} has the {len(names)} features that version {version} was trained "
        f"with (there are {', '.join(f'{model}_v{n}' for n in sorted(versions)) or 'none'}). Materialize "
        f"feature_registry, or train {model} again."
    )


def service_features(store: FeatureStore, service: str) -> list[tuple[str, str]]:
    """(feature, feature view) of a registered service. Raises StoreError when there is none of that name."""
    return [(feature, view) for view, names in listed(find_service(store, service)) for feature in names]


def find_service(store: FeatureStore, name: str) -> FeatureService:
    """A registered service. Raises StoreError when there is none of that name."""
    from feast.errors import FeatureServiceNotFoundException

    try:
        with registry_answers():
            return store.get_feature_service(name)
    except FeatureServiceNotFoundException:
        raise StoreError(f"feature registry: no service {name}. Materialize feature_registry.") from None


def registered_fields(store: FeatureStore) -> dict[str, list[str]]:
    """The features that registered services use, by feature view."""
    found: dict[str, list[str]] = {}
    for service in store.list_feature_services():
        for view, names in listed(service):
            known = found.setdefault(view, [])
            known += [name for name in names if name not in known]
    return found


def listed(service: FeatureService) -> list[tuple[str, list[str]]]:
    """A service's features by view, in order."""
    return [(part.name, [field.name for field in part.features]) for part in service.feature_view_projections]


@contextmanager
def registry_answers() -> Iterator[None]:
    """A SQL registry that does not answer, in words without its URL."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except SQLAlchemyError as error:
        raise StoreError(
            f"feature registry (data.yaml: feature_store.registry: sql): {type(error).__name__}. Start the database, "
            f"or mend user, password and host in {REGISTRY_VARIABLE}."
        ) from None


def _versions(store: FeatureStore, model: str) -> dict[int, FeatureService]:
    pattern = re.compile(rf"{re.escape(model)}_v(\d+)")
    with registry_answers():
        services = store.list_feature_services()
    found = ((pattern.fullmatch(service.name), service) for service in services)
    return {int(match[1]): service for match, service in found if match}


def _by_view(features: Features) -> list[tuple[str, list[str]]]:
    """The list as `listed` gives it."""
    views: dict[str, list[str]] = {}
    for feature, view in features:
        views.setdefault(view, []).append(feature)
    return list(views.items())
