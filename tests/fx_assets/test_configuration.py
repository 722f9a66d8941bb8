"""What a mistake in a configuration file says, which file is in force, and that an edit of it is all it takes."""

from pathlib import Path

import dagster as dg
import pytest

from fx_assets.configuration import SHIPPED, config_file, load_configuration
from fx_assets.definitions import build_definitions
from fx_assets.errors import ConfigError
from tests.fx_assets.small import GATES, INSTRUMENTS, MODELS, TINY, changed, write_config

EUR_USD = {"typical_spread": 0.0001, "granularity": "H1", "sources": ["import"]}
DIRECTION = {
    "label": {"kind": "direction", "horizon_minutes": 120},
    "instruments": ["GBP_USD"],
    "candidates": [TINY],
    "gates": "easy",
}


@pytest.fixture
def config(tmp_path, monkeypatch):
    folder = tmp_path / "config"
    monkeypatch.setenv("FX_CONFIG_DIR", str(folder))

    def write(**files) -> Path:
        return write_config(folder, **files)

    return write


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (
            {"instruments": changed(INSTRUMENTS, instruments__GBP_USD__spred=1)},
            ["instruments.yaml: instruments.GBP_USD.spred: unknown key (value 1)", "Remove it or mend its spelling"],
        ),
        (
            {"instruments": changed(INSTRUMENTS, instruments__GBP_USD={"granularity": "H1"})},
            ["instruments.yaml: instruments.GBP_USD.typical_spread: missing. Add it"],
        ),
        (
            {"instruments": changed(INSTRUMENTS, instruments__GBP_USD__granularity="M7")},
            [
                "instruments.yaml: instruments.GBP_USD.granularity: 'M7' is not one of 'M1', 'M5'",
                "Change it, or remove",
            ],
        ),
        (
            {"instruments": changed(INSTRUMENTS, instruments__GBP_USD__typical_spread=0)},
            ["instruments.yaml: instruments.GBP_USD.typical_spread", "greater than 0", "(value 0). Change it"],
        ),
        (
            {"instruments": changed(INSTRUMENTS, instruments__GBP_USD__sources=["samples"])},
            ["instruments.yaml: instruments.GBP_USD.sources: 'samples' is not a source", "Use one of sample, import"],
        ),
        (
            {"instruments": changed(INSTRUMENTS, instruments__GBP_USD__sources=[])},
            ["instruments.yaml: instruments.GBP_USD.sources: Tuple should have at least 1 item"],
        ),
        (
            {"instruments": changed(INSTRUMENTS, news__sources=["reuters"])},
            ["instruments.yaml: news.sources: 'reuters' is not a source", "Use one of sample"],
        ),
        (
            {"instruments": changed(INSTRUMENTS, instruments__GBP_USD="H1")},
            ["instruments.yaml: instruments.GBP_USD:", "(value 'H1'). Change it"],
        ),
        (
            {"instruments": {**INSTRUMENTS, "defaults": ["H1"]}},
            ["instruments.yaml: defaults:", "(value ['H1']). Change it"],
        ),
        (
            {"instruments": changed(INSTRUMENTS, instruments={"gbp/usd": {"typical_spread": 1}})},
            ["instruments.yaml: instruments.gbp/usd", "pattern", "Change it"],
        ),
        (
            {"instruments": changed(INSTRUMENTS, sessions={"start": "2021-03-01", "end": "2021-02-01"})},
            ["instruments.yaml: sessions:", "end 2021-02-01 lies before start 2021-03-01. Swap them"],
        ),
        (
            {"instruments": changed(INSTRUMENTS, sessions={"start": "first of May"})},
            ["instruments.yaml: sessions.start:", "(value 'first of May'). Change it"],
        ),
        (
            {"models": changed(MODELS, models__move__instruments=["GBP_USD", "EUR_USD"])},
            [
                "models.yaml: models.move.instruments: 'EUR_USD' is not in instruments.yaml",
                "GBP_USD, USD_JPY",
                "Add it",
            ],
        ),
        (
            {"models": changed(MODELS, models__move__gates="lenient")},
            ["models.yaml: models.move.gates: 'lenient' is not a profile of gates.yaml", "easy, impossible", "Use one"],
        ),
        (
            {"models": changed(MODELS, models__move__label__horizon_minutes=90)},
            ["models.yaml: models.move.label.horizon_minutes: 90 is not a multiple of the 60 minutes", "GBP_USD"],
        ),
        (
            {"models": changed(MODELS, models__move__label__kind="volatility")},
            ["models.yaml: models.move.label.kind: 'volatility' is not one of 'direction', 'large_move', 'return'"],
        ),
        (
            {"models": changed(MODELS, models__move__candidates=[TINY, TINY])},
            ["models.yaml: models.move.candidates:", "two candidates are called tiny. Give each its own name"],
        ),
        (
            {"gates": changed(GATES, easy=[{**GATES["easy"][0], "op": "=>"}])},
            ["gates.yaml: easy.0.op: '=>' is not one of '>', '>='"],
        ),
        (
            {"instruments": changed(INSTRUMENTS, sources={"oanda": {"retries": 99}})},
            ["instruments.yaml: sources.oanda.retries:", "less than or equal to 10 (value 99). Change it"],
        ),
        (
            {"instruments": changed(INSTRUMENTS, sources={"mine": {"kind": "fle"}})},
            ["instruments.yaml: sources.mine.kind: 'fle' is not a kind of source. Use one of sample, import, oanda"],
        ),
        (
            {"instruments": changed(INSTRUMENTS, sources={"mine": {"kind": "file"}})},
            ["instruments.yaml: sources.mine.path: missing. Add it"],
        ),
        (
            {"instruments": changed(INSTRUMENTS, sources={"oanda": {"tokn_env": "X"}})},
            ["instruments.yaml: sources.oanda.tokn_env: unknown key (value 'X'). Remove it or mend its spelling"],
        ),
        (
            {"instruments": changed(INSTRUMENTS, instruments__GBP_USD__sources=["file"])},
            ["instruments.GBP_USD.sources: 'file' needs options. Add `sources: {file: {path: ...}}`"],
        ),
        (
            {"instruments": changed(INSTRUMENTS, instruments__GBP_USD__sources=["rss"])},
            ["instruments.GBP_USD.sources: 'rss' is not a source of candles. Use one of sample, import, oanda"],
        ),
        (
            {"instruments": changed(INSTRUMENTS, instruments__GBP_USD__calendar="XNYSE")},
            ["instruments.GBP_USD.calendar: not a calendar. Use fx, always, or an exchange's code", "'XNYSE'"],
        ),
        (
            {"data": {"compute": {"kind": "spark"}}},
            ["data.yaml: compute.kind: 'spark' is not one of 'local', 'dask'"],
        ),
        (
            {"data": {"compute": {"kind": "dask", "address": "scheduler"}}},
            ["data.yaml: compute.address:", "(value 'scheduler'). Change it"],
        ),
        (
            {"data": {"compute": {"address": "tcp://scheduler:8786"}}},
            ["data.yaml: compute: address 'tcp://scheduler:8786' is for kind dask. Set kind: dask"],
        ),
        (
            {"data": {"quality": {"min_completeness": 3}}},
            ["data.yaml: quality.min_completeness:", "less than or equal to 1 (value 3). Change it"],
        ),
        (
            {"data": {"freshness": {"default": {"deadline": "at six"}}}},
            ["data.yaml: freshness.default.deadline: 'at six' is not a cron expression of five fields"],
        ),
        (
            {"models": changed(MODELS, models__move__features={"groups": ["techncal"]})},
            ["models.yaml: models.move.features.groups: 'techncal' is not known", "technical, microstructure", "all:"],
        ),
        (
            {"models": changed(MODELS, models__move__features={"exclude": ["rsi_14", "rsi_15"]})},
            ["models.yaml: models.move.features.exclude: 'rsi_15' is not known", "rsi_14", "news_count_1h"],
        ),
        (
            {"models": changed(MODELS, models__move__features={"groups": ["rates"]})},
            ["models.yaml: models.move.features.groups: rates has no features", "data.yaml: reference.rates"],
        ),
        (
            {"models": changed(MODELS, models__move__features={"candle_columns": ["close"]})},
            ["models.yaml: models.move.features.candle_columns.0: 'close' is not one of 'volume', 'bid_close'"],
        ),
        (
            {"data": {"reference": {"economy": "x.csv"}}},
            ["data.yaml: reference.economy: unknown key (value 'x.csv'). Remove it or mend its spelling"],
        ),
        ({"instruments": "sessions: [1, 2\ninstruments: {"}, ["instruments.yaml: not valid YAML", "line 2", "Mend"]),
        ({"models": "# nothing yet\n"}, ["models.yaml: empty, or not a mapping at the top. Start from"]),
        ({"models": "- a list\n"}, ["models.yaml: empty, or not a mapping at the top. Start from"]),
    ],
)
def test_a_mistake_names_file_key_value_and_remedy(config, files, told):
    config(**files)
    with pytest.raises(ConfigError) as caught:
        load_configuration()
    for part in told:
        assert part in str(caught.value)


