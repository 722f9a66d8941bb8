"""The prediction routes in plain ASGI, in front of the FastAPI application that serves (and documents) everything else.

FastAPI's routing, dependency solving and response classes cost more than the prediction; its documentation of these
routes comes from declarations that are never called (see openapi.py). Limits of time and size are kept here.
"""

from __future__ import annotations

import logging
import time
from typing import Any
from urllib.parse import parse_qs

import msgspec

from fx_serving.access.bodies import BodyRefused, read_body, too_long
from fx_serving.client import tracing
from fx_serving.config import LimitSettings
from fx_serving.correlation import run_id_of, span_of
from fx_serving.dataplane import batch, request, v2
from fx_serving.dataplane.errors import ApiError
from fx_serving.dataplane.explain import Explainer
from fx_serving.dataplane.metrics import Metrics
from fx_serving.dataplane.predictor import SUITE, Predictor

log = logging.getLogger("fx_serving.asgi")

ROUTES: dict[str, str | None] = {"/predict": None, "/predict/blue": "blue", "/predict/green": "green"}
CONTROLLER = "controller"  # the caller with the internal key
_JSON = (b"content-type", b"application/json")


class HotRoutes:
    """Answers POST /predict* and /v2/models/.../infer itself and hands everything else on."""

    def __init__(
        self, app: Any, predictor: Predictor, metrics: Metrics, explainer: Explainer, limits: LimitSettings
    ) -> None:
        self.app, self.predictor, self.metrics, self.explainer = app, predictor, metrics, explainer
        self.limits = limits
        self._deadline_s = limits.deadline_ms / 1000
        self._others = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path, method = scope["path"], scope["method"]
        target: v2.Target | None = None
        if method != "POST" or (path not in ROUTES and (target := v2.target(path)) is None):
            return await self._hand_on(method, scope, receive, send)
        if not tracing.on():
            return await self._infer(scope, receive, send, target)
        with span_of(scope, f"POST {path}"):
            return await self._infer(scope, receive, send, target)

    async def _infer(self, scope: Any, receive: Any, send: Any, target: v2.Target | None) -> None:
        path, body = scope["path"], None
        try:
            if scope.get("fx.admitted") is False:
                raise self._busy()
            body, until = await self._read(scope, receive)
            if body is None:
                return None  # nobody is left to be answered
            if scope.get("fx.admitted") is False:  # decided when its last byte came
                raise self._busy()
            if target is not None:
                answer = await v2.infer(self.predictor, target, body, until, self.limits.batch_rows)
            elif scope["query_string"] and _explain(scope["query_string"]):
                question = self._one(body)
                plain = await self.predictor.answer(question, ROUTES[path], until, _route(scope))
                answer = await self.explainer.explain(plain)
            else:
                answer = await self._predict(body, ROUTES[path], until, _route(scope))
        except ApiError as error:
            if error.status == 500:  # a fault of the model or of ours, not of the asker
                log.warning("prediction failed: %s", error.detail, exc_info=error.__cause__, extra=_ids(scope, body))
            await self._refuse(send, error, target)
        except Exception:
            log.exception("prediction failed unexpectedly", extra=_ids(scope, body))
            error = ApiError(
                500, "the service failed on this request; its log says how (fx_serving.asgi).", "unexpected"
            )
            await self._refuse(send, error, target)
        else:
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [_JSON, (b"content-length", b"%d" % len(answer))],
                }
            )
            await send({"type": "http.response.body", "body": answer})

    def _one(self, body: bytes) -> request.PredictRequest:
        try:
            return request.decode(body)
        except ApiError:
            if batch.decode(body, self.limits.batch_rows) is None:
                raise
            raise ApiError(422, "explain: a batch is not explained; leave explain out, or ask one by one") from None

    async def _predict(self, body: bytes, forced: str | None, until: float, route: str) -> bytes:
        try:
            question = request.decode(body)
        except ApiError:
            questions = batch.decode(body, self.limits.batch_rows)
            if questions is None:
                raise
            return await batch.answer(
                self.predictor, questions, forced, until, "batch" if route == "predict" else route
            )
        return await self.predictor.answer(question, forced, until, route)

    async def _read(self, scope: Any, receive: Any) -> tuple[bytes | None, float]:
        """(the body, the deadline). Raises ApiError 408, 413, 422 or 504."""
        limit, deadline_s = self.limits.body_bytes, self._deadline_s
        for name, value in scope["headers"]:
            if name == b"content-length":
                if len(value) > 15 or int(value) > limit:
                    raise _refused(too_long(limit))
            elif name == b"x-fx-deadline-ms":
                deadline_s = min(deadline_s, _deadline_ms(value) / 1000)
        since = scope.get("fx.since")
        if since is not None:  # complete already: no need of a timer
            message = await receive()
            body = message.get("body", b"")
            if message.get("more_body"):
                body += await _rest(receive, limit, self.limits.body_timeout_s) or b""
            if len(body) > limit:
                raise _refused(too_long(limit))
            if time.monotonic() - since > deadline_s:
                raise ApiError(
                    504, f"deadline: {deadline_s * 1000:g} ms passed before it was this request's turn.", "deadline"
                )
            return body, since + deadline_s
        body = await _rest(receive, limit, self.limits.body_timeout_s)
        return body, time.monotonic() + deadline_s

    def _busy(self) -> ApiError:
        return ApiError(
            429, f"busy: {self.limits.max_concurrent} predictions are waiting already. Ask again in 1 s.", "overload"
        )

    async def _hand_on(self, method: str, scope: Any, receive: Any, send: Any) -> None:
        """Everything else; changes (which wait for disks and other processes) in a bounded number at once."""
        if scope["path"].endswith("\n"):  # the framework's patterns take that for the path without it
            error = ApiError(404, "path: ends with the end of a line; leave that out", "path")
            return await self._refuse(send, error, v2.Target("", None) if scope["path"].startswith("/v2/") else None)
        if method in ("GET", "HEAD"):
            return await self.app(scope, receive, send)
        if self._others >= self.limits.max_concurrent:
            return await self._refuse(send, self._busy(), None)
        # curl calls JSON a form unless told otherwise. Who may ask, and from which page, was decided before.
        named = [header for header in scope["headers"] if header[0] != b"content-type"]
        scope = {**scope, "headers": [*named, _JSON]}
        self._others += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._others -= 1

    async def _refuse(self, send: Any, error: ApiError, target: v2.Target | None) -> None:
        self.metrics.refused(error.status, error.reason)
        body = error.body() if target is None else msgspec.json.encode({"error": error.detail})
        headers = [_JSON, (b"content-length", b"%d" % len(body))]
        if error.status == 429:
            headers.append((b"retry-after", b"1"))
        if error.status == 408:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": error.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def _rest(receive: Any, limit: int, timeout_s: float) -> bytes | None:
    """What is still to come of a body; None where the asker has gone."""
    try:
        return await read_body(receive, limit, timeout_s)
    except BodyRefused as error:
        raise _refused(error) from None


