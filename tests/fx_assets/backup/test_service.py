"""A home whose service answers under load while it is backed up, lost, and restored on an empty machine: the same
tables by hash, the same champion and registry, the same predictions.
"""

import itertools
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from fx_assets.bronze.files import CANDLES, Bronze, Fetch
from fx_assets.cli import register as register_commands
from fx_assets.configuration import Configuration
from fx_assets.lake import Lake
from fx_assets.models import bundle, champion, promotion, registry
from fx_assets.schemas import content_hash, model_features
from fx_serving.client import rollout_log
from fx_serving.client.audit_chain import read_head
from fx_serving.client.home import Stores
from fx_serving.client.prediction_log import read_predictions
from fx_serving.client.snapshot import FeatureBlob
from tests.fx_assets.bronze.answers import bars
from tests.fx_assets.models.registered import MODEL, SMALL_MODELS, register, rows_for, spec_for
from tests.fx_assets.small import configuration_of, write_config
from tests.servers.serving import CLOCK, Traffic, start_service, wait_until

pytestmark = pytest.mark.slow(30)
DAYS = [f"2021-03-{day:02}" for day in range(1, 6)]
GOLD = "gold/features"
INSTRUMENTS = ("GBP_USD", "USD_JPY")


def frame_of(day: str, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng([int(day[-2:]), seed])
    time = pd.date_range(day, periods=24, freq="1h", tz="UTC", unit="us")
    return pd.DataFrame({"instrument": "GBP_USD", "time": time, "x": rng.standard_normal(24)})


def publish(stores: Stores, configuration: Configuration) -> None:
    """Online features of the model, as the service reads them."""
    names: dict[str, list[str]] = {}
    for name, view in model_features(configuration, MODEL):
        names.setdefault(view, []).append(name)
    for instrument, (view, columns) in itertools.product(INSTRUMENTS, names.items()):
        rng = np.random.default_rng(len(instrument + view))
        rows = [(CLOCK - timedelta(hours=back), rng.standard_normal(len(columns)).tolist()) for back in range(3)]
        FeatureBlob.build(view, instrument, columns, rows).write(stores.features)


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch) -> Configuration:
    made = configuration_of(write_config(tmp_path / "config", models=SMALL_MODELS), monkeypatch)
    monkeypatch.setenv("FX_CONFIG_DIR", str(tmp_path / "config"))
    return made


@pytest.fixture
def stores(tmp_path: Path, configuration: Configuration) -> Stores:
    """Tables, a champion that was trained, registered and exported, and online features."""
    stores = Stores(tmp_path / "home")
    lake = Lake(stores.lake)
    lake.write(GOLD, {day: frame_of(day) for day in DAYS})
    fetches = [Fetch("GBP_USD", day, "sample", bars(f"{day}T22:00Z")) for day in DAYS]
    Bronze(stores.lake).append_all(CANDLES, fetches, CLOCK)
    rows = rows_for(configuration, 300)
    version = register(stores.home, configuration, rows, spec_for(configuration))
    promotion.promote(stores, MODEL, version, reason="the first", actor="test")
    made = champion.load(stores, MODEL)
    assert made is not None
    bundle.export(stores.bundles, configuration, made, rows)
    publish(stores, configuration)
    return stores


def hashes(stores: Stores) -> dict[str, str]:
    """Every table's partitions by the hash of their content."""
    lake = Lake(stores.lake)
    found = {key: content_hash(frame) for key, frame in lake.read(GOLD, lake.keys(GOLD)).items()}
    return found | {"bronze": content_hash(Bronze(stores.lake).read(CANDLES, DAYS, ["GBP_USD"]))}


def versions(stores: Stores) -> list[tuple[Any, ...]]:
    """Everything the registry says, and what its files hold."""
    return [
        (record.version, record.tags, record.aliases, content_hash(registry.rows(stores, record)))
        for record in registry.records(stores, MODEL)
    ]


def answers(service: Any) -> list[dict[str, Any]]:
    """What it answers to the same questions, without what is of one answer only."""
    asked = [service.client.predict(instrument, model=MODEL) for instrument in INSTRUMENTS]
    fields = ("prediction", "label", "model_version", "features_used", "feature_time")
    return [{name: answer[name] for name in fields} for answer in asked]


def test_a_backup_under_load_restored_on_an_empty_machine(stores, configuration, tmp_path):
    where, back = str(tmp_path / "backups"), Stores(tmp_path / "machine" / "home")
    app, runner = typer.Typer(), CliRunner()
    register_commands(app)

    def fx(*arguments: object) -> str:
        result = runner.invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200", "NO_COLOR": "1"})
        assert result.exit_code == 0, result.output
        return result.output

    tables, stop = hashes(stores), threading.Event()

    def make_tables() -> None:
        for seed in itertools.count(1):
            Lake(stores.lake).write("gold/other", {day: frame_of(day, seed) for day in DAYS})
            if stop.is_set():
                return

    working = threading.Thread(target=make_tables)
    with start_service(stores.home) as service:
        service.deploy("1", model=MODEL)
        before = wait_until(lambda: answers(service))
        with Traffic(service.url) as traffic:
            wait_until(lambda: len(traffic.answers) > 50)
            first = {answer["prediction_id"] for answer in traffic.answers}
            wait_until(lambda: first <= {record.prediction_id for record in read_predictions(stores.predictions)})
            working.start()
            try:
                said = fx("backup", where, "--home", stores.home)
                said += fx("backup", where, "--home", stores.home, "--keep", 1)
            finally:
                stop.set()
                working.join()
        assert not traffic.failures
        assert said.count("new") == 2
        kept = versions(stores)
        audit = rollout_log.verify_audit(stores.state, read_head(stores.audit_head))
    stores.home.rename(tmp_path / "lost")

    assert "all whole" in fx("backup", "verify", where)
    assert fx("backup", "list", where).count("finished") == 1
    assert "verified" in fx("restore", where, "--home", back.home)

    assert {name: digest for name, digest in hashes(back).items() if name in tables} == tables
    lake = Lake(back.lake)
    assert all(len(frame) == 24 for frame in lake.read("gold/other", lake.keys("gold/other")).values())
    assert versions(back) == kept
    restored = champion.load(back, MODEL)
    assert restored is not None
    assert restored.version == "1"
    assert promotion.history(back, MODEL) == promotion.history(Stores(tmp_path / "lost"), MODEL)
    assert bundle.problems(back.bundles / MODEL / "1", configuration, restored) == []
    verdict = rollout_log.verify_audit(back.state, read_head(back.audit_head))
    assert (verdict.whole, verdict.head_checked, verdict.hash) == (True, True, audit.hash)
    assert first <= {record.prediction_id for record in read_predictions(back.predictions)}

    with start_service(back.home) as again:
        assert wait_until(lambda: answers(again)) == before
        assert rollout_log.deployed(back.state) == {MODEL: "1"}
        said = again.client.predict("GBP_USD", model=MODEL)
        wait_until(lambda: said["prediction_id"] in {r.prediction_id for r in read_predictions(back.predictions)})
    assert rollout_log.verify_audit(back.state, read_head(back.audit_head)).whole
