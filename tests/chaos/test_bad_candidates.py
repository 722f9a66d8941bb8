"""Candidates that misbehave under traffic, and bundles that are not what they say.

The first pass every check before they get traffic, and then throw, hang, answer NaN, end their process by a
segmentation fault or eat its memory: no caller may see an error, the candidate must be rolled back, and the audit trail
must say why, with figures. The second never get any traffic.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
import pytest

from fx_serving.client.bundle import FeatureRef, read_manifest, schema_hash, sha256_file, write_manifest
from fx_serving.client.prediction_log import read_predictions
from tests.servers.candidates import CALM, WILD, make_bad
from tests.servers.serving import Service, Traffic, booster, make_bundle, publish_features, start_service, wait_until

POLICY = {"steps": [50, 100], "window_s": 30, "min_requests": 2000, "shadow": False}
MEMORY_MB = 512
# What the figures of the failed requests call the reason.
REASONS = {
    "throws": "exception",
    "nan": "nan",
    "hangs": "deadline",
    "segfault": "dead",
    "memory": "exception",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """Two workers, version 0 deployed."""
    # The deadline leaves room for the first answers of an engine on a busy machine: they are not what is tried here.
    settings = {"sidecar": {"memory_mb": MEMORY_MB, "deadline_ms": 500}}
    home = tmp_path_factory.mktemp("home")
    with start_service(home, workers=2, policy=POLICY, settings=settings) as running:
        publish_features(running.stores, rsi_14=CALM)
        make_bundle(running.stores, "0")
        running.deploy("0")
        yield running


@pytest.mark.parametrize("how", REASONS)
def test_a_candidate_that_misbehaves_on_traffic(service: Service, how):
    publish_features(service.stores, rsi_14=CALM)
    version = make_bad(service.stores, f"bad-{how}", how)
    processes = service.worker_pids(), service.controller_pid()
    with Traffic(service.url, threads=4) as traffic:
        wait_until(lambda: traffic.answers and traffic.answers[-1]["features_used"]["rsi_14"] == CALM)
        rollout = service.client.start_rollout("move_60m", version)
        # It passes every check, and answers well for as long as the market is calm.
        wait_until(lambda: sum(a["slot"] == "green" for a in list(traffic.answers)) > 20)
        publish_features(service.stores, rsi_14=WILD)
        done = service.client.wait_rollout(rollout["id"], 120, poll_s=0.1)
        wait_until(lambda: traffic.versions(len(traffic.answers) - 20) == {"0"})
    assert traffic.failures == [], "nobody sees a candidate's failure"
    assert traffic.resets == 0
    assert (service.worker_pids(), service.controller_pid()) == processes, "and no process but its own ends"

    assert done["state"] == "rolled_back", done
    errors = next(gate for gate in done["gates"] if gate["gate"] == "errors")
    assert errors["verdict"] == "fail", errors
    assert errors["value"] > errors["limit"]
    rescued = [a for a in traffic.answers if a["fell_back"]]
    assert rescued
    assert {a["model_version"] for a in rescued} == {"0"}, "blue answered instead"
    # The audit trail alone says what happened: the gate, its value, its limit, how many requests, and how they failed.
    (record,) = [r for r in audit(service, rollout["id"]) if r["state"] == "rolled_back"]
    told = json.dumps(record)
    assert "errors" in record["why"], record
    assert any(character.isdigit() for character in record["why"])
    figures = next(gate for gate in record["detail"]["gates"] if gate["gate"] == "errors")
    assert figures["n"] > 0
    assert figures["value"] > figures["limit"]
    assert REASONS[how] in told, record
    # What was answered is logged as answered by blue.
    logged = wait_until(
        lambda: [
            r for r in read_predictions(service.stores.predictions) if r.prediction_id == rescued[-1]["prediction_id"]
        ]
    )
    assert logged[0].slot == "blue"
    assert httpx.get(f"{service.url}/audit/verify").json()["whole"]


def audit(service: Service, rollout_id: str) -> list[dict]:
    """The records of one rollout."""
    records = httpx.get(f"{service.url}/audit?limit=1000").json()["records"]
    return [record for record in records if record["rollout_id"] == rollout_id]


def test_a_candidate_that_eats_memory_is_held_to_its_limit(service: Service):
    """The worker's own memory does not grow with what the candidate asks for."""
    publish_features(service.stores, rsi_14=CALM)
    version = make_bad(service.stores, "greedy", "memory")
    with Traffic(service.url) as traffic:
        rollout = service.client.start_rollout("move_60m", version, {"max_error_rate": None})
        wait_until(lambda: any(a["slot"] == "green" for a in traffic.answers[-20:]))
        before = [resident_mb(pid) for pid in service.worker_pids().values()]
        publish_features(service.stores, rsi_14=WILD)
        wait_until(lambda: sum(a["fell_back"] for a in list(traffic.answers)) > 50)
        after = [resident_mb(pid) for pid in service.worker_pids().values()]
        sidecars = [resident_mb(pid) for pid in service.sidecar_pids()]
        service.client.abort_rollout(rollout["id"])
    assert traffic.failures == []
    assert max(after) < max(before) + 100
    assert all(used < MEMORY_MB for used in sidecars)