def _refused(error: BodyRefused) -> ApiError:
    return ApiError(error.status, error.detail, "body")


def _deadline_ms(value: bytes) -> float:
    try:
        given = float(value)
    except ValueError:
        given = 0.0
    if not 0 < given < float("inf"):
        raise ApiError(422, "x-fx-deadline-ms: must be a number of milliseconds above 0")
    return given


class _Named(msgspec.Struct):
    """What a body says of itself; v2 names its id otherwise."""

    request_id: str | None = None
    id: str | None = None


def _ids(scope: Any, body: bytes | None) -> dict[str, str | None]:
    """For a line about a request that failed: its own id, which is that of its prediction, and the run that asked."""
    try:
        named = msgspec.json.decode(body or b"{}", type=_Named)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        named = _Named()
    given = named.request_id or named.id
    return {"request_id": given, "prediction_id": given, "run_id": run_id_of(scope)}


def _explain(query: bytes) -> bool:
    parameters = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    unknown = next((name for name in parameters if name != "explain"), None)
    if unknown is not None:
        raise ApiError(422, f"{unknown[:64]}: no such query parameter; the one there is: explain=true")
    given = parameters.get("explain")
    if given is None:
        return False
    if given[-1] not in ("true", "false"):
        raise ApiError(422, "explain: must be true or false")
    return given[-1] == "true"


def _route(scope: Any) -> str:
    """Under which name a prediction is logged. The controller's smoke test is not, and is evidence of nothing else: it
    is no one's decision.
    """
    caller = scope.get("fx.caller")
    return SUITE if caller is not None and caller.name == CONTROLLER else "predict"
