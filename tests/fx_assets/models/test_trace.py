"""The chain behind a real prediction of a running service, and what is said when one of its links was tampered with."""

import contextlib
import gzip
import json
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import pandas as pd
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from fx_assets.cli import register
from fx_assets.definitions import build_definitions
from fx_assets.errors import MissingData, StoreError
from fx_assets.feature_store.online import newest_rows
from fx_assets.lake import Lake
from fx_assets.models import registry
from fx_assets.trace.chain import trace
from fx_assets.trace.link import Trace
from fx_assets.trace.tables import reach
from fx_serving.client.home import Stores
from fx_serving.client.prediction_log import segments
from tests.fx_assets.small import write_config
from tests.servers.serving import start_service, wait_until

pytestmark = pytest.mark.slow(30)
LINKS = ["prediction", "slot and rollout", "features", "model version", "training set", "gold partitions"]
LAYERS = ["gold", "silver", "bronze"]
SESSION = "2021-03-22"  # of version 2


@pytest.fixture(scope="module")
def answered(walked, tmp_path_factory) -> tuple[Stores, dict[str, Any]]:
    """A home of its own, and one answer of the service that ran in it and is gone."""
    home = tmp_path_factory.mktemp("traced") / "home"
    shutil.copytree(walked.home, home)
    at = newest_rows(walked.lake)["available_at"].min() + timedelta(minutes=5)
    job = build_definitions(walked.configuration, home).resolve_implicit_global_asset_job_def()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FX_CLOCK", at.isoformat())
        online = job.get_subset(asset_selection={dg.AssetKey("online_features")})
        assert online.execute_in_process(instance=walked.instance).success
    with start_service(home, clock=at.isoformat()) as service:
        service.deploy("2", model="move")
        said = wait_until(lambda: service.client.predict("GBP_USD", model="move"))
        given = dict.fromkeys(list(said["features_used"])[:2], 0.5)
        other = service.client.predict("USD_JPY", model="move", features=given)
    return Stores(home), {"plain": said["prediction_id"], "overridden": other["prediction_id"]}


@pytest.fixture
def chain(walked, answered):
    """chain(subject) -> the trace in the home of the answer."""
    stores, _ = answered

    def verify(subject: str) -> Trace:
        return trace(stores, Lake(stores.lake), walked.configuration, subject)

    return verify


@contextlib.contextmanager
def altered(path: Path, content: bytes | None) -> Iterator[None]:
    """A file with other content, or without it, for a while."""
    before = path.read_bytes()
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


def problems(found: Trace, name: str) -> str:
    return "\n".join(next(link for link in found.links if link.name == name).problems)


def test_the_chain_of_a_prediction_holds_down_to_the_sources_without_the_service(chain, answered):
    found = chain(answered[1]["plain"])
    assert [link.name for link in found.links] == [*LINKS, *LAYERS]
    assert {link.name: list(link.problems) for link in found.links if not link.ok} == {}
    facts = {link.name: link.facts for link in found.links}
    assert facts["slot and rollout"]["slot"] == "blue"
    assert facts["slot and rollout"]["rollout_id"]
    assert facts["model version"]["version"] == "2"
    assert facts["training set"]["session"] == SESSION
    assert facts["gold partitions"]["last"] < SESSION
    assert set(facts["bronze"]["sources"]) == {"sample"}
    assert facts["silver"]["partitions"]["silver/candles"] > 85
    assert all((answered[0].lake / path).is_file() for path in facts["bronze"]["paths"])


def test_features_given_with_the_request_are_told_apart(chain, answered):
    found = chain(answered[1]["overridden"])
    assert not found.broken
    (row,) = [link for link in found.links if link.name == "features"]
    assert len(row.facts["overridden"]) == 2
    assert "2 were given with the request" in row.words


def test_a_version_is_traced_by_number_and_by_alias(chain):
    found = chain("move/1")
    assert [link.name for link in found.links] == [*LINKS[3:], *LAYERS]
    assert not found.broken
    assert found.links[0].facts["version"] == "1"
    assert chain("move/champion").links[0].facts["version"] == "2"


