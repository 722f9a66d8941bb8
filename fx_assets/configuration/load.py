"""Finding and reading the files; a mistake is reported with file, key, value and remedy."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, Field, ValidationError

from fx_assets.configuration import automation as table
from fx_assets.configuration.base import Strict
from fx_assets.configuration.checks import check_lifetimes, check_models, check_sources
from fx_assets.configuration.data import DataFile
from fx_assets.configuration.instruments import InstrumentsFile
from fx_assets.configuration.labels import Label
from fx_assets.configuration.models import Gate, GatesFile, ModelsFile
from fx_assets.configuration.scope import by_instrument
from fx_assets.errors import ConfigError
from fx_assets.sources.options import KINDS
from fx_serving.client.home import config_folders, fx_home
from fx_serving.client.overlay import environment_files, laid_over, states

SHIPPED = Path(__file__).parents[1] / "config"
DEFAULT_POLL_S = 300
Stamped = tuple[tuple[Path, int], ...]


class Configuration(Strict):
    """Everything the code location is built from."""

    instruments: InstrumentsFile
    models: ModelsFile
    gates: dict[str, tuple[Gate, ...]]
    data: DataFile = DataFile()
    automation: table.AutomationFile = Field(default_factory=table.load_automation)
    groups: dict[str, str] = Field(default_factory=dict)

    def group(self, model: str) -> str:
        """The entry of models.yaml that a model comes from: another name only where its scope is instrument."""
        return self.groups.get(model, model)

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
    def poll_seconds(self) -> int:
        """How often candles are fetched while a market is open: as data.yaml says, else as automation.yaml does."""
        return self.data.live.poll_seconds or self.automation.row("candles").every_seconds or DEFAULT_POLL_S

    @property
    def bar_minutes(self) -> int:
        """The shortest bar of any instrument, in minutes."""
        return min(instrument.minutes for instrument in self.instruments.instruments.values())


def config_file(name: str, shipped: Path = SHIPPED) -> Path:
    """The file in force: FX_CONFIG_DIR, else FX_HOME/config, else the one in the folder `shipped`."""
    places = [*config_folders(fx_home()), shipped]
    for place in places:
        if (path := place / name).is_file():
            return path
    raise ConfigError(f"{name}: not found in {', '.join(map(str, places))}.")


def overlays() -> dict[str, Path]:
    """What FX_ENV lays over the files: name (data.yaml) -> overlay. Raises ConfigError; see environment_files."""
    try:
        return environment_files(config_folders(fx_home()))
    except ValueError as error:
        raise ConfigError(str(error)) from None


def stamped(*paths: Path) -> Stamped:
    """Files, and what is laid over them, with the times of their last change: what a parsed file is kept by."""
    laid = overlays()
    files = [file for path in paths for file in (path, laid.get(path.name)) if file is not None]
    return tuple((file, file.stat().st_mtime_ns) for file in files)


def load_configuration() -> Configuration:
    """Read and validate the five files. Raises ConfigError naming file, key, value and remedy."""
    files = tuple(config_file(name) for name in ("instruments.yaml", "models.yaml", "gates.yaml", "data.yaml"))
    return _load(files, stamped(*files, config_file(table.FILE), SHIPPED / table.FILE))


@cache
def _load(files: tuple[Path, ...], _changed: Stamped) -> Configuration:
    instruments, models, gates, data = files
    instruments_file = parse_file(instruments, InstrumentsFile)
    entries, groups = by_instrument(parse_file(models, ModelsFile), tuple(instruments_file.instruments), models)
    configuration = Configuration.model_construct(
        instruments=instruments_file,
        models=entries,
        groups=groups,
        gates=parse_file(gates, GatesFile).root,
        data=parse_file(data, DataFile),
        automation=table.load_automation(),
    )
    check_sources(configuration.instruments, instruments)
    check_models(configuration, models, gates)
    check_lifetimes(configuration.data, data)
    return configuration


Parsed = TypeVar("Parsed", bound=BaseModel)
Loader = type[yaml.SafeLoader]


def read_tree(path: Path, loader: Loader = yaml.SafeLoader, shipped: Path = SHIPPED) -> dict[str, Any]:
    """The mapping in a file. shipped: the folder of the one to start from. Raises ConfigError with file and remedy."""
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}. Mend the line named above.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}. Mend or replace the file.") from None
    if not isinstance(raw, dict):
        start = shipped / path.name
        remedy = f"Start from {start}." if start.is_file() else "Write keys and values, or remove the file."
        raise ConfigError(f"{path}: empty, or not a mapping at the top. {remedy}")
    return raw


def parse_file(path: Path, kind: type[Parsed], shipped: Path = SHIPPED) -> Parsed:
    """A YAML file, with its overlay, as what it must be. Raises ConfigError naming file, key, value and remedy."""
    return validated(kind, read_tree(path, shipped=shipped), path)


def validated(kind: type[Parsed], tree: dict[str, Any], path: Path, loader: Loader = yaml.SafeLoader) -> Parsed:
    """A file's tree, under what the environment lays over it. Raises ConfigError as parse_file."""
    above = overlays().get(path.name)
    laid = {} if above is None else read_tree(above, loader)
    try:
        return kind.model_validate(laid_over(tree, laid))
    except ValidationError as error:
        told = [explain(above if above and states(laid, p["loc"]) else path, p) for p in error.errors()]
        raise ConfigError("\n".join(told)) from None


def explain(path: Path, problem: Any) -> str:
    """One mistake that pydantic found: file, key, value, remedy."""
    place = problem["loc"]
    if place[:1] == ("sources",):
        place = place[:2] + place[3:]  # pydantic puts the kind between a source's name and its key
    if place[2:4] == ("search", "space"):
        place = place[:5] + place[6:]  # and here whether it is a range or choices
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
    told = problem["msg"].removeprefix("Value error, ")
    if kind == "value_error" and isinstance(value, dict):
        return f"{path}: {where}: {told}."  # of several keys together: the message has the values that matter
    return f"{path}: {where}: {told} (value {value!r}). Change it."
