"""models.yaml: labels, candidates, validation, search, strategy and scope; what mistakes say, and what is made."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from fx_assets.configuration import Label, Range, Search, Strategy, load_configuration
from fx_assets.definitions import build_definitions
from fx_assets.errors import ConfigError
from tests.fx_assets.small import INSTRUMENTS, MODELS, TINY, changed, write_config

BARRIERS = {"kind": "triple_barrier", "timeout_bars": 24}
META = {"kind": "meta", "timeout_bars": 24}
COMBINATORIAL = {"method": "combinatorial", "folds": 6}


@pytest.fixture
def config(tmp_path, monkeypatch):
    folder = tmp_path / "config"
    monkeypatch.setenv("FX_CONFIG_DIR", str(folder))

    def write(**files) -> Path:
        return write_config(folder, **files)

    return write


def move(**keys: Any) -> dict[str, Any]:
    """models.yaml with keys of its one model replaced or removed (None)."""
    entry = {**MODELS["models"]["move"], **keys}
    return {"models": {"move": {key: value for key, value in entry.items() if value is not None}}}


def beside(**keys: Any) -> dict[str, Any]:
    """models.yaml with a second model `other`, not deployed."""
    other = {**MODELS["models"]["move"], "deploy": False, **keys}
    return {"models": {**MODELS["models"], "other": other}}


@pytest.mark.parametrize(
    ("models", "told"),
    [
        (move(label={"kind": "direction"}), ["models.move.label: kind direction needs exactly one of horizon_minutes"]),
        (
            move(label={"kind": "direction", "horizon_minutes": 60, "horizon_bars": 1}),
            ["models.move.label: kind direction needs exactly one of horizon_minutes and horizon_bars"],
        ),
        (
            move(label={"kind": "large_move", "horizon_bars": 1, "up": 2, "timeout_bars": 3}),
            ["models.move.label: kind large_move has no timeout_bars, up. Remove them"],
        ),
        (move(label={"kind": "triple_barrier"}), ["kind triple_barrier needs timeout_bars"]),
        (move(label={**BARRIERS, "horizon_bars": 3}), ["kind triple_barrier has no horizon_bars. Remove it"]),
        (move(label={**BARRIERS, "primary": "last_sign"}), ["kind triple_barrier has no primary. Remove it"]),
        (move(label={**BARRIERS, "up": 0}), ["models.move.label.up: Input should be greater than 0 (value 0)"]),
        (
            move(label={**META, "primary": "lost"}),
            ["models.yaml: models.move.label.primary: 'lost' is not another model of kind direction or triple_barrier"],
        ),
        (beside(label={**META, "primary": "other"}), ["'other' is not another model", "Use one of last_sign."]),
        (
            beside(label={**META, "primary": "move"}),
            ["models.other.label.primary: 'move' is not another model of kind direction or triple_barrier"],
        ),
        (
            {
                "models": {
                    "side": {**MODELS["models"]["move"], "label": BARRIERS, "instruments": ["USD_JPY"]},
                    "size": {**MODELS["models"]["move"], "label": {**META, "primary": "side"}},
                }
            },
            ["models.size.label.primary: 'side' does not cover GBP_USD. Remove it from models.size.instruments"],
        ),
        (
            move(label={"kind": "return", "horizon_minutes": 60}),
            ["models.move: deploy: true needs a label with a probability; kind return has none. Use deploy: false"],
        ),
        (
            beside(label={"kind": "return", "horizon_bars": 1}, candidates=[{**TINY, "calibration": "platt"}]),
            ["models.other: calibration of tiny needs a label with a probability", "Use calibration: none"],
        ),
        (
            move(validation={"method": "kfold"}),
            ["models.move: deploy: true needs validation.method walk_forward; kfold also trains on rows"],
        ),
        (move(validation={"method": "kfold", "held_out": 2}), ["method kfold has no held_out. Remove it"]),
        (beside(validation={**COMBINATORIAL, "held_out": 6}), ["held_out 6 leaves none of 6 folds to train on"]),
        (
            beside(validation={**COMBINATORIAL, "folds": 12, "held_out": 4}),
            [
                "models.other.validation: 4 of 12 folds can be chosen in 495 ways, more than 120. Lower folds",
            ],
        ),
        (move(candidates=[{**TINY, "algorithm": "svm"}]), ["candidates.0.algorithm: 'svm' is not one of 'xgboost'"]),
        (
            move(candidates=[{**TINY, "params": {"random_state": 3}}]),
            ["candidates.0.params: random_state is set by the platform. Remove it; models.<name>.seed is its place"],
        ),
        (
            move(rollout={"window": 5}),
            ["models.move.rollout: window: no such setting of a rollout. Use alpha,", "window_s"],
        ),
        (move(candidates=[{**TINY, "name": "searched"}]), ["the name searched is kept for the result of"]),
        (move(candidates=[{**TINY, "seeds": 0}]), ["candidates.0.seeds:", "greater than or equal to 1 (value 0)"]),
        (move(search={"trials": 4}), ["models.yaml: models.move.search.space: missing. Add it"]),
        (
            move(search={"space": {"eta": {"low": 0.3, "high": 0.1}}}),
            ["models.move.search.space.eta: high 0.1 is not above low 0.3. Swap or change them"],
        ),
        (
            move(search={"space": {"eta": {"low": 0, "high": 0.1, "log": True}}}),
            ["models.move.search.space.eta: log needs a low above 0, not 0. Raise it, or remove log"],
        ),
        (
            move(search={"space": {"max_depth": {"low": 1.5, "high": 4, "whole": True}}}),
            ["models.move.search.space.max_depth: whole needs a whole low and high"],
        ),
        (
            move(search={"space": {"eta": {"choices": [0.1]}}}),
            ["models.move.search.space.eta.choices: Tuple should have at least 2 items"],
        ),
        (
            move(search={"space": {"nthread": {"choices": [1, 2]}}}),
            ["search.space: nthread is set by the platform. Remove it."],
        ),
        (move(strategy={"threshold": 0.4}), ["models.move.strategy.threshold:", "greater than or equal to 0.5"]),
        (move(strategy={"thresholds": [0.5, 0.5]}), ["models.move.strategy.thresholds: a value stands twice"]),
        (
            move(strategy={"swap_per_day": {"EUR_USD": 0.0001}}),
            ["models.move.strategy.swap_per_day.EUR_USD: not in instruments.yaml, which has GBP_USD, USD_JPY"],
        ),
        (move(expires_days=0), ["models.move.expires_days:", "greater than or equal to 1 (value 0)"]),
        (move(scope="each"), ["models.move.scope: 'each' is not one of 'pooled', 'instrument'"]),
        (
            {"models": {**move(scope="instrument")["models"], "move_gbp_usd": MODELS["models"]["move"]}},
            ["models.move: scope instrument makes a model move_gbp_usd, which is there already. Rename one of them"],
        ),
        (
            {"models": {"m" * 35: move(scope="instrument")["models"]["move"]}},
            ["_gbp_usd, a name longer than 41 characters. Shorten the entry's name"],
        ),
        (
            {
                "models": {
                    "side": {**MODELS["models"]["move"], "label": BARRIERS, "scope": "instrument"},
                    "size": {**MODELS["models"]["move"], "label": {**META, "primary": "side"}},
                }
            },
            ["models.size.label.primary: 'side' has a model for each instrument. Use scope: instrument here too"],
        ),
    ],
)
def test_a_mistake_names_key_value_and_remedy(config, models, told):
    config(models=models)
    with pytest.raises(ConfigError) as caught:
        load_configuration()
    for part in told:
        assert part in str(caught.value)


def test_bars_of_different_lengths_are_no_horizon(config):
    instruments = changed(INSTRUMENTS, instruments__USD_JPY__granularity="M30")
    config(instruments=instruments, models=move(label={"kind": "direction", "horizon_bars": 2}))
    with pytest.raises(ConfigError, match=r"needs instruments of one granularity, but move covers GBP_USD, USD_JPY"):
        load_configuration()
    config(
        instruments=instruments, models=move(label={"kind": "direction", "horizon_bars": 2}, instruments=["USD_JPY"])
    )
    assert load_configuration().models.models["move"].label.minutes(30) == 60


@pytest.mark.parametrize(
    ("label", "columns", "name"),
    [
        (
            Label(kind="direction", horizon_minutes=60),
            ("direction_60m", "label_end_60m", "forward_return_60m"),
            "direction over 60 minutes",
        ),
        (
            Label(kind="return", horizon_bars=1),
            ("return_1b", "label_end_1b", "forward_return_1b"),
            "return over 1 bar",
        ),
        (
            Label(kind="triple_barrier", timeout_bars=24, up=1.5, down=0.75),
            (
                "triple_barrier_24b_1p5_0p75_96",
                "triple_barrier_24b_1p5_0p75_96_end",
                "triple_barrier_24b_1p5_0p75_96_return",
            ),
            "triple_barrier within 24 bars",
        ),
        (
            Label(kind="meta", timeout_bars=8, volatility_span=48, primary="direction_60m"),
            (
                "meta_direction_60m_8b_1_1_48",
                "meta_direction_60m_8b_1_1_48_end",
                "meta_direction_60m_8b_1_1_48_return",
            ),
            "meta within 8 bars",
        ),
    ],
)
def test_a_label_names_its_columns(label, columns, name):
    assert (label.column, label.end_column, label.return_column) == columns
    assert label.name == name
    assert (label.target, label.is_probability) == (("real", False) if label.kind == "return" else ("binary", True))
    assert label.bars(60) * 60 == label.minutes(60)


def test_scope_instrument_makes_a_model_for_each_instrument_in_one_group(config, tmp_path):
    sized = {**MODELS["models"]["move"], "label": {**META, "primary": "move"}, "scope": "instrument", "deploy": False}
    per = {**MODELS["models"]["move"], "label": BARRIERS, "scope": "instrument", "deploy": False}
    config(models={"models": {"move": per, "size": {**sized, "instruments": ["USD_JPY"]}}})
    configuration = load_configuration()
    assert list(configuration.models.models) == ["move_gbp_usd", "move_usd_jpy", "size_usd_jpy"]
    assert [configuration.group(name) for name in configuration.models.models] == ["move", "move", "size"]
    assert configuration.model_instruments("move_usd_jpy") == ("USD_JPY",)
    assert configuration.models.models["size_usd_jpy"].label.primary == "move_usd_jpy"
    # Both ask for the same label, which is made once.
    assert len(configuration.label_horizons()) == 2

    definitions = build_definitions(configuration, tmp_path)
    dg.Definitions.validate_loadable(definitions)
    graph = definitions.resolve_asset_graph()
    assert {graph.get(key).group_name for key in graph.get_all_asset_keys() if key.path[0] == "move_gbp_usd"} == {
        "move"
    }
    assert {definitions.resolve_job_def(f"train_{name}").name for name in configuration.models.models} == {
        "train_move_gbp_usd",
        "train_move_usd_jpy",
        "train_size_usd_jpy",
    }


def test_swap_is_one_for_all_or_by_instrument():
    assert Strategy(swap_per_day=0.0001).swaps(["GBP_USD", "USD_JPY"]) == {"GBP_USD": 0.0001, "USD_JPY": 0.0001}
    assert Strategy(swap_per_day={"USD_JPY": -0.0001}).swaps(["GBP_USD", "USD_JPY"]) == {
        "GBP_USD": 0.0,
        "USD_JPY": -0.0001,
    }


def test_thresholds_are_tried_in_order():
    assert Strategy(thresholds=(0.6, 0.5, 0.55)).thresholds == (0.5, 0.55, 0.6)


def test_a_space_holds_ranges_and_choices():
    search = Search.model_validate(
        {"space": {"eta": {"low": 0.01, "high": 0.3, "log": True}, "max_depth": {"choices": [2, 3]}}}
    )
    assert search.space["eta"] == Range(low=0.01, high=0.3, log=True)
    assert Search.model_validate(search.model_dump()) == search
