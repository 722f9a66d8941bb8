"""The section drift of monitoring.yaml: what a model states itself holds for it, and the section for all others."""

import pytest

from fx_assets.errors import ConfigError
from fx_monitoring.configuration import DriftPolicy, load_monitoring

MODELS = ("move_60m", "direction_60m")


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setenv("FX_CONFIG_DIR", str(tmp_path))
    return (tmp_path / "monitoring.yaml").write_text


def test_a_model_differs_in_what_it_states_and_in_nothing_else(write):
    write("drift: {min_rows: 300, models: {move_60m: {confirm_sessions: 4, feed: {stale_share: 0.8}}}}")
    drift = load_monitoring().drift
    assert drift.of("direction_60m", MODELS) == DriftPolicy(min_rows=300)
    own = drift.of("move_60m", MODELS)
    assert (own.min_rows, own.confirm_sessions, own.feed.stale_share, own.feed.min_rows) == (300, 4, 0.8, 50)


def test_a_model_that_is_not_there_and_a_key_that_is_not_known_are_told(write):
    write("drift: {models: {mve_60m: {confirm_sessions: 4}}}")
    with pytest.raises(ConfigError, match=r"drift.models: 'mve_60m' is not in models.yaml. Use one of move_60m"):
        load_monitoring().drift.of("move_60m", MODELS)
    write("drift: {models: {move_60m: {confirm: 4}}}")
    with pytest.raises(ConfigError, match=r"drift\.models\.move_60m\.confirm"):
        load_monitoring()
