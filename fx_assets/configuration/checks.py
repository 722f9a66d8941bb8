"""What the configuration files must say together: names of one that another must have, and what excludes what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from fx_assets.configuration.data import DataFile
from fx_assets.configuration.instruments import InstrumentsFile
from fx_assets.configuration.labels import LAST_SIGN
from fx_assets.errors import ConfigError
from fx_assets.sources.options import KINDS

if TYPE_CHECKING:
    from fx_assets.configuration.load import Configuration

PRIMARY_KINDS = ("direction", "triple_barrier")  # what a meta label may follow: they name a side


def check_sources(file: InstrumentsFile, path: Path) -> None:
    """An unknown source would otherwise be found in the middle of a backfill."""
    wanted = [
        *((f"instruments.{symbol}.sources", i.sources, "candles") for symbol, i in file.instruments.items()),
        ("news.sources", file.news.sources, "news"),
    ]
    for where, sources, what in wanted:
        able = [name for name in file.source_names() if getattr(_kind(file, name), what)]
        for name in sources:
            if name not in able:
                raise ConfigError(f"{path}: {where}: '{name}' is not a source of {what}. Use one of {', '.join(able)}.")
            try:
                file.source(name)
            except ValidationError as error:
                needed = ", ".join(str(problem["loc"][0]) for problem in error.errors())
                raise ConfigError(
                    f"{path}: {where}: '{name}' needs options. Add `sources: {{{name}: {{{needed}: ...}}}}`."
                ) from None


def _kind(file: InstrumentsFile, name: str) -> type:
    return type(file.sources[name]) if name in file.sources else KINDS[name]


def check_models(configuration: Configuration, models: Path, gates: Path) -> None:
    known = configuration.instruments.instruments
    for name, model in configuration.models.models.items():
        if model.gates not in configuration.gates:
            raise ConfigError(
                f"{models.name}: models.{name}.gates: '{model.gates}' is not a profile of {gates.name}, "
                f"which has {', '.join(configuration.gates)}. Use one of these or add it there."
            )
        for symbol in model.instruments:
            if symbol not in known:
                raise ConfigError(
                    f"{models.name}: models.{name}.instruments: '{symbol}' is not in instruments.yaml, "
                    f"which has {', '.join(known)}. Add it there or remove it here."
                )
        if model.features.groups or model.features.exclude:
            _check_features(configuration, name, models)
        _check_label(configuration, name, models)
        _check_swaps(configuration, name, models)


def _check_label(configuration: Configuration, name: str, models: Path) -> None:
    label, where = configuration.models.models[name].label, f"{models.name}: models.{name}.label"
    known, covered = configuration.instruments.instruments, configuration.model_instruments(name)
    if label.horizon_minutes is not None:
        for symbol in covered:
            if label.horizon_minutes % known[symbol].minutes:
                raise ConfigError(
                    f"{where}.horizon_minutes: {label.horizon_minutes} is not a "
                    f"multiple of the {known[symbol].minutes} minutes of a bar of {symbol}. Change one of them."
                )
    elif len(lengths := {known[symbol].granularity for symbol in covered}) > 1:
        raise ConfigError(
            f"{where}: a label in bars needs instruments of one granularity, but {name} covers {', '.join(covered)} "
            f"with {', '.join(sorted(lengths))}. Use horizon_minutes, choose instruments, or use scope: instrument."
        )
    if label.kind != "meta" or label.primary == LAST_SIGN:
        return
    able = {n: m for n, m in configuration.models.models.items() if m.label.kind in PRIMARY_KINDS and n != name}
    if label.primary not in able:
        raise ConfigError(
            f"{where}.primary: '{label.primary}' is not another model of kind {' or '.join(PRIMARY_KINDS)}. "
            f"Use one of {', '.join((LAST_SIGN, *able))}."
        )
    if absent := [s for s in covered if s not in configuration.model_instruments(label.primary)]:
        raise ConfigError(
            f"{where}.primary: '{label.primary}' does not cover {', '.join(absent)}. "
            f"Remove {'it' if len(absent) == 1 else 'them'} from models.{name}.instruments or add to that model's."
        )


def _check_swaps(configuration: Configuration, name: str, models: Path) -> None:
    given = configuration.models.models[name].strategy.swap_per_day
    for symbol in given if isinstance(given, dict) else ():
        if symbol not in configuration.instruments.instruments:
            raise ConfigError(
                f"{models.name}: models.{name}.strategy.swap_per_day.{symbol}: not in instruments.yaml, which has "
                f"{', '.join(configuration.instruments.instruments)}. Add it there or remove it here."
            )


def check_lifetimes(file: DataFile, path: Path) -> None:
    """Feature views that data.yaml names: only then are they loaded."""
    given = file.feature_store.ttl_minutes
    if not given:
        return
    from fx_assets.schemas import VIEWS

    for view, minutes in given.items():
        if view not in ("default", *VIEWS):
            raise ConfigError(
                f"{path}: feature_store.ttl_minutes.{view}: no such feature view (value {minutes:g}). "
                f"Use default or one of {', '.join(VIEWS)}."
            )


def _check_features(configuration: Configuration, name: str, models: Path) -> None:
    """Names of groups and features, where a model states any: only then are the declarations loaded."""
    from fx_assets.inputs import REFERENCE
    from fx_assets.schemas import VIEWS, feature_names, model_features

    chosen, where = configuration.models.models[name].features, f"{models.name}: models.{name}.features"
    for key, given, known in (("groups", chosen.groups, VIEWS), ("exclude", chosen.exclude, feature_names())):
        for value in given:
            if value not in known:
                raise ConfigError(
                    f"{where}.{key}: '{value}' is not known. Use names among {', '.join(known)}; "
                    f"or remove it{' (all: every group)' if key == 'groups' else ''}."
                )
    if not model_features(configuration, name):
        if absent := [g for g in chosen.groups if g in REFERENCE and getattr(configuration.data.reference, g) is None]:
            raise ConfigError(
                f"{where}.groups: {', '.join(absent)} has no features without its file. "
                f"Name it in data.yaml: {', '.join(f'reference.{group}' for group in absent)}; or choose other groups."
            )
        raise ConfigError(
            f"{where}: nothing is left of groups {', '.join(chosen.groups) or 'all'} after exclude and candle_columns. "
            "Choose more groups, or exclude less."
        )