def test_what_is_not_there_is_said(walked, chain, tmp_path):
    with pytest.raises(MissingData, match=r"no prediction nobody.*MODEL/VERSION"):
        chain("nobody")
    with pytest.raises(StoreError, match="move has no version '99'"):
        chain("move/99")
    with pytest.raises(MissingData, match="other has no champion"):
        chain("other/champion")
    with pytest.raises(MissingData, match="has no model registry yet"):
        trace(Stores(tmp_path), Lake(tmp_path), walked.configuration, "move/1")
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_was_changed_in_the_log_is_found(chain, answered):
    stores, ids = answered
    (segment,) = segments(stores.predictions)["w0"]
    lines = [json.loads(line) for line in segment.read_text().splitlines()]
    for line in lines:
        if line["prediction_id"] == ids["plain"]:
            line["prediction"] += 1e-9
    # It is in the segment, or was ingested from there into the database already.
    with altered(segment, "".join(json.dumps(line) + "\n" for line in lines).encode()), _ingested(stores) as db:
        before = db.execute("SELECT prediction, id FROM predictions WHERE id = ?", (ids["plain"],)).fetchall()
        db.execute("UPDATE predictions SET prediction = prediction + 1e-9 WHERE id = ?", (ids["plain"],))
        db.commit()
        found = chain(ids["plain"])
        db.executemany("UPDATE predictions SET prediction = ? WHERE id = ?", before)
        db.commit()
    assert found.broken == ["prediction"]
    assert "the log says" in problems(found, "prediction")


def test_an_audit_record_that_was_changed_is_found(chain, answered):
    stores, ids = answered
    before = stores.state_db.read_bytes()
    with sqlite3.connect(stores.state_db) as db:
        db.execute("UPDATE audit SET why = 'because' WHERE seq = 2")
    try:
        found = chain(ids["plain"])
    finally:
        db.close()
        for path in stores.serving.glob("state.db-*"):
            path.unlink()
        stores.state_db.write_bytes(before)
    assert found.broken == ["slot and rollout"]
    assert "audit record 2" in problems(found, "slot and rollout")


def test_a_gold_row_that_was_changed_is_found_where_it_was_scored(chain, answered):
    stores, ids = answered
    record = next(line for line in _log(stores) if line["prediction_id"] == ids["plain"])
    at = pd.Timestamp(record["feature_time"])
    path = _partition_of(Lake(stores.lake), at)
    table = pq.read_table(path)
    name = next(iter(record["features"]))
    frame = table.to_pandas()
    frame.loc[(frame["instrument"] == "GBP_USD") & (frame["available_at"] == at), name] += 1
    changed = path.with_suffix(".changed")
    pq.write_table(_with_metadata(frame, table), changed)
    with altered(path, changed.read_bytes()):
        found = chain(ids["plain"])
    changed.unlink()
    assert found.broken == ["features", "gold"]
    assert f"{name} is" in problems(found, "features")
    assert "its rows have the hash" in problems(found, "gold")


def test_training_rows_that_were_changed_are_found(chain, answered):
    stores, _ = answered
    path = registry.artifact(stores, registry.record(stores, "move", "2"), registry.ROWS)
    frame = pd.read_parquet(path)
    frame["label"] = 1 - frame["label"]
    changed = path.with_suffix(".changed")
    frame.to_parquet(changed, index=False)
    with altered(path, changed.read_bytes()):
        found = chain("move/2")
    changed.unlink()
    assert found.broken == ["training set"]


def test_a_gold_partition_that_is_gone_breaks_the_link_to_it(chain, answered):
    stores, _ = answered
    path = Lake(stores.lake).path("gold/labels", "2021-02-15")
    with altered(path, None):
        found = chain("move/2")
    assert found.broken == ["gold partitions"]
    assert problems(found, "gold partitions") == "gold/labels 2021-02-15: is not there any more"


def test_a_silver_partition_that_was_changed_is_named(chain, answered):
    stores, _ = answered
    path = Lake(stores.lake).path("silver/technical", "2021-02-15")
    table = pq.read_table(path)
    frame = table.to_pandas()
    frame.loc[0, "rsi_14"] = 1.0
    changed = path.with_suffix(".changed")
    pq.write_table(_with_metadata(frame, table), changed)
    with altered(path, changed.read_bytes()):
        found = chain("move/2")
    changed.unlink()
    assert found.broken == ["silver"]
    assert problems(found, "silver").startswith("silver/technical 2021-02-15: its rows have the hash")


def test_a_bronze_file_that_was_changed_or_is_gone_is_named(chain, answered):
    stores, _ = answered
    (path,) = stores.lake.glob("bronze/candles/instrument=GBP_USD/session=2021-02-15/*.ndjson.gz")
    line, _, body = gzip.decompress(path.read_bytes()).partition(b"\n")
    with altered(path, gzip.compress(line + b"\n" + body.replace(b"1.", b"2.", 1), mtime=0)):
        found = chain("move/2")
    assert found.broken == ["bronze"]
    assert path.name in problems(found, "bronze")
    assert "its rows have the hash" in problems(found, "bronze")
    header = msgspec.json.decode(line) | {"source": "somebody"}
    with altered(path, gzip.compress(msgspec.json.encode(header) + b"\n" + body, mtime=0)):
        found = chain("move/2")
    assert "source somebody" in problems(found, "bronze")
    with altered(path, b"nothing"):
        assert "cannot be read" in problems(chain("move/2"), "bronze")
    with altered(path, None):
        found = chain("move/2")
    assert found.broken == ["silver"]
    assert "silver/candles 2021-02-15: was made of other files of bronze/candles" in problems(found, "silver")


