"""Configuration: what instruments.yaml and models.yaml may say, and how a mistake in them is reported.

Files are looked for in FX_CONFIG_DIR, then FX_HOME/config, then the ones shipped in fx_assets/config.
No secrets belong in them.
"""

from __future__ import annotations

import os
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    ValidationError,
    field_validator,
    model_validator,
)

from fx_assets.errors import ConfigError
from fx_assets.sources.base import CANDLE_SOURCES, NEWS_SOURCES
from fx_serving.client.home import fx_home

SHIPPED = Path(__file__).parent / "config"

GRANULARITY_MINUTES = {"M1": 1, "M5": 5, "M15": 15, "M30": 30, "H1": 60, "H4": 240, "D": 1440}
Granularity = Literal["M1", "M5", "M15", "M30", "H1", "H4", "D"]
Symbol = Annotated[str, Field(pattern=r"^[A-Z0-9]{2,10}(_[A-Z0-9]{2,10})?$")]
ModelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,40}$")]


class Strict(BaseModel):
    """Unknown keys are mistakes: a misspelt option must not be silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Sessions(Strict):
    start: date
    end: date | None = None

    @model_validator(mode="after")
    def ordered(self) -> Sessions:
        if self.end is not None and self.end < self.start:
            raise ValueError(f"end {self.end} lies before start {self.start}. Swap them")
        return self


class Instrument(Strict):
    granularity: Granularity = "H1"
    calendar: Literal["fx", "always"] = "fx"
    sources: tuple[str, ...] = Field(default=("sample",), min_length=1)
    typical_spread: float = Field(gt=0)

    @property
    def minutes(self) -> int:
        """Length of one bar in minutes."""
        return GRANULARITY_MINUTES[self.granularity]


class News(Strict):
    sources: tuple[str, ...] = ()


class InstrumentsFile(Strict):
    sessions: Sessions
    defaults: dict[str, Any] = {}
    instruments: dict[Symbol, Instrument] = Field(min_length=1)
    news: News = News()

    @model_validator(mode="before")
    @classmethod
    def spread_defaults(cls, raw: Any) -> Any:
        return _with_defaults(raw, "instruments")


class Label(Strict):
    kind: Literal["direction", "large_move"]
    horizon_minutes: int = Field(gt=0, le=7 * 1440)

    @property
    def column(self) -> str:
        """Name of the label's column in gold/labels."""
        return f"{self.kind}_{self.horizon_minutes}m"


class Candidate(Strict):
    name: str
    algorithm: Literal["xgboost"] = "xgboost"
    rounds: int = Field(gt=0, le=5000)
    params: dict[str, float | int | str] = {}


class Training(Strict):
    sessions: int = Field(default=400, ge=20)
    min_rows: int = Field(default=4000, ge=100)


class Validation(Strict):
    folds: int = Field(default=6, ge=2, le=20)
    embargo_minutes: int = Field(default=60, ge=0)


def _all_instruments(value: Any) -> Any:
    return () if value == "all" else value


class Model(Strict):
    description: str = ""
    label: Label
    instruments: Annotated[tuple[Symbol, ...], BeforeValidator(_all_instruments)] = ()
    candidates: tuple[Candidate, ...] = Field(min_length=1)
    training: Training = Training()
    validation: Validation = Validation()
    gates: str
    deploy: bool = False
    rollout: dict[str, Any] = {}
    seed: int = 7

    @field_validator("candidates")
    @classmethod
    def named_once(cls, value: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        names = [candidate.name for candidate in value]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two candidates are called {', '.join(repeated)}. Give each its own name")
        return value


class ModelsFile(Strict):
    defaults: dict[str, Any] = {}
    models: dict[ModelName, Model] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def spread_defaults(cls, raw: Any) -> Any:
        return _with_defaults(raw, "models")


class Gate(Strict):
    gate: str
    figure: str
    op: Literal[">", ">=", "<", "<="]
    threshold: float
    why: str = ""


class Configuration(Strict):
    """Everything the code location is built from."""

    instruments: InstrumentsFile
    models: ModelsFile
    gates: dict[str, tuple[Gate, ...]]

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


def _with_defaults(raw: Any, key: str) -> Any:
    if not isinstance(raw, dict) or not isinstance(raw.get(key), dict):
        return raw
    defaults = raw.get("defaults") or {}
    if not isinstance(defaults, dict):
        return raw  # validation says what is wrong with it

    def merged(entry: Any) -> Any:
        return {**defaults, **(entry or {})} if entry is None or isinstance(entry, dict) else entry

    return {**raw, key: {name: merged(entry) for name, entry in raw[key].items()}}


def config_file(name: str) -> Path:
    """The file in force: FX_CONFIG_DIR, else FX_HOME/config, else the shipped one."""
    places = [os.environ.get("FX_CONFIG_DIR"), fx_home() / "config", SHIPPED]
    for place in places:
        if place and (path := Path(place) / name).is_file():
            return path
    raise ConfigError(f"{name}: not found in {', '.join(str(place) for place in places if place)}.")


def load_configuration() -> Configuration:
    """Read and validate the three files. Raises ConfigError naming file, key, value and remedy."""
    files = tuple(config_file(name) for name in ("instruments.yaml", "models.yaml", "gates.yaml"))
    return _load(tuple((path, path.stat().st_mtime_ns) for path in files))


@cache
def _load(stamped: tuple[tuple[Path, int], ...]) -> Configuration:
    (instruments, _), (models, _), (gates, _) = stamped
    configuration = Configuration.model_construct(
        instruments=_parse(instruments, InstrumentsFile),
        models=_parse(models, ModelsFile),
        gates=_parse(gates, _GatesFile).root,
    )
    _check_sources(configuration.instruments, instruments)
    _cross_check(configuration, models, gates)
    return configuration


class _GatesFile(RootModel[dict[str, tuple[Gate, ...]]]):
    pass


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
    where = ".".join(str(part) for part in problem["loc"]) or "(top level)"
    kind, value = problem["type"], problem.get("input")
    if kind == "extra_forbidden":
        return f"{path}: {where}: unknown key (value {value!r}). Remove it or mend its spelling."
    if kind == "missing":
        return f"{path}: {where}: missing. Add it."
    if kind == "literal_error":
        choices = problem["ctx"]["expected"].replace(" or ", ", ")
        return f"{path}: {where}: {value!r} is not one of {choices}. Change it, or remove the line for the default."
    return f"{path}: {where}: {problem['msg']} (value {value!r}). Change it."


def _check_sources(file: InstrumentsFile, path: Path) -> None:
    """An unknown source would otherwise be found in the middle of a backfill."""
    named = [
        *((f"instruments.{symbol}", i.sources, CANDLE_SOURCES) for symbol, i in file.instruments.items()),
        ("news", file.news.sources, NEWS_SOURCES),
    ]
    for where, sources, known in named:
        for source in sources:
            if source not in known:
                raise ConfigError(
                    f"{path}: {where}.sources: '{source}' is not a source. Use one of {', '.join(known)}."
                )


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
        for symbol in configuration.model_instruments(name):
            if model.label.horizon_minutes % known[symbol].minutes:
                raise ConfigError(
                    f"{models.name}: models.{name}.label.horizon_minutes: {model.label.horizon_minutes} is not a "
                    f"multiple of the {known[symbol].minutes} minutes of a bar of {symbol}. Change one of them."
                )
