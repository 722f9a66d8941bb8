"""Which version answers: candidates by instrument and weight, shadow scores, standby, terms, several models at once."""

import os
import signal
import threading
from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from fx_serving.client.prediction_log import ShadowRecord, read_predictions, segments
from fx_serving.routing import GreenRoute, ModelRoute, Standby, goes_green, write_routing
from tests.servers.candidates import CALM, WILD, make_bad
from tests.servers.plane import Plane, start_plane
from tests.servers.serving import (
    NAMES,
    Stores,
    make_bundle,
    make_trick_bundle,
    publish_features,
    trick_onnx,
    wait_until,
)

BLUE = ModelRoute(blue="1")
LATER = datetime(2100, 1, 1, tzinfo=UTC)


def green(**more) -> GreenRoute:
    return GreenRoute(**{"version": "2", "weight": 100, "rollout_id": "r", **more})


def rolled(plane: Plane, **more) -> None:
    plane.route(move_60m=ModelRoute(blue="1", green=green(**more)), dir_60m=BLUE)


def shadows(plane: Plane) -> list[ShadowRecord]:
    decoder = msgspec.json.Decoder(ShadowRecord)
    files = [path for paths in segments(plane.stores.predictions, "shadow").values() for path in paths]
    return [decoder.decode(line) for path in files for line in path.read_bytes().splitlines()]


def test_a_candidate_for_some_instruments_is_asked_about_no_other(plane):
    rolled(plane, instruments=("EUR_USD",))
    assert plane.predict("EUR_USD")["slot"] == "green"
    assert plane.predict("GBP_USD")["slot"] == "blue"
    assert plane.traffic()["models"]["move_60m"]["green"]["instruments"] == ["EUR_USD"]


def test_the_salt_decides_who_goes_to_the_candidate(plane):
    for salt in ("r.3", ""):
        rolled(plane, weight=40, salt=salt)
        for i in range(40):
            expected = "green" if goes_green(salt or "r", f"k{i}", 40) else "blue"
            assert plane.predict(key=f"k{i}")["slot"] == expected


def test_control_is_what_blue_answered_and_the_candidate_could_have(plane):
    rolled(plane, weight=50, instruments=("EUR_USD",))
    counted = {slot: plane.evidence("move_60m", "1" if slot != "green" else "2", slot).requests for slot in
               ("blue", "control", "green")}  # fmt: skip
    slots = [plane.predict("EUR_USD", key=f"c{i}")["slot"] for i in range(30)]
    for _ in range(5):
        plane.predict("GBP_USD")
        plane.predict("EUR_USD", path="/predict/blue")

    def grown(slot: str) -> int:
        return plane.evidence("move_60m", "1" if slot != "green" else "2", slot).requests - counted[slot]

    wait_until(lambda: grown("green") == slots.count("green"))
    wait_until(lambda: grown("control") == slots.count("blue"))
    wait_until(lambda: grown("blue") == slots.count("blue") + 10)


def test_a_shadow_scores_what_blue_answers_and_nobody_sees_it(plane):
    rolled(plane, weight=0, shadow=True)
    before = plane.evidence("move_60m", "2", "shadow").requests
    answers = [plane.predict("EUR_USD", features=dict.fromkeys(NAMES, i / 10)) for i in range(10)]
    plane.predict("EUR_USD", path="/predict/blue")
    assert {answer["model_version"] for answer in answers} == {"1"}
    wait_until(lambda: plane.evidence("move_60m", "2", "shadow").requests == before + 10)
    ids = {answer["prediction_id"]: i for i, answer in enumerate(answers)}
    wait_until(lambda: ids.keys() <= {one.prediction_id for one in shadows(plane)})
    for one in shadows(plane):
        if one.prediction_id in ids:
            asked = plane.predict(path="/predict/green", features=dict.fromkeys(NAMES, ids[one.prediction_id] / 10))
            assert (one.version, one.rollout_id, one.failed) == ("2", "r", None)
            assert one.prediction == asked["prediction"]


def test_a_failing_shadow_is_counted_and_delays_nobody(plane):
    make_trick_bundle(plane.stores, "oom", 4000)
    plane.route(move_60m=ModelRoute(blue="1", green=green(version="oom", weight=0, shadow=True)), dir_60m=BLUE)
    plane.predict(features=dict.fromkeys(NAMES, 1.0))
    wait_until(lambda: plane.evidence("move_60m", "oom", "shadow").errors == 1)
    assert plane.evidence("move_60m", "oom", "shadow").reasons == {"exception": 1}
    assert plane.evidence("move_60m", "oom", "green").requests == 0


