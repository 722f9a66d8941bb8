"""GET /stream/predictions."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Iterator

import httpx
import msgspec

from fx_serving.client.prediction_log import read_predictions
from fx_serving.dataplane.stream import WAITING, PredictionStream
from tests.servers.plane import Plane, start_plane
from tests.servers.serving import wait_until


@contextlib.contextmanager
def listening(plane: Plane, query: str = "") -> Iterator[queue.Queue]:
    """The events of a stream as (event, data), and None at its end."""
    found: queue.Queue = queue.Queue()
    with httpx.stream("GET", f"{plane.url}/stream/predictions{query}", timeout=30, trust_env=False) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines).startswith(":")

        def read() -> None:
            with contextlib.suppress(httpx.HTTPError, httpx.StreamError):
                event: dict[str, str] = {}
                for line in lines:
                    if line:
                        name, _, value = line.partition(": ")
                        event[name] = value
                    elif "data" in event:
                        found.put((event["event"], event.get("id"), msgspec.json.decode(event["data"])))
                        event = {}
            found.put(None)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield found
        finally:
            plane.predict()  # wakes the reader, which then sees that the stream is closed
            answer.close()
    reader.join(20)


def test_answers_arrive_without_their_features(plane):
    with listening(plane) as events:
        answer = plane.predict("EUR_USD", request_id="streamed-1")
        kind, id, data = events.get(timeout=20)
        while id != answer["prediction_id"]:
            kind, id, data = events.get(timeout=20)
    assert kind == "prediction"
    assert "features" not in data
    assert "features_used" not in data
    assert data["logged_at"]
    for name in ("prediction", "label", "model", "model_version", "slot", "instrument", "timestamp", "outlier_score"):
        assert data[name] == answer[name]


def test_a_stream_of_one_instrument_or_model_leaves_out_the_others(plane):
    with listening(plane, "?instrument=EUR_USD&model=dir_60m") as events:
        plane.predict("GBP_USD", model="dir_60m")
        plane.predict("EUR_USD", model="move_60m")
        wanted = plane.predict("EUR_USD", model="dir_60m")
        assert events.get(timeout=20)[1] == wanted["prediction_id"]


def test_more_streams_than_allowed_are_refused(tmp_path):
    with (
        start_plane(tmp_path, {"limits": {"streams": 1, "drain_s": 0.2}}) as plane,
        httpx.stream("GET", f"{plane.url}/stream/predictions", timeout=30, trust_env=False) as first,
    ):
        lines = first.iter_lines()  # kept: an iterator that goes away closes its answer
        assert next(lines).startswith(":")
        second = plane.http.get("/stream/predictions")
        assert (second.status_code, second.headers["retry-after"]) == (429, "1")
        # A worker that ends does not wait for its streams.
        plane.process.terminate()
        wait_until(lambda: plane.process.poll() is not None)


def test_a_slow_reader_loses_events_and_is_told(plane):
    plane.predict()
    folder = plane.stores.predictions
    record = wait_until(lambda: next(read_predictions(folder), None))

    async def read() -> list[bytes]:
        stream = PredictionStream(folder, 1)
        events = stream.open(None, None)
        first = await anext(events)
        listener = next(iter(stream.listeners))
        for _ in range(WAITING + 7):
            listener.offer(record)
        got = [first, await anext(events), await anext(events)]
        await events.aclose()  # type: ignore[attr-defined]
        assert not stream.listeners
        return got

    _, event, told = asyncio.run(read())
    assert event.startswith(b"event: prediction")
    assert told == b'event: dropped\ndata: {"dropped":7}\n\n'
