"""The controller's HTTP interface, for the workers of its host only: each request carries the internal key."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import Depends, FastAPI, Header, Query
from fastapi.responses import Response

from fx_serving.access.internal import accepts
from fx_serving.controller.engine import Engine
from fx_serving.controller.leader import Leadership
from fx_serving.controller.series import SeriesDesk
from fx_serving.dataplane.errors import ApiError
from fx_serving.rollout_api import ReasonBody, RolloutBody, TrafficBody
from fx_serving.state import StateError, read_head

Actor = Annotated[str, Header(alias="x-fx-actor")]
ORDERS = ("pause", "resume", "approve", "promote", "abort", "rollback")


def key_guard(key: str) -> Any:
    """A dependency that lets only the holders of the key in."""

    def guard(authorization: Annotated[str | None, Header()] = None) -> None:
        if not accepts(key, authorization):
            raise ApiError(401, "this address is for the service's own workers; ask the service's public address")

    return Depends(guard)


def add_routes(app: FastAPI, engine: Engine, leadership: Leadership, series: SeriesDesk) -> None:
    """All routes."""
    _add_rollouts(app, engine)
    _add_orders(app, engine)
    _add_records(app, engine, series)

    @app.get("/leader")
    def leader() -> dict[str, Any]:
        return {
            "leading": engine.leading,
            "term": engine.term,
            "holder": leadership.holder,
            "leader": leadership.leader,
        }


def reply(content: Any, status: int = 200) -> Response:
    """JSON in which what is no number is null."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def _add_rollouts(app: FastAPI, engine: Engine) -> None:
    @app.post("/rollouts")
    async def start(body: RolloutBody, actor: Actor = "local") -> Response:
        more: dict[str, Any] = {"kind": body.kind, "dry_run": body.dry_run, "reason": body.reason, "actor": actor}
        made = engine.start(body.model, body.version, body.policy, body.request_id, **more)
        return reply(engine.view(made), 202)

    @app.get("/rollouts")
    async def some(
        model: str | None = None,
        state: str | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        and_running: bool = False,
    ) -> Response:
        return reply({"rollouts": [engine.view(r) for r in engine.all(model, state, limit, and_running)]})

    @app.get("/rollouts/{rollout_id}")
    async def one(rollout_id: str) -> Response:
        return reply(engine.view(engine.get(rollout_id)))

    for name in ORDERS:
        app.add_api_route(f"/rollouts/{{rollout_id}}/{name}", _order(engine, name), methods=["POST"])


def _order(engine: Engine, name: str) -> Any:
    order = getattr(engine, name)

    async def act(rollout_id: str, body: ReasonBody | None = None, actor: Actor = "local") -> Response:
        return reply(engine.view(order(rollout_id, actor, body.reason if body else None)))

    return act


def _add_orders(app: FastAPI, engine: Engine) -> None:
    @app.post("/models/{model}/rollback")
    async def restore(model: str, body: ReasonBody | None = None, actor: Actor = "local") -> Response:
        return reply(engine.restore(model, actor, body.reason if body else None))

    @app.put("/traffic")
    async def traffic(body: TrafficBody, actor: Actor = "local") -> Response:
        return reply(engine.view(engine.traffic(body.model, body.blue, body.green, actor, body.reason)))


def _add_records(app: FastAPI, engine: Engine, series: SeriesDesk) -> None:
    @app.get("/audit")
    def audit(
        after: Annotated[int, Query(ge=0, le=2**62)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
        model: str | None = None,
        newest_first: bool = False,
    ) -> Response:
        try:
            records = engine.state.audit(after, limit, model, newest_first)
        except StateError as error:
            raise ApiError(503, f"the audit trail: {error}") from None
        return reply({"records": records})

    @app.get("/audit/verify")
    def verify() -> Response:
        try:
            return reply(engine.state.verify_audit(read_head(engine.stores.audit_head)))
        except StateError as error:
            raise ApiError(503, f"the audit trail: {error}") from None

    @app.get("/series")
    async def get_series(model: str, minutes: Annotated[float, Query(gt=0, le=60)] = 5) -> Response:
        return reply({"model": model, "samples": series.last(model, minutes)})
