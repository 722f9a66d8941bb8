"""Every feature, declared once in its group file, in one ordered tuple, and questions about them."""

from __future__ import annotations

from collections.abc import Iterable

from fx_assets.features import calendar, cross, economic, microstructure, rates, regime, technical, volatility
from fx_assets.features.reference import Reference
from fx_assets.features.spec import GROUPS, FeatureSpec

FEATURES: tuple[FeatureSpec, ...] = (
    *technical.SPECS,
    *microstructure.SPECS,
    *volatility.SPECS,
    *regime.SPECS,
    *calendar.SPECS,
    *cross.SPECS,
    *economic.SPECS,
    *rates.SPECS,
)
BY_NAME: dict[str, FeatureSpec] = {spec.name: spec for spec in FEATURES}


def specs(group: str | None = None) -> tuple[FeatureSpec, ...]:
    """The specs of one group, or of all. Raises ValueError for an unknown group."""
    if group is not None and group not in GROUPS:
        raise ValueError(f"feature group: {group!r} is not one of {', '.join(GROUPS)}.")
    return tuple(spec for spec in FEATURES if group is None or spec.group == group)


def feature_names(group: str | None = None) -> list[str]:
    """Feature names of one group, or of all, in their canonical order."""
    return [spec.name for spec in specs(group)]


def max_window() -> int:
    """Bars of history, the current bar included, that any feature value depends on."""
    return max(spec.window for spec in FEATURES)


def available_features(
    columns: Iterable[str], instruments: Iterable[str] = (), reference: Reference | None = None
) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """Which features a bar frame with these columns and instruments supports, with this reference data.

    Returns (names in canonical order, {dropped feature: what it misses, as in `FeatureSpec.requires`}).
    """
    present = {*columns, *cross.provides(instruments), *(() if reference is None else reference.provides)}
    dropped = {
        spec.name: tuple(c for c in spec.requires if c not in present)
        for spec in FEATURES
        if not set(spec.requires) <= present
    }
    return [spec.name for spec in FEATURES if spec.name not in dropped], dropped
