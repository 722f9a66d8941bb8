"""ServingClient: the service's HTTP interface as Python calls.

No formats, no retries beyond the one reset.
"""

from __future__ import annotations

import json
import os
import ssl
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx

from fx_serving.client import tracing
from fx_serving.client.clock import to_iso
from fx_serving.client.errors import RolloutTimeout, ServiceError, ServiceUnreachable
from fx_serving.client.logs import RUN_HEADER, current, valid_run_id
from fx_serving.client.rollout_calls import FINISHED, RolloutCalls, query

__all__ = ["FINISHED", "RolloutTimeout", "ServiceError", "ServiceUnreachable", "ServingClient"]

# A connection that was refused, reset or closed without an answer: the worker behind it was killed or
# restarted.
_RESETS = (httpx.ConnectError, httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError)


_ADDRESS = "Write its address as http://HOST:PORT, or https://HOST:PORT: --url, or FX_SERVING_URL."
# Words of a failed connection that starting the service would not mend, and what would.
_REMEDIES = (
    ("hostname mismatch", "Use a host name that its certificate is for."),
    ("ip address mismatch", "Use a host name that its certificate is for."),
    ("certificate_verify_failed", "FX_SERVING_CA: name a PEM file of the authority that signed its certificate."),
    ("wrong_version_number", "It speaks no TLS: ask it by http://."),
)


def _stamp(value: datetime | str | None) -> str | None:
    return to_iso(value) if isinstance(value, datetime) else value


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _trusted(base_url: str) -> ssl.SSLContext | bool:
    """The authorities that https is checked by: FX_SERVING_CA names a file of one's own."""
    path = os.environ.get("FX_SERVING_CA", "").strip()
    if not path:
        return True
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        cause = ValueError(f"FX_SERVING_CA={path}: {error}")
        raise ServiceUnreachable(base_url, cause, "Name a file of certificates in PEM form, or unset it.") from None


def _headers(base_url: str, token: str | None) -> dict[str, str]:
    if not token:
        return {}
    if not (token.isascii() and token.isprintable()):
        cause = ValueError("the access token holds a line break, or another character that no request can carry")
        raise ServiceUnreachable(
            base_url, cause, "Set FX_SERVING_TOKEN to the token alone, as fx token create shows it."
        )
    return {"Authorization": f"Bearer {token}"}


def _unreachable(url: str, error: Exception) -> ServiceUnreachable:
    """The failure of a request, with what would mend it."""
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        return ServiceUnreachable(url, error, _ADDRESS)
    said = str(error).lower()
    remedy = next((remedy for words, remedy in _REMEDIES if words in said), None)
    return ServiceUnreachable(url, error, remedy)


