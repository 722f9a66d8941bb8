"""What tables are made of."""

from fx_assets.configuration import load_configuration
from fx_assets.inputs import Input, lookback_sessions, table_inputs
from fx_assets.schemas import build_schemas


def test_lookback_holds_the_window_and_some_spare():
    assert (lookback_sessions(24, 60), lookback_sessions(25, 60), lookback_sessions(3, 1440)) == (5, 6, 7)


def test_every_table_says_what_it_is_made_of_and_the_chain_ends_in_bronze():
    configuration = load_configuration()
    inputs = table_inputs(configuration)
    assert set(inputs) == set(build_schemas(configuration))
    for table, sources in inputs.items():
        assert sources, table
        for source in sources.values():
            assert source.is_bronze or source.table in inputs, (table, source)
            assert source.is_bronze == source.table.startswith("bronze/")
    assert inputs["gold/labels"]["candles"] == Input("silver/candles", before=41, ahead=1)
