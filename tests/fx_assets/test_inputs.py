"""What tables are made of."""

from fx_assets.configuration import Reference, load_configuration
from fx_assets.inputs import (
    Input,
    feature_histories,
    feature_history,
    lookback_sessions,
    reference_inputs,
    table_inputs,
)
from fx_assets.schemas import build_schemas


def test_lookback_holds_the_window_and_some_spare():
    assert (lookback_sessions(24, 60), lookback_sessions(25, 60), lookback_sessions(3, 1440)) == (5, 6, 7)


def test_every_table_says_what_it_is_made_of_and_the_chain_ends_in_bronze():
    files = Reference(economic="calendar.csv", rates="s3://bucket/rates.parquet")
    shipped = load_configuration()
    configuration = shipped.model_copy(update={"data": shipped.data.model_copy(update={"reference": files})})
    inputs = table_inputs(configuration)
    assert reference_inputs(inputs) == ["bronze/economic", "bronze/rates"]
    assert reference_inputs(table_inputs(shipped)) == []
    assert set(inputs) == set(build_schemas(configuration))
    for table, sources in inputs.items():
        assert sources, table
        for source in sources.values():
            assert source.is_bronze or source.table in inputs, (table, source)
            assert source.is_bronze == source.table.startswith("bronze/")
    assert inputs["gold/labels"]["candles"] == Input("silver/candles", before=41, ahead=1)


def test_news_signals_are_made_again_for_other_instruments_and_other_bars():
    shipped = load_configuration()

    def setting(change: dict[str, object]) -> str:
        symbols = {**shipped.instruments.instruments, **change}
        instruments = shipped.instruments.model_copy(update={"instruments": symbols})
        return table_inputs(shipped.model_copy(update={"instruments": instruments}))["gold/news_signals"][
            "news"
        ].setting

    one = shipped.instruments.instruments["GBP_USD"]
    every = [setting({}), setting({"EUR_USD": one}), setting({"GBP_USD": one.model_copy(update={"granularity": "M5"})})]
    assert len(set(every)) == 3
    assert setting(dict(reversed(shipped.instruments.instruments.items()))) == every[0]


def test_one_instrument_of_long_bars_leaves_the_history_of_the_others_as_it_is():
    shipped = load_configuration()
    one = shipped.instruments.instruments["GBP_USD"]
    symbols = {"GBP_USD": one, "USD_JPY": one.model_copy(update={"granularity": "D"})}
    instruments = shipped.instruments.model_copy(update={"instruments": symbols})
    mixed = shipped.model_copy(update={"instruments": instruments})
    assert feature_histories(mixed)["GBP_USD"] == feature_history(shipped)
    assert feature_histories(mixed)["USD_JPY"] == feature_history(mixed) > feature_history(shipped)
