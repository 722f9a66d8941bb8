"""The client: the replay clock, the formats' refusals, the one retry, and what errors say."""

import socket
import threading
from datetime import UTC, datetime, timedelta
from itertools import islice

import msgspec
import pytest

from fx_serving.client import clock
from fx_serving.client.bundle import BundleError, bundle_dir, read_manifest, valid_name, verify_files
from fx_serving.client.files import atomic_write
from fx_serving.client.home import Stores, fx_home
from fx_serving.client.http import ServiceError, ServiceUnreachable, ServingClient
from tests.servers.serving import make_bundle


def test_the_clock_stands_runs_or_is_the_walls(monkeypatch):
    monkeypatch.setenv("FX_CLOCK", "2022-03-04T23:00:00+01:00")
    assert clock.now() == datetime(2022, 3, 4, 22, tzinfo=UTC)
    assert clock.now() == clock.now()
    began = datetime.now(UTC) - timedelta(hours=2)
    monkeypatch.setenv("FX_CLOCK", f"2022-03-04T22:00:00Z@{began.isoformat()}")
    assert timedelta(0) <= clock.now() - datetime(2022, 3, 5, 0, tzinfo=UTC) < timedelta(seconds=5)
    monkeypatch.delenv("FX_CLOCK")
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize("bad", ["noon", "2022-03-04T22:00:00", "2022-03-04T22:00:00Z@", "@2022-03-04T22:00:00Z"])
def test_a_malformed_clock_names_variable_value_and_remedy(monkeypatch, bad):
    monkeypatch.setenv("FX_CLOCK", bad)
    with pytest.raises(clock.ClockError) as error:
        clock.now()
    assert "FX_CLOCK" in str(error.value)
    assert repr(bad) in str(error.value)
    assert "unset it" in str(error.value)


def test_iso_times():
    assert clock.to_iso(clock.parse_utc("2022-03-04T22:00:00.25+02:00")) == "2022-03-04T20:00:00.250000Z"


def test_home(monkeypatch, tmp_path):
    monkeypatch.setenv("FX_HOME", str(tmp_path))
    assert fx_home() == tmp_path
    assert Stores(tmp_path).routing == tmp_path / "serving" / "routing.json"
    monkeypatch.delenv("FX_HOME")
    assert fx_home().name == ".fx"


def test_names_cannot_leave_their_folder(tmp_path):
    assert valid_name("v1.2_a-b")
    for bad in ("", ".", "..", "a/b", "a..b", "a b", "é"):
        assert not valid_name(bad)
        with pytest.raises(BundleError, match="not a valid name"):
            bundle_dir(tmp_path, "m", bad)


def test_a_manifest_that_does_not_fit_is_refused(stores):
    make_bundle(stores, "1")
    folder = stores.bundles / "move_60m" / "1"
    manifest = read_manifest(folder)
    verify_files(folder, manifest)
    good = msgspec.to_builtins(manifest)
    for change, words in (
        ({"max_feature_age_s": {"market_features": 1}}, "news_signals"),
        ({"files": {}}, "model.onnx"),
        ({"engine": "pickle"}, "engine"),
        ({"format": 2}, "format"),
        ({"schema_hash": "0" * 64}, "schema_hash"),
    ):
        atomic_write(folder / "manifest.json", msgspec.json.encode(good | change))
        with pytest.raises(BundleError, match=words):
            read_manifest(folder)