def test_a_source_may_have_a_name_of_its_own_beside_its_kind(config):
    named = {"desk": {"kind": "file", "path": "candles/{instrument}.csv"}, "oanda": {"stream": True}}
    config(instruments=changed(INSTRUMENTS, sources=named, instruments__GBP_USD__sources=["oanda", "desk", "binance"]))
    file = load_configuration().instruments
    assert [file.source(name).kind for name in file.instruments["GBP_USD"].sources] == ["oanda", "file", "binance"]
    assert [getattr(file.source(name), "stream", None) for name in ("oanda", "desk")] == [True, None]


def test_a_table_without_limits_of_its_own_takes_the_default_ones(config):
    config(data={"freshness": {"default": {"max_lag_minutes": 5}, "gold/labels": {"max_lag_minutes": 90}}})
    data = load_configuration().data
    assert [data.sla(table).max_lag_minutes for table in ("gold/labels", "silver/candles")] == [90, 5]


def test_a_file_that_is_no_text_is_named(config):
    (config() / "gates.yaml").write_bytes(b"\xff\xfe\x00broken")
    with pytest.raises(ConfigError, match=r"gates\.yaml: cannot be read as UTF-8"):
        load_configuration()


def test_every_mistake_of_a_file_is_told_at_once(config):
    config(instruments=changed(INSTRUMENTS, instruments__GBP_USD__spred=1, instruments__USD_JPY__granularity="M7"))
    with pytest.raises(ConfigError) as caught:
        load_configuration()
    assert len(str(caught.value).splitlines()) == 2


