"""fx up on a copy of the demo's home: predictions at once, a backfill from the UI's own request, one asset graph."""

import re
import subprocess
import time

import pytest

from fx_assets.runs.steps import TABLES
from fx_serving.client.clock import parse_utc
from tests.servers.demo import MODEL
from tests.servers.platform import FX, ROOT, Platform, environment, fx

pytestmark = [pytest.mark.demo, pytest.mark.slow]

SESSIONS = ["2021-02-01", "2021-02-02", "2021-02-03"]
BACKFILL_S = 400

LAUNCH = """mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""
STATUS = """query Status($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status error { message } } }
  runsOrError(filter: {tags: [{key: "dagster/backfill", value: $id}]}) { ... on Runs { results { runId status } } }
}"""
MATERIALIZED = """query Newest($key: AssetKeyInput!) {
  assetOrError(assetKey: $key) {
    ... on Asset { assetMaterializations(limit: 200) { partition runId } }
  }
}"""
LAUNCHED = """{
  runsOrError(filter: {tags: [{key: "fx/command", value: "backfill"}]}) {
    ... on Runs { results { status tags { key } } }
  }
}"""
GRAPH = """{
  repositoriesOrError { ... on RepositoryConnection { nodes { location { name } } } }
  assetNodes {
    assetKey { path }
    dependencyKeys { path }
    groupName
    repository { location { name } }
  }
}"""


def test_a_prediction_is_answered_at_once(platform: Platform):
    done = fx("predict", "GBP_USD", timeout_s=400, **platform.environment)
    assert done.returncode == 0, done.stderr
    assert f"{MODEL} version 2, blue" in done.stdout
    assert "GBP_USD at 2022-03-04T22:00:00Z" in done.stdout
    assert "feature age" in done.stdout


def test_every_instrument_has_fresh_features(platform: Platform):
    with platform.client() as client:
        assert client.ready()
        assert client.health()["status"] == "ok"
        for instrument in ("GBP_USD", "USD_JPY", "AUD_USD", "USD_CAD"):
            answer = client.predict(instrument)
            assert answer["feature_age_s"] == 0, "the last bar closes where the clock stands"
            assert parse_utc(answer["timestamp"]).isoformat() == "2022-03-04T22:00:00+00:00"
            assert len(answer["features_used"]) == 176


def test_status_sees_the_running_platform(platform: Platform):
    done = fx("status", "--home", platform.home)
    assert done.returncode == 0, done.stderr
    assert f"deployment service at {platform.serving}: ok" in done.stdout
    assert "critical" in done.stdout


def test_up_says_where_everything_is(platform: Platform):
    said = "".join(platform.output)
    for expected in (platform.dagster, platform.serving + "/docs", str(platform.home), "2022-03-04T22:00:00Z"):
        assert expected in said
    assert f"FX_HOME={platform.home} fx predict GBP_USD" in said


def test_a_second_platform_on_the_same_home_is_refused(platform: Platform):
    from fx_assets.stack.ports import free_port

    ports = ["--dagster-port", str(free_port()), "--serving-port", str(free_port())]
    ports += ["--no-mlflow", "--no-reports", "--no-exporter"]
    done = fx("up", "--home", platform.home, *ports)
    assert done.returncode == 1
    assert "already runs on this home. Stop it" in done.stderr
    with platform.client() as client:
        assert client.health()["status"] == "ok"


def test_the_asset_graph_connects_both_locations(platform: Platform):
    data = platform.graphql(GRAPH)
    locations = {node["location"]["name"] for node in data["repositoriesOrError"]["nodes"]}
    assert locations == {"fx_assets", "fx_monitoring"}
    # An asset of one location is seen by the other as an external one: the defining node is the one with a group.
    nodes: dict[str, list[dict]] = {}
    for node in data["assetNodes"]:
        nodes.setdefault("/".join(node["assetKey"]["path"]), []).append(node)

    def parents(asset: str, location: str) -> set[str]:
        (node,) = [n for n in nodes[asset] if n["repository"]["location"]["name"] == location]
        return {"/".join(key["path"]) for key in node["dependencyKeys"]}

    assert f"{MODEL}/deployment" in parents("predictions", "fx_monitoring")
    assert parents("drift_report", "fx_monitoring") == {"predictions"}
    # From the deployment back to the bronze files, by the edges of one graph.
    reached, frontier = set(), {f"{MODEL}/deployment"}
    while frontier:
        reached |= frontier
        frontier = {p for asset in frontier if asset in nodes for p in parents(asset, "fx_assets")} - reached
    assert {"bronze/candles", "bronze/news", "gold/features", f"{MODEL}/training_set"} <= reached


def test_a_backfill_requested_in_the_ui_completes(platform: Platform):
    keys = [{"path": table.split("/")} for table in TABLES]
    params = {"assetSelection": keys, "partitionNames": SESSIONS, "title": "three sessions"}
    launched = platform.graphql(LAUNCH, {"params": params})["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    id, deadline = launched["backfillId"], time.monotonic() + BACKFILL_S
    while True:  # the daemon looks after backfills every half minute
        found = platform.graphql(STATUS, {"id": id})
        status = found["partitionBackfillOrError"]["status"]
        if status not in ("REQUESTED", "COMPLETED"):
            break
        assert time.monotonic() < deadline, found
        time.sleep(1)
    assert status == "COMPLETED_SUCCESS", found
    runs = found["runsOrError"]["results"]
    assert {run["status"] for run in runs} == {"SUCCESS"}
    ids = {run["runId"] for run in runs}
    for key in keys:
        made = platform.graphql(MATERIALIZED, {"key": key})["assetOrError"]["assetMaterializations"]
        # Dagster adds the later sessions whose lookback holds one of these.
        assert {m["partition"] for m in made if m["runId"] in ids} >= set(SESSIONS), key


def test_a_backfill_that_dagster_launches_makes_what_is_missing(platform: Platform):
    lake, session = platform.home / "lake", f"session={SESSIONS[0]}"
    missing = [lake / "gold" / table / session / "part.parquet" for table in ("labels", "news_signals")]
    before = [path.read_bytes() for path in missing]
    for path in missing:
        path.unlink()
    command = ["backfill", "--from", SESSIONS[0], "--to", SESSIONS[0], "--tables", "gold", "--launch", platform.dagster]
    done = fx(*command, timeout_s=BACKFILL_S, **platform.environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.read_bytes() for path in missing] == before
    found = platform.graphql(LAUNCHED)["runsOrError"]["results"]
    assert found
    assert {run["status"] for run in found} == {"SUCCESS"}
    assert all("fx/request" in {tag["key"] for tag in run["tags"]} for run in found), "executed by the command itself"
    again = fx(*command, timeout_s=BACKFILL_S, **platform.environment)
    assert "nothing to do" in again.stdout


def test_a_backfill_called_again_awaits_the_runs_of_a_killed_one(platform: Platform):
    lake, session = platform.home / "lake", f"session={SESSIONS[1]}"
    missing = [lake / "gold" / table / session / "part.parquet" for table in ("labels", "news_signals")]
    before = [path.read_bytes() for path in missing]
    for path in missing:
        path.unlink()
    runs = len(platform.graphql(LAUNCHED)["runsOrError"]["results"])
    command = ["backfill", "--from", SESSIONS[1], "--to", SESSIONS[1], "--tables", "gold", "--launch", platform.dagster]
    with subprocess.Popen([*FX, *command], env=environment(**platform.environment), cwd=ROOT) as killed:
        deadline = time.monotonic() + BACKFILL_S
        while len(platform.graphql(LAUNCHED)["runsOrError"]["results"]) == runs:
            assert time.monotonic() < deadline, "nothing was launched"
            time.sleep(0.1)
        killed.kill()
    again = fx(*command, timeout_s=BACKFILL_S, **platform.environment)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "of a call that was ended before them" in again.stderr
    assert re.search("nothing to do|only the feature store is behind", again.stdout), again.stdout
    assert [path.read_bytes() for path in missing] == before
    after = platform.graphql(LAUNCHED)["runsOrError"]["results"]
    assert len(after) == runs + 1, "the runs of the killed call, and no other"