def test_two_models_are_rolled_out_at_once_without_touching_each_other(plane):
    plane.route(
        move_60m=ModelRoute(blue="1", green=green(rollout_id="a")),
        dir_60m=ModelRoute(blue="1", green=green(rollout_id="b", weight=50)),
    )
    wait_until(lambda: len(plane.status()["sidecars"]) == 2)
    moves = [plane.predict(model="move_60m", key=f"k{i}") for i in range(20)]
    directions = [plane.predict(model="dir_60m", key=f"k{i}") for i in range(20)]
    assert {answer["model_version"] for answer in moves} == {"2"}
    assert [answer["slot"] == "green" for answer in directions] == [goes_green("b", f"k{i}", 50) for i in range(20)]
    assert {answer["model"] for answer in directions} == {"dir_60m"}
    rolled(plane)
    wait_until(lambda: len(plane.status()["sidecars"]) == 1)
    assert plane.predict(model="dir_60m")["model_version"] == "1"


def test_the_version_before_is_kept_loaded_and_comes_back_without_its_files(plane):
    make_bundle(plane.stores, "old")
    plane.route(move_60m=ModelRoute(blue="old"), dir_60m=BLUE)
    standby = Standby(version="old", until=LATER)
    plane.route(move_60m=ModelRoute(blue="1", standby=standby), dir_60m=BLUE)
    assert plane.traffic()["models"]["move_60m"]["standby"] == {"version": "old"}
    (plane.stores.bundles / "move_60m" / "old" / "model.onnx").unlink()
    plane.route(move_60m=ModelRoute(blue="old"), dir_60m=BLUE)
    assert plane.predict()["model_version"] == "old"


def test_a_table_of_a_deposed_controller_is_not_followed(plane):
    term = plane.table.term + 2
    plane.route(term=term, move_60m=BLUE, dir_60m=BLUE)
    plane.route(term=term - 1, wait=False, move_60m=ModelRoute(blue="2"), dir_60m=BLUE)
    wait_until(lambda: "no longer leads" in plane.http.get("/health").json()["components"]["model"].get("reason", ""))
    assert plane.predict()["model_version"] == "1"
    plane.route(term=term, move_60m=BLUE, dir_60m=BLUE)
    assert plane.http.get("/health").json()["components"]["model"]["status"] == "ok"


def test_without_a_lease_everything_is_blue(plane):
    rolled(plane, shadow=True)
    plane.hold_lease.clear()
    try:
        wait_until(lambda: plane.traffic()["lease"] == "lost")
        counted = plane.evidence("move_60m", "1", "control").requests
        assert {plane.predict()["slot"] for _ in range(10)} == {"blue"}
        assert plane.traffic()["models"]["move_60m"]["green"]["weight"] == 0
    finally:
        plane.hold_lease.set()
    wait_until(lambda: plane.traffic()["lease"] == "held")
    assert plane.predict()["slot"] == "green"
    assert plane.evidence("move_60m", "1", "control").requests == counted


def test_a_first_version_that_fails_is_told_of_and_counted(plane):
    make_trick_bundle(plane.stores, "first", 4000)
    plane.route(move_60m=ModelRoute(green=green(version="first")), dir_60m=BLUE)
    answer = plane.http.post("/predict", json={"instrument": "GBP_USD", "features": dict.fromkeys(NAMES, 1.0)})
    assert answer.status_code == 503
    assert "no earlier version" in answer.json()["detail"]
    wait_until(lambda: plane.evidence("move_60m", "first", "green").outcomes == {"error": 1})


def test_an_askers_own_short_deadline_says_nothing_about_the_candidate(plane):
    make_trick_bundle(plane.stores, "slow", 400)
    plane.route(move_60m=ModelRoute(blue="1", green=green(version="slow")), dir_60m=BLUE)
    body = {"instrument": "GBP_USD", "features": dict.fromkeys(NAMES, 1.0)}

    def hurried() -> httpx.Response | None:
        answer = plane.http.post("/predict", json=body, headers={"x-fx-deadline-ms": "40"})
        return answer if answer.status_code != 504 else None  # it may have passed before the candidate was asked

    answer = wait_until(hurried).json()
    assert (answer["slot"], answer["fell_back"]) == ("blue", False)
    assert plane.evidence("move_60m", "slow", "green").errors == 0


def test_a_deadline_that_the_service_itself_gives_is_the_candidates_to_keep(tmp_path):
    stores = Stores(tmp_path)
    publish_features(stores)
    make_bundle(stores, "1")
    make_trick_bundle(stores, "slow", 400)
    with start_plane(tmp_path, {"sidecar": {"deadline_ms": 40}, "limits": {"deadline_ms": 40}}) as plane:
        plane.route(move_60m=ModelRoute(blue="1", green=green(version="slow")))

        def blamed() -> bool:
            plane.http.post("/predict", json={"instrument": "GBP_USD", "features": dict.fromkeys(NAMES, 1.0)})
            return plane.evidence("move_60m", "slow", "green").reasons.get("deadline", 0) > 0

        wait_until(blamed)