def test_files_that_lie_in_the_archive_only_are_said_to_be_there(chain, answered):
    stores, _ = answered
    (path,) = stores.lake.glob("bronze/candles/instrument=GBP_USD/session=2021-02-15/*.ndjson.gz")
    (other,) = stores.lake.glob("bronze/candles/instrument=USD_JPY/session=2021-02-15/*.ndjson.gz")
    listed = stores.lake / "bronze/archived/candles/2021-02.0.json"
    listed.parent.mkdir(parents=True)
    names = [file.relative_to(stores.lake).as_posix() for file in (path, other)]
    listed.write_bytes(msgspec.json.encode({"files": names}))
    try:
        with altered(path, None), altered(other, None):
            found = chain("move/2")
    finally:
        shutil.rmtree(stores.lake / "bronze/archived")
    assert found.broken == ["bronze"]
    assert "1 sessions from 2021-02-15 on were archived" in problems(found, "bronze")
    assert "fx archive restore --month 2021-02" in problems(found, "bronze")


def test_the_command_prints_the_chain_and_its_exit_code_tells_whether_it_holds(answered, monkeypatch, tmp_path):
    stores, ids = answered
    monkeypatch.setenv("FX_CONFIG_DIR", str(write_config(tmp_path)))
    monkeypatch.setenv("FX_HOME", str(stores.home))  # so that what --home sets is undone
    monkeypatch.setenv("FX_CLOCK", "2021-04-02T21:00:00Z")
    app = typer.Typer()
    register(app)
    done = CliRunner().invoke(app, ["trace", ids["plain"], "--home", str(stores.home)])
    assert done.exit_code == 0, done.output
    assert "every link holds" in done.output
    assert done.output.count("ok  ") == 9
    told = CliRunner().invoke(app, ["trace", "move/2", "--json", "--home", str(stores.home)])
    assert (told.exit_code, json.loads(told.stdout)["broken"]) == (0, [])
    listed = CliRunner().invoke(app, ["trace", "move/2", "--files", "--home", str(stores.home)])
    assert "bronze/candles/instrument=GBP_USD/session=2021-02-15/" in listed.output
    with altered(Lake(stores.lake).path("gold/labels", "2021-02-15"), None):
        broken = CliRunner().invoke(app, ["trace", "move/2", "--home", str(stores.home)])
    assert broken.exit_code == 1
    assert "the chain is broken at gold partitions" in broken.output
    lost = CliRunner().invoke(app, ["trace", "nobody", "--home", str(stores.home)])
    assert lost.exit_code == 1
    assert "Traceback" not in lost.output


def test_what_is_reached_from_a_session_is_what_its_inputs_say(walked):
    inputs, keys = _inputs(walked)
    found = reach(inputs, keys, {"gold/labels": ["2021-03-01"]})
    assert set(found) == {"gold/labels", "silver/candles", "bronze/candles"}
    source = inputs["gold/labels"]["candles"]
    here = keys.index("2021-03-01")
    assert found["silver/candles"] == keys[here - source.before : here + source.ahead + 1]
    assert found["bronze/candles"] == found["silver/candles"]
    assert reach(inputs, keys, {"gold/labels": ["1999-01-01"]}) == {}


def _inputs(walked):
    from fx_assets.tables import Tables

    tables = Tables.of(walked.configuration, walked.lake)
    return tables.inputs, tables.keys()


def _log(stores: Stores) -> list[dict[str, Any]]:
    return [json.loads(line) for path in segments(stores.predictions)["w0"] for line in path.read_text().splitlines()]


def _ingested(stores: Stores) -> contextlib.closing[sqlite3.Connection]:
    """The database of ingested predictions, with its table even where nothing was ingested yet."""
    db = sqlite3.connect(stores.predictions_db)
    db.execute("CREATE TABLE IF NOT EXISTS predictions (id TEXT PRIMARY KEY, prediction REAL)")
    return contextlib.closing(db)


def _partition_of(lake: Lake, at: pd.Timestamp) -> Path:
    for key in reversed(lake.keys("gold/features")):
        if (lake.read("gold/features", [key], ["available_at"])[key]["available_at"] == at).any():
            return lake.path("gold/features", key)
    raise AssertionError(f"no row of {at}")


def _with_metadata(frame: pd.DataFrame, like: Any) -> Any:
    """The frame as a table that keeps the stamp of another."""
    import pyarrow as pa

    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(like.schema.metadata)
