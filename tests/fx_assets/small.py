"""A small platform for tests: a configuration of few instruments and sessions, and its assets run in this process."""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from fx_assets.bronze.files import Bronze
from fx_assets.configuration import Configuration, load_configuration
from fx_assets.definitions import build_definitions
from fx_assets.inputs import with_siblings
from fx_assets.lake import Lake

BRONZE = ("bronze/candles", "bronze/news")
SILVER = (
    "silver/candles",
    "silver/quarantine",
    "silver/technical",
    "silver/microstructure",
    "silver/volatility",
    "silver/regime",
    "silver/news_sentiment",
)
GOLD = ("gold/market_features", "gold/news_signals", "gold/features", "gold/labels")
TABLES = (*SILVER, *GOLD)

INSTRUMENTS: dict[str, Any] = {
    "sessions": {"start": "2020-10-01", "end": "2021-04-01"},
    "instruments": {"GBP_USD": {"typical_spread": 0.00012}, "USD_JPY": {"typical_spread": 0.01}},
    "news": {"sources": ["sample"]},
}
TINY = {"name": "tiny", "rounds": 8, "params": {"max_depth": 2, "eta": 0.3, "min_child_weight": 20}}
MODELS: dict[str, Any] = {
    "models": {
        "move": {
            "label": {"kind": "large_move", "horizon_minutes": 60},
            "instruments": "all",
            "training": {"sessions": 85, "min_rows": 1000},
            "validation": {"folds": 2, "embargo_minutes": 60},
            "candidates": [TINY],
            "gates": "easy",
            "deploy": True,
        },
    }
}
GATES: dict[str, Any] = {
    "easy": [{"gate": "some_data", "figure": "n_effective", "op": ">", "threshold": 10, "why": "there are rows"}],
    "impossible": [{"gate": "oracle", "figure": "auc.value", "op": ">", "threshold": 1.0, "why": "nothing is perfect"}],
}


def changed(tree: dict[str, Any], **paths: Any) -> dict[str, Any]:
    """A deep copy with values set at paths written with double underscores: sessions__end="2021-01-04"."""
    made = copy.deepcopy(tree)
    for path, value in paths.items():
        *above, last = path.split("__")
        node = made
        for key in above:
            node = node[key]
        node[last] = value
    return made


def write_config(
    folder: Path, instruments: Any = None, models: Any = None, gates: Any = None, data: Any = None
) -> Path:
    """The files below `folder`, data.yaml only when given; strings are written as they are: they may be wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "instruments.yaml": instruments or INSTRUMENTS,
        "models.yaml": models or MODELS,
        "gates.yaml": gates or GATES,
        **({} if data is None else {"data.yaml": data}),
    }
    for name, content in files.items():
        (folder / name).write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return folder


class Platform:
    """The assets of one configuration over one home, on an instance that is forgotten afterwards."""

    def __init__(self, home: Path, configuration: Configuration, instance: dg.DagsterInstance):
        self.home = home
        self.configuration = configuration
        self.instance = instance
        self.definitions = build_definitions(configuration, home)
        self.job = self.definitions.resolve_implicit_global_asset_job_def()
        self.lake = Lake(home / "lake")
        self.bronze = Bronze(home / "lake")

    def run(
        self, assets: Iterable[str], first: str | None = None, last: str | None = None, *, must: bool = True
    ) -> dg.ExecuteInProcessResult:
        """Materialize assets for one session, a range, or none; raises what a step raised unless must=False."""
        job = self.job.get_subset(asset_selection={dg.AssetKey(a.split("/")) for a in with_siblings(assets)})
        single = first if last in (None, first) else None
        tags = (
            {}
            if single or first is None
            else {
                "dagster/asset_partition_range_start": first,
                "dagster/asset_partition_range_end": str(last),
            }
        )
        return job.execute_in_process(
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            instance=self.instance,
            partition_key=single,
            tags=tags,
            raise_on_error=must,
        )


def made(result: dg.ExecuteInProcessResult) -> dict[str, list[str]]:
    """Partitions materialized by a run, by asset."""
    found: dict[str, list[str]] = {}
    for event in result.get_asset_materialization_events():
        key = event.step_materialization_data.materialization.asset_key
        found.setdefault("/".join(key.path), []).append(str(event.partition))
    return found


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    """Check evaluations of a run by asset/check."""
    return {f"{'/'.join(c.asset_key.path)}/{c.check_name}": c for c in result.get_asset_check_evaluations()}


def configuration_of(folder: Path, monkeypatch: Any) -> Configuration:
    """The configuration of a folder, by way of FX_CONFIG_DIR as a user gives it."""
    with monkeypatch.context() as patch:
        patch.setenv("FX_CONFIG_DIR", str(folder))
        return load_configuration()