@pytest.fixture
def hanging(tmp_path):
    """A worker all of whose traffic is for a candidate that hangs where the first feature is WILD."""
    stores = Stores(tmp_path)
    publish_features(stores)
    make_bundle(stores, "1")
    make_bad(stores, "bad", "hangs")
    with start_plane(tmp_path) as plane:
        plane.route(move_60m=ModelRoute(blue="1", green=green(version="bad")))
        assert plane.predict(features=dict.fromkeys(NAMES, CALM))["slot"] == "green"
        yield plane


def test_many_rows_are_all_answered_though_the_candidate_hangs(hanging):
    features = dict.fromkeys(NAMES, WILD)
    requests = [{"instrument": "GBP_USD", "features": features}] * 40
    answer = hanging.http.post("/predict", json={"requests": requests}).raise_for_status().json()
    assert answer["answered"] == 40, answer["predictions"][-1]
    tensor = {"name": "input", "shape": [40, len(NAMES)], "datatype": "FP32", "data": [WILD] * 40 * len(NAMES)}
    answer = hanging.http.post("/v2/models/move_60m/infer", json={"inputs": [tensor]})
    assert answer.status_code == 200, answer.text
    assert set(answer.json()["parameters"]["model_versions"]) == {"1"}
    wait_until(lambda: hanging.evidence("move_60m", "bad", "green").reasons.get("deadline", 0) > 0)


def test_a_hanging_candidate_ends_with_its_worker(hanging):
    (sidecar,) = wait_until(lambda: hanging.status()["sidecars"])
    try:
        answer = hanging.predict(features=dict.fromkeys(NAMES, WILD))
        assert answer["fell_back"]
        hanging.process.kill()
        hanging.process.wait()
        wait_until(lambda: not _runs(sidecar))
    finally:
        if _runs(sidecar):
            os.kill(sidecar, signal.SIGKILL)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_rollout_ends_at_once_while_another_models_candidate_is_still_loading(plane):
    golden = ([[-1.0] * len(NAMES)] * 400_000, [0.5] * 400_000)
    make_bundle(plane.stores, "heavy", model="dir_60m", kind="direction", content=trick_onnx(1), golden=golden)
    rolled(plane)
    before = plane.traffic()["generation"]
    loading = ModelRoute(blue="1", green=green(version="heavy"))
    plane.route(wait=False, move_60m=BLUE, dir_60m=loading)
    wait_until(lambda: plane.predict()["slot"] == "blue")
    assert plane.traffic()["generation"] == before
    # And a candidate that is no longer wanted when it is ready never answers.
    plane.route(move_60m=BLUE, dir_60m=BLUE)
    assert plane.traffic()["models"]["dir_60m"]["green"] is None
    wait_until(lambda: plane.status()["sidecars"] == [])


def test_no_request_returns_to_the_old_version_at_the_moment_of_promotion(plane):
    rolled(plane)
    seen: list[str] = []
    enough = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=plane.url, timeout=30, trust_env=False) as http:
            while not enough.is_set():
                seen.append(http.post("/predict", json={"instrument": "GBP_USD"}).json()["model_version"])

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        wait_until(lambda: len(seen) > 20)
        plane.route(move_60m=ModelRoute(blue="2", standby=Standby(version="1", until=LATER)), dir_60m=BLUE)
        so_far = len(seen)
        wait_until(lambda: len(seen) > so_far + 20)
    finally:
        enough.set()
        asking.join()
    assert set(seen) == {"2"}
    assert plane.traffic()["models"]["move_60m"]["standby"] == {"version": "1"}


def test_the_controllers_own_trial_is_nobodys_decision_and_counts_for_nothing(plane):
    rolled(plane, weight=0)
    counted = plane.evidence("move_60m", "2", "green").requests
    for content in (
        {"instrument": "GBP_USD", "request_id": "trial-1"},
        {"instruments": ["EUR_USD"], "request_id": "trial-2"},
    ):
        answer = plane.http.post("/predict/green", json=content, headers=plane.controllers_own)
        assert answer.status_code == 200
    plane.predict(path="/predict/green", request_id="user-1")
    wait_until(lambda: plane.evidence("move_60m", "2", "green").requests == counted + 1)

    def logged() -> set[str]:
        return {record.prediction_id for record in read_predictions(plane.stores.predictions)}

    wait_until(lambda: "user-1" in logged())
    assert not {"trial-1", "trial-2:EUR_USD"} & logged()


@pytest.mark.parametrize("content", [b"", b"{", b'{"format":2}', b'{"models":{"\xff":{}}}'])
def test_a_damaged_table_changes_nothing(plane, content):
    rolled(plane, weight=0)
    plane.hold_lease.clear()

    def told() -> bool:
        plane.stores.routing.write_bytes(content)  # again: the last renewal may come behind the first time
        return plane.http.get("/health").json()["components"]["model"]["status"] == "degraded"

    try:
        wait_until(told)
        assert plane.predict()["model_version"] == "1"
    finally:
        write_routing(plane.stores.routing, plane.table, durable=False)
        plane.hold_lease.set()