def test_a_mended_file_is_read_again(config):
    import os

    folder = config(models=changed(MODELS, models__move__gates="lenient"))
    with pytest.raises(ConfigError):
        load_configuration()
    path = config() / "models.yaml"
    os.utime(path, ns=(1, 2))
    assert load_configuration().models.models["move"].gates == "easy"
    path.write_text((folder / "models.yaml").read_text().replace("easy", "impossible"))
    assert load_configuration().models.models["move"].gates == "impossible"


def test_config_dir_wins_over_home_over_shipped_file_by_file(tmp_path, monkeypatch):
    given, home = tmp_path / "given", tmp_path / "home"
    monkeypatch.setenv("FX_HOME", str(home))
    assert config_file("gates.yaml") == SHIPPED / "gates.yaml"
    for folder in (home / "config", given):
        folder.mkdir(parents=True)
        (folder / "gates.yaml").write_text("{}")
    assert config_file("gates.yaml") == home / "config" / "gates.yaml"
    monkeypatch.setenv("FX_CONFIG_DIR", str(given))
    assert config_file("gates.yaml") == given / "gates.yaml"
    assert config_file("models.yaml") == SHIPPED / "models.yaml"
    with pytest.raises(ConfigError, match=r"none\.yaml: not found in .*given"):
        config_file("none.yaml")


def test_the_shipped_files_are_valid_and_share_defaults():
    configuration = load_configuration()
    assert list(configuration.instruments.instruments) == ["GBP_USD", "USD_JPY", "AUD_USD", "USD_CAD"]
    assert {i.granularity for i in configuration.instruments.instruments.values()} == {"H1"}
    assert len(configuration.models.models["move_60m"].candidates) == 4
    assert configuration.model_instruments("move_60m") == tuple(configuration.instruments.instruments)


def test_an_instrument_and_a_model_are_edits_of_yaml(config, tmp_path):
    config()
    before = build_definitions(home=tmp_path).resolve_asset_graph()
    config(
        instruments=changed(INSTRUMENTS, instruments__EUR_USD=EUR_USD),
        models=changed(MODELS, models__direction=DIRECTION),
    )
    configuration = load_configuration()
    definitions = build_definitions(configuration, tmp_path)
    dg.Definitions.validate_loadable(definitions)
    after = definitions.resolve_asset_graph()
    added = {key.path[1] for key in after.get_all_asset_keys() - before.get_all_asset_keys()}
    assert {"training_set", "model_study", "trained_model", "promotion_decision", "promoted_model"} <= added
    assert "model_bundle" not in added  # only models that are deployed have one
    assert definitions.resolve_job_def("train_direction").name == "train_direction"
    assert configuration.model_instruments("move") == ("GBP_USD", "USD_JPY", "EUR_USD")
    assert configuration.model_instruments("direction") == ("GBP_USD",)
    labels = definitions.resolve_assets_def(["gold", "labels"]).specs_by_key
    columns = next(iter(labels.values())).metadata["dagster/column_schema"].columns
    assert "direction_120m" in {column.name for column in columns}
