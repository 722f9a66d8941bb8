"""FX_ENV: what differs in an environment is laid over every configuration file, and a slip in it is told."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.configuration import load_configuration
from fx_assets.configuration.automation import load_automation
from fx_assets.errors import ConfigError
from fx_monitoring.alerts.configuration import load_alerts
from fx_monitoring.configuration import load_monitoring
from fx_serving.client.blob_store import BlobStoreError, open_blobs
from fx_serving.client.home import Stores
from fx_serving.client.overlay import laid_over, states
from fx_serving.config import ConfigError as ServingError
from fx_serving.config import load_config

TREES = st.recursive(
    st.integers(), lambda below: st.dictionaries(st.sampled_from("abc"), below, max_size=3), max_leaves=8
)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """write(name, text) puts a file into the home's configuration folder; FX_ENV is prod."""
    folder = tmp_path / "config"
    folder.mkdir()
    monkeypatch.setenv("FX_HOME", str(tmp_path))
    monkeypatch.setenv("FX_ENV", "prod")

    def written(name: str, text: str) -> Path:
        (folder / name).write_text(text)
        return folder / name

    return written


@given(st.dictionaries(st.sampled_from("abc"), TREES), st.dictionaries(st.sampled_from("abc"), TREES))
def test_what_is_laid_over_wins_and_the_rest_stays(shipped, own):
    made = laid_over(shipped, own)
    assert set(made) == {*shipped, *own}
    for key, value in made.items():
        if key not in own:
            assert value == shipped[key]
        elif not (isinstance(own[key], dict) and isinstance(shipped.get(key), dict)):
            assert value == own[key]
    assert laid_over(made, own) == made


def test_an_overlay_alone_changes_what_it_states_of_the_shipped_file(write):
    before = load_configuration_without_environment()
    write("data.prod.yaml", "feature_store: {online: redis}\nlive: {poll_seconds: 61}\n")
    data = load_configuration().data
    assert (data.feature_store.online, data.live.poll_seconds) == ("redis", 61)
    assert data.feature_store.registry == before.data.feature_store.registry
    assert load_configuration().models == before.models


def load_configuration_without_environment():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FX_ENV")
        return load_configuration()


def test_it_lies_over_a_file_of_ones_own_and_only_in_its_environment(write, monkeypatch):
    write("data.yaml", "live: {poll_seconds: 61, keep_run_hours: 3}\n")
    write("data.prod.yaml", "live: {poll_seconds: 62}\n")
    live = load_configuration().data.live
    assert (live.poll_seconds, live.keep_run_hours) == (62, 3)
    monkeypatch.delenv("FX_ENV")
    assert load_configuration().data.live.poll_seconds == 61
    write("data.dev.yaml", "live: {enabled: false}\n")
    monkeypatch.setenv("FX_ENV", "dev")
    assert load_configuration().data.live.model_dump(include={"enabled", "poll_seconds"}) == {
        "enabled": False,
        "poll_seconds": 61,
    }


def test_an_edit_of_the_overlay_is_seen(write):
    import os

    path = write("data.prod.yaml", "live: {poll_seconds: 61}\n")
    assert load_configuration().data.live.poll_seconds == 61
    write("data.prod.yaml", "live: {poll_seconds: 63}\n")
    os.utime(path, ns=(1, 1))  # the clock of some file systems is coarse
    assert load_configuration().data.live.poll_seconds == 63


def test_fx_config_dir_comes_before_the_home(write, tmp_path, monkeypatch):
    write("data.prod.yaml", "live: {poll_seconds: 61}\n")
    other = tmp_path / "other"
    other.mkdir()
    (other / "data.prod.yaml").write_text("live: {poll_seconds: 64}\n")
    monkeypatch.setenv("FX_CONFIG_DIR", str(other))
    assert load_configuration().data.live.poll_seconds == 64