class ServingClient(RolloutCalls):
    """A connection to one prediction service. Safe to keep; close it or use it as a context manager.

    A request whose connection is refused, reset or closed before the answer is sent again exactly once:
    predictions, feedback and rollout starts carry an id, so a repetition changes nothing. `resets` counts
    those raw resets. Errors: ServiceError (the service's answer), ServiceUnreachable (none).
    """

    def __init__(self, base_url: str, timeout_s: float = 10.0, token: str | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        self.resets = 0
        token = token or os.environ.get("FX_SERVING_TOKEN")
        headers = _headers(base_url, token)
        # trust_env=False: a proxy setting of the desk must not swallow calls to the own machine.
        verify = _trusted(base_url) if self.base_url.startswith("https") else True
        try:
            self._http = httpx.Client(
                base_url=self.base_url, timeout=timeout_s, headers=headers, trust_env=False, verify=verify
            )
        except httpx.InvalidURL as error:
            raise _unreachable(base_url, error) from None

    def __enter__(self) -> ServingClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(
        self,
        instrument: str,
        timestamp: datetime | str | None = None,
        model: str | None = None,
        features: Mapping[str, float] | None = None,
        key: str | None = None,
        slot: str | None = None,
        request_id: str | None = None,
        *,
        explain: bool = False,
    ) -> dict[str, Any]:
        """One prediction.

        `slot` "blue" or "green" forces that slot; `timestamp` is aware or ISO with offset. `explain` adds the
        features that contributed most.
        """
        body = _given(
            instrument=instrument,
            timestamp=_stamp(timestamp),
            model=model,
            features=dict(features) if features else None,
            key=key,
            request_id=request_id or uuid.uuid4().hex,
        )
        path = f"/predict/{slot}" if slot else "/predict"
        return self._call("POST", f"{path}?explain=true" if explain else path, body)

    def predict_many(
        self,
        instruments: Sequence[str],
        *,
        timestamp: datetime | str | None = None,
        model: str | None = None,
        features: Mapping[str, float] | None = None,
        key: str | None = None,
        request_id: str | None = None,
        explain: bool = False,
    ) -> dict[str, Any]:
        """Predictions of many instruments: {"predictions": [...], "answered": n}.

        One that cannot be answered is {"error": {"status", "detail"}, "instrument"}; ServiceError where none can.
        A batch is not explained: with `explain` each instrument is asked by itself.
        """
        request_id = request_id or uuid.uuid4().hex
        shared = _given(
            timestamp=_stamp(timestamp), model=model, features=dict(features) if features else None, key=key
        )
        if not explain:
            return self._call(
                "POST", "/predict", {"instruments": list(instruments), "request_id": request_id, **shared}
            )
        answers: list[dict[str, Any]] = []
        refused: ServiceError | None = None
        for instrument in instruments:
            try:
                # The id that the row of a batch would have.
                answers.append(
                    self.predict(instrument, request_id=f"{request_id}:{instrument}", explain=True, **shared)
                )
            except ServiceUnreachable:
                raise
            except ServiceError as error:
                refused = refused or error
                answers.append({"error": {"status": error.status, "detail": error.detail}, "instrument": instrument})
        answered = sum("error" not in answer for answer in answers)
        if refused and not answered:
            raise refused
        return {"predictions": answers, "answered": answered}

    def feedback(
        self,
        prediction_id: str | None = None,
        *,
        instrument: str | None = None,
        timestamp: datetime | str | None = None,
        model: str | None = None,
        realized_direction: int | None = None,
        realized_value: float | None = None,
    ) -> dict[str, Any]:
        """Report what happened, for a prediction id, or for an instrument and time.

        Returns the receipt: feedback_id, status (recorded or known), late, matched.
        """
        body = _given(
            prediction_id=prediction_id,
            instrument=instrument,
            timestamp=_stamp(timestamp),
            model=model,
            realized_direction=realized_direction,
            realized_value=realized_value,
        )
        return self._call("POST", "/feedback", body)

    def stream_predictions(self, model: str | None = None, instrument: str | None = None) -> Iterator[dict[str, Any]]:
        """Answers as the service gives them, without their features, until the service ends the stream.

        A reader that was too slow gets {"dropped": n} in between.
        """
        path = query("/stream/predictions", model=model, instrument=instrument)
        url = self.base_url + path
        timeout = httpx.Timeout(30.0)  # a quiet stream says every ten seconds that it is there
        try:
            with self._http.stream("GET", path, timeout=timeout) as answer:
                if not answer.is_success:
                    answer.read()
                    raise _refused(answer, url)
                for line in answer.iter_lines():
                    if line.startswith("data:"):
                        yield json.loads(line[5:])
        except httpx.TransportError as error:
            raise _unreachable(url, error) from error

    def service(self) -> dict[str, Any]:
        """What the service is, and where to look further."""
        return self._call("GET", "/service")

    def health(self) -> dict[str, Any]:
        """Status and components."""
        return self._call("GET", "/health")

    def ready(self) -> bool:
        """Whether predictions can be answered; False for a 503, ServiceUnreachable if nobody listens."""
        try:
            self._call("GET", "/ready")
        except ServiceUnreachable:
            raise
        except ServiceError as error:
            if error.status == 503:
                return False
            raise
        return True

    def metrics(self) -> str:
        """Prometheus metrics of all workers."""
        return self._send("GET", "/metrics").text

    def traffic(self) -> dict[str, Any]:
        """Which version gets which share, per model, and the counts so far."""
        return self._call("GET", "/traffic")

    def drift_status(self) -> dict[str, Any]:
        """The newest drift status per model."""
        return self._call("GET", "/drift/status")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None, repeat: bool = True) -> Any:
        return self._send(method, path, body, repeat).json()

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None, repeat: bool = True) -> httpx.Response:
        """The answer, sent once more after a reset (unless repeating it could do harm). Raises ServiceError."""
        url = self.base_url + path
        for attempt in (1, 2):
            try:
                answer = self._http.request(method, path, json=body, headers=_correlation())
                break
            except _RESETS as error:
                self.resets += 1
                # A refused connection was never given the request: it may always be tried again.
                if attempt == 2 or not (repeat or isinstance(error, httpx.ConnectError)):
                    raise _unreachable(url, error) from error
            except httpx.TransportError as error:
                raise _unreachable(url, error) from error
        if answer.is_success:
            return answer
        raise _refused(answer, url)


def _correlation() -> dict[str, str]:
    """Which run asks, and within which trace: the service's lines and spans name them."""
    run_id = valid_run_id(current().get("run_id"))
    return ({RUN_HEADER: run_id} if run_id else {}) | tracing.headers()


def _refused(answer: httpx.Response, url: str) -> ServiceError:
    try:
        detail = answer.json().get("detail", answer.text)
    except (ValueError, AttributeError):
        detail = answer.text
    return ServiceError(answer.status_code, detail, url)
