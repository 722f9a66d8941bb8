"""Feature blobs: missing, null, stale, corrupt, replaced. The service says which, and never guesses."""

import os
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from fx_serving.client.blob_store import FolderBlobs
from fx_serving.client.home import Stores
from fx_serving.client.http import ServiceError
from fx_serving.client.snapshot import BlobError, FeatureBlob, blob_path
from fx_serving.dataplane.features import other_code
from fx_serving.dataplane.snapshots import ViewRows
from fx_serving.routing import ModelRoute
from tests.servers.plane import start_plane
from tests.servers.serving import CLOCK, NAMES, feature_blobs, make_bundle, publish_features, wait_until


def refusal(service, **question) -> ServiceError:
    """The 503 that is to come (blobs are polled, so perhaps not at once)."""

    def refused():
        try:
            service.client.predict("GBP_USD", **question)
        except ServiceError as error:
            return error

    return wait_until(refused)


@pytest.fixture(autouse=True)
def restored(service):
    """Good blobs before the next test."""
    yield
    publish_features(service.stores)

    def good() -> bool:
        try:
            return service.client.predict("GBP_USD")["feature_age_s"] == 0
        except ServiceError:
            return False

    wait_until(good)


def test_missing(service):
    blob_path(service.stores.features, "news_signals", "GBP_USD").unlink()
    error = refusal(service)
    assert error.status == 503
    assert "news_signals/GBP_USD" in error.detail
    assert "train and roll out a new version of the model if its views were changed" in error.detail
    state = service.client.health()
    assert state["status"] == "degraded"
    assert state["components"]["feature_store"]["status"] == "degraded"
    assert (
        "news_signals/GBP_USD: none published; train and roll out a new version"
        in state["components"]["feature_store"]["reason"]
    )
    assert service.client.predict("EUR_USD")["slot"] == "blue"


def test_null(service):
    publish_features(service.stores, sentiment=None)
    error = refusal(service)
    assert error.status == 503
    assert "sentiment of news_signals/GBP_USD has no value in the row of 2022-03-04T22:00:00Z" in error.detail
    assert service.client.predict("GBP_USD", features={"sentiment": 0})["features_used"]["sentiment"] == 0


def test_stale_says_how_old_and_the_limit(service):
    publish_features(service.stores, newest=CLOCK - timedelta(hours=3))
    error = refusal(service)
    assert error.status == 503
    assert "market_features/GBP_USD: stale" in error.detail
    assert "10800 s old; the limit is 7200 s" in error.detail


def test_corrupt(service):
    path = blob_path(service.stores.features, "market_features", "GBP_USD")
    path.write_bytes(path.read_bytes().replace(b"0.2", b"0.3", 1))
    error = refusal(service)
    assert error.status == 503
    assert "market_features/GBP_USD: corrupt" in error.detail
    assert "does not match its version hash" in error.detail


def test_a_feature_the_blob_lacks(service):
    rows = [(CLOCK, [1.0])]
    FeatureBlob.build("market_features", "GBP_USD", ["rsi_14"], rows).write(service.stores.features)
    error = refusal(service)
    assert "feature atr_14 is not in market_features/GBP_USD" in error.detail


def test_features_of_another_version_of_the_code_are_refused():
    def other(trained: dict[str, str], code: str | None) -> str | None:
        manifest = SimpleNamespace(lineage=trained)
        bundle: Any = SimpleNamespace(manifest=manifest, model="move", version="7")
        return other_code(bundle, ViewRows(FeatureBlob.build("v", "EUR_USD", ["a"], [(CLOCK, [1.0])], code)))

    assert other({"code_version": "2"}, "2") is other({"code_version": "2"}, None) is other({}, "2") is None
    told = "features of version 2, but move version 7 was trained on version 1. Train and roll out a new version"
    assert told in (other({"code_version": "1"}, "2") or "")


def test_a_deployed_model_of_other_code_says_so(service):
    for blob in feature_blobs():
        msgspec.structs.replace(blob, code="another").write(service.stores.features)
    error = refusal(service)
    assert error.status == 503
    assert "features of version another, but" in error.detail
    state = service.client.health()["components"]["feature_store"]
    assert "features of version another" in state["reason"].split("; ")[0]
    assert service.client.predict("GBP_USD", features=dict.fromkeys(NAMES, 0.5))


def test_rows_after_the_clock_are_not_seen(service):
    publish_features(service.stores, newest=CLOCK + timedelta(hours=1), atr_14=0.7)
    answer = wait_until(lambda: _with_atr(service, 0.7))
    assert answer["feature_time"] == "2022-03-04T22:00:00Z"


def _with_atr(service, value):
    answer = service.client.predict("GBP_USD")
    return answer if answer["features_used"]["atr_14"] == pytest.approx(value) else None


def test_a_full_override_needs_no_store(service):
    for view in ("market_features", "news_signals"):
        blob_path(service.stores.features, view, "GBP_USD").unlink()
    refusal(service)
    answer = service.client.predict("GBP_USD", features=dict.fromkeys(NAMES, 0.5))
    assert answer["features_used"] == dict.fromkeys(NAMES, 0.5)


def test_blob_round_trip_and_checks(tmp_path):
    blob = FeatureBlob.build(
        "v", "EUR_USD", ["a", "b"], [(CLOCK, [1, float("nan")]), (CLOCK - timedelta(hours=1), [None, 2.5])]
    )
    assert FeatureBlob.read(blob.write(tmp_path)) == blob
    assert [row.values for row in blob.rows] == [[None, 2.5], [1.0, None]]
    with pytest.raises(BlobError, match="two rows"):
        FeatureBlob.build("v", "EUR_USD", ["a"], [(CLOCK, [1]), (CLOCK, [2])])
    with pytest.raises(BlobError, match="time zone"):
        FeatureBlob.build("v", "EUR_USD", ["a"], [(CLOCK.replace(tzinfo=None), [1])])
    with pytest.raises(BlobError, match="2 values"):
        FeatureBlob.build("v", "EUR_USD", ["a"], [(CLOCK, [1, 2])])
    with pytest.raises(BlobError, match="not a valid"):
        blob_path(tmp_path, "..", "EUR_USD")
    for nonsense in (b'{"names": ["\xff"]}', b'{"more": ' + b"[" * 100_000):
        with pytest.raises(BlobError, match="unreadable"):
            FeatureBlob.decode(nonsense, "somewhere")


def test_a_folder_that_vanishes_takes_nothing_else_with_it(tmp_path, monkeypatch):
    for blob in feature_blobs():
        blob.write(tmp_path)
    listed = os.scandir

    def scandir(folder):
        if str(folder).endswith("market_features"):
            raise FileNotFoundError(2, "No such file or directory", folder)
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    assert {view for view, _ in FolderBlobs(tmp_path).scan()} == {"news_signals"}


def test_the_operators_age_limit_is_in_front_of_the_bundles(tmp_path):
    stores = Stores(tmp_path)
    publish_features(stores, newest=CLOCK - timedelta(minutes=10))
    make_bundle(stores, "1")
    models = {"move_60m": {"max_feature_age_s": {"market_features": 300}}}
    with start_plane(tmp_path, {"models": models}) as plane:
        plane.route(move_60m=ModelRoute(blue="1"))
        answer = plane.http.post("/predict", json={"instrument": "GBP_USD"})
        assert answer.status_code == 503
        assert "600 s old; the limit is 300 s" in answer.json()["detail"]
        state = plane.http.get("/health").json()["components"]["feature_store"]
        assert "market_features/GBP_USD: 600 s old, limit 300 s" in state["reason"]