def test_every_other_file_has_overlays_too(write, tmp_path):
    write("automation.prod.yaml", "training_cadence: daily\n")
    write("monitoring.prod.yaml", "drift: {min_rows: 321}\n")
    write("alerts.prod.yaml", "links: {dagster: 'https://fx.example'}\n")
    write("serving.prod.yaml", "limits: {max_concurrent: 5}\nfeature_blobs: redis\n")
    assert load_automation().training_cadence == "daily"
    assert load_configuration().automation.training_cadence == "daily"
    assert load_monitoring().drift.min_rows == 321
    assert load_alerts().links.dagster == "https://fx.example"
    config = load_config(tmp_path)
    assert (config.limits.max_concurrent, config.feature_blobs) == (5, "redis")
    with pytest.raises(BlobStoreError, match="FX_REDIS_URL"):  # so it is Redis that is asked for
        open_blobs(Stores(tmp_path))


def test_a_mistake_names_the_file_that_it_is_in(write, tmp_path):
    write("data.yaml", "live: {keep_run_hours: 3}\n")
    write("data.prod.yaml", "live: {poll_secnds: 60}\n")
    with pytest.raises(ConfigError, match=r"data\.prod\.yaml: live\.poll_secnds: unknown key"):
        load_configuration()
    write("data.prod.yaml", "live: {poll_seconds: 60}\n")
    write("data.yaml", "live: {keep_run_hors: 3}\n")
    with pytest.raises(ConfigError, match=r"data\.yaml: live\.keep_run_hors: unknown key"):
        load_configuration()
    write("data.yaml", "live: {}\n")
    write("data.prod.yaml", "- 1\n")
    with pytest.raises(ConfigError, match=r"data\.prod\.yaml: empty, or not a mapping"):
        load_configuration()
    write("automation.prod.yaml", "training_cadence: daily\ntraining_cadence: weekly\n")
    with pytest.raises(ConfigError, match=r"automation\.prod\.yaml.*twice"):
        load_automation()
    write("serving.prod.yaml", "limits: {max_concurrnt: 5}\n")
    with pytest.raises(ServingError, match=r"serving\.prod\.yaml: limits\.max_concurrnt"):
        load_config(tmp_path)


def readers(home: Path):
    """Everything that reads a file of the configuration by itself, and what it raises."""
    return (
        (load_configuration, ConfigError),
        (load_automation, ConfigError),
        (load_monitoring, ConfigError),
        (load_alerts, ConfigError),
        (lambda: load_config(home), ServingError),
        (lambda: open_blobs(Stores(home)), BlobStoreError),
    )


def test_an_environment_without_any_file_is_a_slip(write, tmp_path, monkeypatch):
    write("data.prod.yaml", "live: {poll_seconds: 61}\n")
    monkeypatch.setenv("FX_ENV", "prd")
    for load, kind in readers(tmp_path):
        with pytest.raises(kind, match=r"FX_ENV: 'prd': no file \*\.prd\.yaml in .* such as data\.prd\.yaml"):
            load()


def test_an_overlay_of_no_file_is_a_slip(write, tmp_path):
    write("data.prod.yaml", "live: {poll_seconds: 61}\n")
    write("dta.prod.yaml", "live: {poll_seconds: 61}\n")
    for load, kind in readers(tmp_path):
        with pytest.raises(kind, match=r"dta\.prod\.yaml: there is no dta\.yaml that it could lie over. Use one of"):
            load()


@pytest.mark.parametrize("name", ["../prod", "Prod", "a b", "*", "x" * 40])
def test_what_is_no_name_is_refused_everywhere(write, tmp_path, monkeypatch, name):
    monkeypatch.setenv("FX_ENV", name)
    for load, kind in readers(tmp_path):
        with pytest.raises(kind, match="is not the name of an environment"):
            load()


def test_what_is_no_file_of_the_platform_has_no_overlays(write):
    from fx_assets.compare.mapping import read_mapping

    path = write("data.yaml", "time_zone: Europe/Berlin\n")
    write("data.prod.yaml", "live: {poll_seconds: 61}\n")
    assert read_mapping(path, [], None).time_zone == "Europe/Berlin"


def test_where_a_key_is_stated():
    tree = yaml.safe_load("a: {b: [{c: 1}]}\nsources: {own: {url: x}}")
    assert states(tree, ("a", "b", 0, "c"))
    assert states(tree, ("sources", "own", "file", "url"))  # pydantic puts the kind in between
    assert not states(tree, ("a", "x"))
    assert not states(tree, ())
