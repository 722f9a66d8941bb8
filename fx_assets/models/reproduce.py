"""Making a registered version again from its registry entry alone, and naming everything that comes out otherwise.

Rows, spec and figures are those stored with the version; today's configuration is not looked at, and the lake only for
rows that were pruned, by their hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from fx_assets.lake import Lake
from fx_assets.lineage import CODE_VERSION
from fx_assets.models import champion, registry, spec_file, train
from fx_assets.models.spec_file import Spec
from fx_assets.schemas import content_hash
from fx_serving.client.home import Stores

MOST = 20


@dataclass(frozen=True)
class Reproduction:
    """What came out. differences: empty when bytes and figures are those of the registry entry.

    figures, rows: how many figures and predictions out of fold were compared. environment: what is installed now and
    was another version then; it may explain a difference, and alone is none.
    """

    model: str
    version: str
    model_sha256: str
    figures: int
    rows: int
    differences: tuple[str, ...]
    environment: tuple[str, ...]

    @property
    def equal(self) -> bool:
        return not self.differences


def reproduce(
    stores: Stores,
    model: str,
    version: str,
    progress: Callable[[str], None] | None = None,
    lake: Lake | None = None,
) -> Reproduction:
    """Fit and study a version again and compare model bytes, every figure and every prediction.

    lake: for a version whose rows were pruned; see registry.rows.
    Raises StoreError when the entry is incomplete or one of its files is not what its hash says.
    """
    made = champion.load_version(stores, model, version)
    rows = registry.rows(stores, made.record, lake)
    registry.gold(stores, made.record)  # compared with its hash
    spec, say = made.spec, progress or (lambda _: None)
    say(f"fitting {spec.chosen['name']} on {len(rows)} rows")
    again = hashlib.sha256(train.fit(rows, spec.chosen, spec.study).save()).hexdigest()
    found = train.study(rows, spec.study, say)
    figures = msgspec.json.decode(msgspec.json.encode(found.figures))
    stored = registry.out_of_fold(stores, made.record)
    differences = []
    if again != made.record.model_sha256:
        differences.append(f"model: sha256 {again[:12]}, registered {made.record.model_sha256[:12]}")
    if found.chosen != spec.chosen:
        differences.append(f"chosen candidate: {found.chosen['name']}, registered {spec.chosen['name']}")
    differences += figure_differences(made.figures, figures)
    differences += table_differences(stored, found.predictions)
    count = sum(1 for _ in _leaves(made.figures))
    return Reproduction(
        model, version, again, count, len(stored), tuple(differences), tuple(environment_differences(spec))
    )


def figure_differences(stored: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Every figure that differs, by its dotted name."""
    before, after = dict(_leaves(stored)), dict(_leaves(found))
    names = [name for name in {**before, **after} if before.get(name, _ABSENT) != after.get(name, _ABSENT)]
    told = [f"figure {name}: {after.get(name, _ABSENT)}, registered {before.get(name, _ABSENT)}" for name in names]
    return _shortened(told, "figures")


def table_differences(stored: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    """How the predictions out of fold differ, column by column."""
    if content_hash(stored) == content_hash(found):
        return []
    if len(stored) != len(found) or list(stored.columns) != list(found.columns):
        return [
            f"out of fold: {len(found)} rows of {', '.join(found.columns)}, registered {len(stored)} rows of "
            f"{', '.join(stored.columns)}"
        ]
    told = []
    for name in stored.columns:
        before, after = stored[name], found[name]
        same = (before == after) | (before.isna() & after.isna())
        if same.all():
            continue
        apart = ""
        if pd.api.types.is_float_dtype(before) and pd.api.types.is_float_dtype(after):
            apart = f", by {float(np.nanmax(np.abs(before.to_numpy() - after.to_numpy()))):.3g} at most"
        told.append(f"out of fold, column {name}: {int((~same).sum())} of {len(same)} rows differ{apart}")
    return _shortened(told or ["out of fold: the columns' types differ"], "columns")


def environment_differences(spec: Spec) -> Iterator[str]:
    """What is installed and was another version when the model was trained."""
    if spec.python != spec_file.python():
        yield f"Python {spec_file.python()}, then {spec.python}"
    if spec.code_version != CODE_VERSION:
        yield f"code version {CODE_VERSION}, then {spec.code_version}"
    now = spec_file.installed()
    for name in sorted({*now, *spec.packages}):
        if now.get(name, "") != spec.packages.get(name, ""):
            yield f"{name} {now.get(name) or 'absent'}, then {spec.packages.get(name) or 'absent'}"


class _Absent:
    def __repr__(self) -> str:
        return "absent"


_ABSENT = _Absent()


def _leaves(figures: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value under its dotted name; an empty container is one."""
    parts: Sequence[tuple[str, Any]] = ()
    if isinstance(figures, Mapping):
        parts = [(str(key), value) for key, value in figures.items()]
    elif isinstance(figures, list):
        parts = [(str(n), value) for n, value in enumerate(figures)]
    if not parts:
        yield name, figures
    for key, value in parts:
        yield from _leaves(value, f"{name}.{key}" if name else key)


def _shortened(told: list[str], what: str) -> list[str]:
    return told if len(told) <= MOST else [*told[:MOST], f"and {len(told) - MOST} more {what}"]
