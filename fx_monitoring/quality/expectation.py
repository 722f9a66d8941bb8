"""What the model card of a version promised: the figures of its study, as the training run recorded them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from fx_assets.lake import Lake
from fx_monitoring.quality.rows import Expected
from fx_serving.client.bundle import BundleError, bundle_dir, read_manifest
from fx_serving.client.home import Stores


def expected_of(stores: Stores, lake: Lake, model: str, version: str) -> Expected | None:
    """The figures on the card of a version; None where they are not on record any more.

    The bundle says for which session the version was trained, and that session's record holds the figures; a record
    that another version has replaced since is not taken for this one's.
    """
    try:
        session = read_manifest(bundle_dir(stores.bundles, model, version)).lineage.get("session")
    except BundleError:
        return None
    if session is None:
        return None
    try:
        content = lake.store.read(f"models/{model}/trained_model/session={session}/record.json")
    except FileNotFoundError:
        return None
    record = msgspec.json.decode(content)
    return from_figures(record["figures"]) if record.get("version") == version else None


def from_figures(figures: Mapping[str, Any]) -> Expected:
    """The part of a study's figures that live answers can be held against."""

    def of(name: str, part: str = "value") -> float | None:
        value = figures.get(name, {}).get(part)
        return None if value is None or value != value else float(value)

    return Expected(
        accuracy=of("accuracy"),
        auc=of("auc"),
        brier=of("brier"),
        ece=of("ece"),
        accuracy_low=of("accuracy", "low"),
        auc_low=of("auc", "low"),
        brier_high=of("brier", "high"),
    )
