"""Finding, reading and cross-checking the files; a mistake is reported with file, key, value and remedy."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from fx_assets.configuration.base import Strict
from fx_assets.configuration.data import DataFile
from fx_assets.configuration.instruments import InstrumentsFile
from fx_assets.configuration.models import Gate, GatesFile, Label, ModelsFile
from fx_assets.errors import ConfigError
from fx_assets.sources.options import KINDS
from fx_serving.client.home import fx_home

SHIPPED = Path(__file__).parents[1] / "config"


class Configuration(Strict):
    """Everything the code location is built from."""

    instruments: InstrumentsFile
    models: ModelsFile
    gates: dict[str, tuple[Gate, ...]]
    data: DataFile = DataFile()

    def model_instruments(self, model: str) -> tuple[str, ...]:
        """The symbols a model covers, in the order of instruments.yaml."""
        return self.models.models[model].instruments or tuple(self.instruments.instruments)

    @property
    def all_week(self) -> bool:
        """Whether an instrument trades at weekends, so that every day is a session."""
        return any(i.calendar == "always" for i in self.instruments.instruments.values())

    def label_horizons(self) -> tuple[Label, ...]:
        """The distinct labels that any model asks for, in the order of models.yaml."""
        return tuple(dict.fromkeys(model.label for model in self.models.models.values()))

    @property
    def bar_minutes(self) -> int:
        """The shortest bar of any instrument, in minutes."""
        return min(instrument.minutes for instrument in self.instruments.instruments.values())


def config_file(name: str) -> Path:
    """The file in force: FX_CONFIG_DIR, else FX_HOME/config, else the shipped one."""
    places = [os.environ.get("FX_CONFIG_DIR"), fx_home() / "config", SHIPPED]
    for place in places:
        if place and (path := Path(place) / name).is_file():
            return path
    raise ConfigError(f"{name}: not found in {', '.join(str(place) for place in places if place)}.")


def load_configuration() -> Configuration:
    """Read and validate the four files. Raises ConfigError naming file, key, value and remedy."""
    files = tuple(config_file(name) for name in ("instruments.yaml", "models.yaml", "gates.yaml", "data.yaml"))
    return _load(tuple((path, path.stat().st_mtime_ns) for path in files))


@cache
def _load(stamped: tuple[tuple[Path, int], ...]) -> Configuration:
    (instruments, _), (models, _), (gates, _), (data, _) = stamped
    configuration = Configuration.model_construct(
        instruments=_parse(instruments, InstrumentsFile),
        models=_parse(models, ModelsFile),
        gates=_parse(gates, GatesFile).root,
        data=_parse(data, DataFile),
    )
    _check_sources(configuration.instruments, instruments)
    _cross_check(configuration, models, gates)
    _check_lifetimes(configuration.data, data)
    return configuration


Parsed = TypeVar("Parsed", bound=BaseModel)


def _parse(path: Path, kind: type[Parsed]) -> Parsed:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}. Mend the line named above.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}. Mend or replace the file.") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: empty, or not a mapping at the top. Start from {SHIPPED / path.name}.")
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(path, problem) for problem in error.errors())) from None


def _explain(path: Path, problem: Any) -> str:
    place = problem["loc"]
    if place[:1] == ("sources",):
        place = place[:2] + place[3:]  # pydantic puts the kind between a source's name and its key
    where = ".".join(str(part) for part in place) or "(top level)"
    kind, value = problem["type"], problem.get("input")
    if kind == "union_tag_invalid":
        chosen = problem["ctx"]["tag"]
        return f"{path}: {where}.kind: '{chosen}' is not a kind of source. Use one of {', '.join(KINDS)}."
    if kind == "string_pattern_mismatch" and place[-1] == "deadline":
        return f"{path}: {where}: {value!r} is not a cron expression of five fields, such as '0 18 * * 1-5'. Change it."
    if kind == "extra_forbidden":
        return f"{path}: {where}: unknown key (value {value!r}). Remove it or mend its spelling."
    if kind == "missing":
        return f"{path}: {where}: missing. Add it."
    if kind == "literal_error":
        choices = problem["ctx"]["expected"].replace(" or ", ", ")
        return f"{path}: {where}: {value!r} is not one of {choices}. Change it, or remove the line for the default."
    return f"{path}: {where}: {problem['msg'].removeprefix('Value error, ')} (value {value!r}). Change it."


def _check_sources(file: InstrumentsFile, path: Path) -> None:
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


def _cross_check(configuration: Configuration, models: Path, gates: Path) -> None:
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
        for symbol in configuration.model_instruments(name):
            if model.label.horizon_minutes % known[symbol].minutes:
                raise ConfigError(
                    f"{models.name}: models.{name}.label.horizon_minutes: {model.label.horizon_minutes} is not a "
                    f"multiple of the {known[symbol].minutes} minutes of a bar of {symbol}. Change one of them."
                )


def _check_lifetimes(file: DataFile, path: Path) -> None:
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