def resident_mb(pid: int) -> float:
    """Memory a process holds now; 0 where it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def damage_bytes(folder: Path) -> None:
    """One bit of the model file, its hash as before."""
    content = bytearray((folder / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.onnx").write_bytes(content)


def damage_length(folder: Path) -> None:
    with open(folder / "model.onnx", "ab") as file:
        file.write(b"\0")


def damage_missing(folder: Path) -> None:
    (folder / "golden.json").unlink()


def damage_schema(folder: Path) -> None:
    """Another list of features under the old schema hash."""
    manifest = read_manifest(folder)
    features = [*manifest.features[:-1], FeatureRef("something_else", "market_features")]
    write_manifest(folder, msgspec.structs.replace(manifest, features=features))


def damage_schema_hash(folder: Path) -> None:
    write_manifest(folder, msgspec.structs.replace(read_manifest(folder), schema_hash="0" * 64))


def damage_order(folder: Path) -> None:
    """The right features in another order, with a schema hash to match: only the golden rows tell."""
    manifest = read_manifest(folder)
    features = [manifest.features[1], manifest.features[0], *manifest.features[2:]]
    write_manifest(
        folder, msgspec.structs.replace(manifest, features=features[::-1], schema_hash=schema_hash(features))
    )


def damage_width(folder: Path) -> None:
    """One feature more than the model takes, hashed rightly."""
    manifest = read_manifest(folder)
    features = [*manifest.features, FeatureRef("one_more", "market_features")]
    write_manifest(folder, msgspec.structs.replace(manifest, features=features, schema_hash=schema_hash(features)))


def damage_golden(folder: Path) -> None:
    """Outputs the model does not give, hashed rightly."""
    golden = json.loads((folder / "golden.json").read_bytes())
    golden["expected"] = [1 - value for value in golden["expected"]]
    rewrite(folder, "golden.json", json.dumps(golden).encode())


def damage_model(folder: Path) -> None:
    """Another model's file, hashed rightly: only the golden rows tell."""
    from tests.servers.serving import to_onnx

    rewrite(folder, "model.onnx", to_onnx(booster(4242)))


def damage_rubbish(folder: Path) -> None:
    rewrite(folder, "model.onnx", b"not a model at all")


def damage_name(folder: Path) -> None:
    """Another version's bundle, copied here."""
    write_manifest(folder, msgspec.structs.replace(read_manifest(folder), version="0"))


def damage_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def rewrite(folder: Path, name: str, content: bytes) -> None:
    """Replace a file and its hash in the manifest."""
    (folder / name).write_bytes(content)
    manifest = read_manifest(folder)
    files = {**manifest.files, name: sha256_file(folder / name)}
    write_manifest(folder, msgspec.structs.replace(manifest, files=files))


DAMAGES: dict[Callable[[Path], None], tuple[str, ...]] = {
    damage_bytes: ("model.onnx",),
    damage_length: ("model.onnx",),
    damage_missing: ("golden.json",),
    damage_schema: ("schema",),
    damage_schema_hash: ("schema",),
    damage_order: (),
    damage_width: ("features",),
    damage_golden: ("golden row",),
    damage_model: ("golden row",),
    damage_rubbish: ("model.onnx",),
    damage_name: ("version 0",),
    damage_manifest: ("manifest.json",),
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_bundle_that_is_not_what_it_says_is_refused(service: Service, damage):
    """Before any traffic, with what is wrong; blue answers on, and nothing but blue."""
    publish_features(service.stores, rsi_14=CALM)
    version = make_bundle(service.stores, damage.__name__.replace("_", "-"))
    damage(service.stores.bundles / "move_60m" / version)
    routed = service.client.traffic()["models"]["move_60m"]["blue"]["version"]
    with Traffic(service.url) as traffic:
        rollout = service.client.start_rollout("move_60m", version)
        done = service.client.wait_rollout(rollout["id"], 120, poll_s=0.05)
        wait_until(lambda: len(traffic.answers) > 20)
    assert done["state"] == "failed", done
    assert all(word in done["reason"] for word in DAMAGES[damage]), done["reason"]
    assert done["steps"] == []
    assert traffic.failures == []
    assert {(a["slot"], a["model_version"]) for a in traffic.answers} == {("blue", routed)}
    (record,) = [r for r in audit(service, rollout["id"]) if r["state"] == "failed"]
    assert done["reason"] in record["why"]