def test_atomic_write_leaves_the_old_content_or_the_new_and_no_litter(tmp_path):
    path = tmp_path / "deep" / "file"
    atomic_write(path, b"old")
    with pytest.raises(TypeError):
        atomic_write(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


class Dropper:
    """Accepts connections, reads a request and closes without an answer `drops` times; then answers {}."""

    def __init__(self, drops: int) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.bodies: list[bytes] = []
        self.lines: list[bytes] = []
        self.drops = drops
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                data = b""
                while b"\r\n\r\n" not in data or not data.endswith(b"}"):
                    data += connection.recv(65536)
                self.lines.append(data.partition(b"\r\n")[0])
                self.bodies.append(data.rpartition(b"\r\n\r\n")[2])
                if len(self.bodies) > self.drops:
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")


def test_a_reset_is_retried_once_with_the_same_request_id():
    server = Dropper(drops=1)
    with ServingClient(server.url) as client:
        assert client.predict("GBP_USD") == {}
        assert client.resets == 1
    assert server.bodies[0] == server.bodies[1]
    assert b"request_id" in server.bodies[0]
    server.socket.close()


def test_a_second_reset_is_an_error_that_names_url_and_remedy():
    server = Dropper(drops=9)
    with ServingClient(server.url) as client, pytest.raises(ServiceUnreachable) as error:
        client.predict("GBP_USD")
    assert len(server.bodies) == 2
    assert f"{server.url}/predict" in str(error.value)
    assert "fx serve" in str(error.value)
    assert error.value.status is None
    server.socket.close()


def test_what_undoes_itself_when_done_twice_is_not_repeated():
    server = Dropper(drops=9)
    with ServingClient(server.url) as client, pytest.raises(ServiceUnreachable):
        client.restore("move_60m", "worse")
    assert server.bodies == [b'{"reason":"worse"}']
    server.socket.close()


def test_orders_say_which_rollout_and_why():
    server = Dropper(drops=0)
    with ServingClient(server.url) as client:
        for order in ("pause", "resume", "approve", "promote", "abort", "rollback"):
            assert getattr(client, f"{order}_rollout")("a/b", "because") == {}
        client.set_traffic("move_60m", 80, 20)
        client.start_rollout("move_60m", "2", {"window_s": 1}, request_id="r", kind="ab", reason="try")
    assert server.bodies[:6] == [b'{"reason":"because"}'] * 6
    assert msgspec.json.decode(server.bodies[6]) == {"model": "move_60m", "blue": 80, "green": 20}
    started = {"model": "move_60m", "version": "2", "request_id": "r"}
    asked = {"policy": {"window_s": 1}, "kind": "ab", "reason": "try"}
    assert msgspec.json.decode(server.bodies[7]) == started | asked
    assert server.lines[0] == b"POST /rollouts/a%2Fb/pause HTTP/1.1"
    assert server.lines[6] == b"PUT /traffic HTTP/1.1"
    server.socket.close()


def test_a_file_of_authorities_that_cannot_be_read_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("FX_SERVING_CA", str(tmp_path / "none.pem"))
    with pytest.raises(ServiceUnreachable, match=r"FX_SERVING_CA=.*none\.pem"):
        ServingClient("https://127.0.0.1:1")
    ServingClient("http://127.0.0.1:1").close()


def test_many_instruments_at_once(service):
    found = service.client.predict_many(["GBP_USD", "EUR_USD"], request_id="many")
    assert found["answered"] == 2
    assert [one["instrument"] for one in found["predictions"]] == ["GBP_USD", "EUR_USD"]
    explained = service.client.predict_many(["GBP_USD", "XAU_USD"], explain=True)
    assert explained["answered"] == 1
    assert {"explanation", "explanation_note"} & set(explained["predictions"][0])
    assert explained["predictions"][1]["error"]["status"] == 404
    with pytest.raises(ServiceError, match="XAU_USD"):
        service.client.predict_many(["XAU_USD"], explain=True)


def test_predictions_are_heard_as_they_are_given(service):
    with ServingClient(service.url) as listener:
        heard: list[str] = []

        def listen() -> None:
            # What others have asked of this service just before may still come.
            own = (one["prediction_id"] for one in listener.stream_predictions())
            heard.extend(islice((name for name in own if name.startswith("heard-")), 3))

        thread = threading.Thread(target=listen)
        thread.start()
        asked = []
        while thread.is_alive():
            name = f"heard-{len(asked)}"
            asked.append(service.client.predict("GBP_USD", request_id=name)["prediction_id"])
            thread.join(0.05)
    assert len(heard) == 3
    assert set(heard) <= set(asked)


def test_reading_calls(service):
    client = service.client
    assert client.service()["docs"] == "/docs"
    assert "fx_predictions_total" in client.metrics()
    assert client.series("move_60m")["model"] == "move_60m"
    assert client.verify_audit()["whole"]
    newest = client.audit(limit=2, newest_first=True)
    assert newest[0]["seq"] == newest[1]["seq"] + 1
    assert client.audit(after=newest[1]["seq"], limit=1) == newest[:1]
    assert all(one["state"] == "succeeded" for one in client.rollouts(model="move_60m", state="succeeded", limit=3))


def test_service_errors_carry_status_and_detail(service):
    with pytest.raises(ServiceError) as error:
        service.client.predict("XAU_USD")
    assert error.value.status == 404
    assert error.value.detail.startswith("instrument: 'XAU_USD'")
    assert not isinstance(error.value, ServiceUnreachable)
