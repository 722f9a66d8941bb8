"""Models of scope `instrument`: one entry of models.yaml becomes a model, with its own assets, for each instrument."""

from __future__ import annotations

import re
from pathlib import Path

from fx_assets.configuration.labels import LAST_SIGN
from fx_assets.configuration.models import MODEL_NAME, Model, ModelsFile
from fx_assets.errors import ConfigError


def by_instrument(file: ModelsFile, symbols: tuple[str, ...], path: Path) -> tuple[ModelsFile, dict[str, str]]:
    """`file` with every entry of scope instrument replaced by `<entry>_<symbol>` for each instrument it covers.

    Also returned: the entry each of those comes from. A meta label whose primary is such an entry follows the model of
    its own instrument. Raises ConfigError for a name that is taken or too long, or a primary that cannot be told.
    """
    made: dict[str, Model] = {}
    groups: dict[str, str] = {}
    for name, entry in file.models.items():
        if entry.scope == "pooled":
            made[name] = entry
            continue
        for symbol in entry.instruments or symbols:
            own = f"{name}_{symbol.lower()}"
            if own in file.models or own in made:
                raise ConfigError(
                    f"{path.name}: models.{name}: scope instrument makes a model {own}, which is there already. "
                    "Rename one of them."
                )
            if not re.fullmatch(MODEL_NAME, own):
                raise ConfigError(
                    f"{path.name}: models.{name}: scope instrument makes a model {own}, a name longer than 41 "
                    "characters. Shorten the entry's name."
                )
            made[own], groups[own] = entry.model_copy(update={"instruments": (symbol,)}), name
    if not groups:
        return file, groups
    models = {name: _own_primary(name, entry, groups, path) for name, entry in made.items()}
    return file.model_copy(update={"models": models}), groups


def _own_primary(name: str, entry: Model, groups: dict[str, str], path: Path) -> Model:
    """A model whose meta label follows an entry of scope instrument, following the model of its instrument instead."""
    primary = entry.label.primary
    if primary == LAST_SIGN or primary not in groups.values():
        return entry
    of_symbol = f"{primary}_{entry.instruments[0].lower()}" if len(entry.instruments) == 1 else ""
    if of_symbol not in groups:
        raise ConfigError(
            f"{path.name}: models.{groups.get(name, name)}.label.primary: '{primary}' has a model for each instrument. "
            f"Use scope: instrument here too with instruments it covers, or scope: pooled there."
        )
    return entry.model_copy(update={"label": entry.label.model_copy(update={"primary": of_symbol})})
