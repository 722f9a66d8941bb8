"""Names of temporaries: hidden, in the folder of the file they will become, whose name they tell."""

from __future__ import annotations

import uuid

STALE_S = 3600  # a living writer's temporary is younger
_SUFFIX = ".tmp"


def temporary(path: str) -> str:
    """A new temporary's path for a file: a/part.parquet -> a/.part.parquet.<random>.tmp"""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}.{name}.{uuid.uuid4().hex[:16]}{_SUFFIX}"


def target(token: str) -> str:
    """The file that a temporary is for. Raises ValueError for what is no temporary."""
    folder, slash, name = token.rpartition("/")
    final = name[1:].removesuffix(_SUFFIX).rpartition(".")[0]
    if not (is_temporary(name) and final):
        raise ValueError(f"{token!r} was not returned by stage()")
    return f"{folder}{slash}{final}"


def is_temporary(name: str) -> bool:
    """Whether a file name, without its folder, is a temporary's."""
    return name.startswith(".") and name.endswith(_SUFFIX)
