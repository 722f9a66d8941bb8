"""Configuration by environment: with FX_ENV=prod, data.prod.yaml is laid over data.yaml, key by key.

Shared by the code locations and the service. What a file must hold is theirs to check.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

VARIABLE = "FX_ENV"
_NAME = re.compile(r"[a-z][a-z0-9]{0,31}")


def environment_name() -> str | None:
    """FX_ENV, such as dev, staging or prod; None where it is not set. Raises ValueError for what is no such name."""
    given = os.environ.get(VARIABLE, "").strip()
    if given and not _NAME.fullmatch(given):
        raise ValueError(
            f"{VARIABLE}: {given!r} is not the name of an environment. "
            "Use lower-case letters and digits, such as dev, staging or prod."
        )
    return given or None


def overlay_of(path: Path, places: Sequence[Path] = ()) -> Path | None:
    """The file that FX_ENV lays over `path`: data.<FX_ENV>.yaml for data.yaml; None where there is none.

    places: folders that are looked through before the file's own. Raises as environment_name.
    """
    name = environment_name()
    if name is None:
        return None
    candidates = (folder / f"{path.stem}.{name}{path.suffix}" for folder in (*places, path.parent))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """A tree with another one laid over it; lists and single values are replaced whole."""
    made = dict(below)
    for key, value in above.items():
        under = made.get(key)
        made[key] = laid_over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return made


def states(tree: Any, place: Sequence[object]) -> bool:
    """Whether a tree has the key at the end of `place`; steps of a place that are no keys are passed over."""
    found = False
    for step in place:
        if isinstance(tree, dict):
            found = step in tree
            tree = tree[step] if found else tree
        elif isinstance(tree, list) and isinstance(step, int) and step < len(tree):
            tree, found = tree[step], True
    return found
