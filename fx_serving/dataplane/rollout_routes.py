"""The routes of rollouts, traffic and audit trail on the public port: checked here, handed on to the controller."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from fx_serving import correlation
from fx_serving.client.bundle import valid_name
from fx_serving.dataplane.errors import ApiError
from fx_serving.dataplane.forward import ControllerLink
from fx_serving.rollout_api import (
    AuditCheck,
    AuditList,
    ModelFilter,
    Name,
    ReasonBody,
    RestoreView,
    RolloutBody,
    RolloutList,
    RolloutView,
    Series,
    StateFilter,
    TrafficBody,
)

ORDERS = {
    "pause": "Go no further; the traffic stays as it is, and a failing gate still takes it back",
    "resume": "Go on: the running step begins anew, with its own weight",
    "approve": "Let the step that waits for an approval begin",
    "promote": "Skip what is left of the steps: the candidate becomes blue now",
    "abort": "Put all traffic back on blue; 409 once it is finalizing",
    "rollback": "All traffic to the version before; of a finished rollout as long as that is held ready",
}


class Desk:
    """Hands requests on."""

    def __init__(self, controller: ControllerLink) -> None:
        self.controller = controller

    async def forward(self, request: Request, method: str, path: str, body: Any = None, **query: Any) -> Response:
        """The controller's answer, asked in the caller's name."""
        given = {name: value for name, value in query.items() if value is not None}
        if given:
            path = f"{path}?{urlencode(given)}"
        content = body.model_dump_json(exclude_unset=True).encode() if body is not None else None
        caller = getattr(request.scope.get("fx.caller"), "name", None) or "local"
        with correlation.span_of(request.scope, f"{method} {path.partition('?')[0]}"):
            headers = correlation.headers_of(request.scope)
            status, answer = await self.controller.call(method, path, content, caller, headers)
        return Response(answer, status, media_type="application/json")


def add_rollout_routes(app: FastAPI, controller: ControllerLink) -> None:
    """Everything about rollouts."""
    desk = Desk(controller)
    _add_rollouts(app, desk)
    _add_orders(app, desk)
    _add_records(app, desk)


def _add_rollouts(app: FastAPI, desk: Desk) -> None:
    @app.post("/rollouts", status_code=202, tags=["rollouts"], response_model=RolloutView)
    async def start(request: Request, body: RolloutBody) -> Response:
        """Begin to roll out a version. It waits while another one of its model runs, or ends it (policy: supersede)."""
        return await desk.forward(request, "POST", "/rollouts", body)

    @app.get("/rollouts", tags=["rollouts"], response_model=RolloutList)
    async def all_rollouts(
        request: Request,
        model: ModelFilter = None,
        state: StateFilter | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> Response:
        """Rollouts, newest first."""
        return await desk.forward(request, "GET", "/rollouts", model=model, state=state, limit=limit)

    @app.get("/rollouts/{rollout_id}", tags=["rollouts"], response_model=RolloutView)
    async def one(request: Request, rollout_id: str) -> Response:
        """One rollout: state, weight, steps with their evidence, gates, events."""
        return await desk.forward(request, "GET", f"/rollouts/{_plain(rollout_id)}")


def _add_orders(app: FastAPI, desk: Desk) -> None:
    def order(name: str) -> Any:
        async def act(request: Request, rollout_id: str, body: ReasonBody | None = None) -> Response:
            return await desk.forward(request, "POST", f"/rollouts/{_plain(rollout_id)}/{name}", body or ReasonBody())

        return act

    for name, said in ORDERS.items():
        app.add_api_route(
            f"/rollouts/{{rollout_id}}/{name}",
            order(name),
            methods=["POST"],
            tags=["rollouts"],
            response_model=RolloutView,
            summary=said,
            operation_id=f"{name}_rollout",
        )

    @app.post("/models/{model}/rollback", tags=["rollouts"], response_model=RestoreView)
    async def restore(request: Request, model: str, body: ReasonBody | None = None) -> Response:
        """The version that was blue before answers again, at once; 409 when it is no longer held ready."""
        if not valid_name(model):
            raise ApiError(404, f"model {model!r}: no version of it is deployed.")
        return await desk.forward(request, "POST", f"/models/{model}/rollback", body or ReasonBody())

    @app.put("/traffic", tags=["rollouts"], response_model=RolloutView)
    async def put_traffic(request: Request, body: TrafficBody) -> Response:
        """Split the traffic by hand between blue and the candidate of a running rollout, which pauses."""
        return await desk.forward(request, "PUT", "/traffic", body)


def _add_records(app: FastAPI, desk: Desk) -> None:
    @app.get("/audit", tags=["audit"], response_model=AuditList)
    async def audit(
        request: Request,
        after: Annotated[int, Query(ge=0, le=2**62)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
        model: ModelFilter = None,
        newest_first: bool = False,
    ) -> Response:
        """The audit trail: what happened, who did it, why, and the figures behind it."""
        flags = {"after": after, "limit": limit, "model": model, "newest_first": str(newest_first).lower()}
        return await desk.forward(request, "GET", "/audit", **flags)

    @app.get("/audit/verify", tags=["audit"], response_model=AuditCheck)
    async def verify(request: Request) -> Response:
        """Read the whole trail and tell whether a record was changed, removed, inserted or cut off."""
        return await desk.forward(request, "GET", "/audit/verify")

    @app.get("/series", tags=["state"], response_model=Series)
    async def series(
        request: Request, model: Name, minutes: Annotated[float, Query(gt=0, le=60, allow_inf_nan=False)] = 5
    ) -> Response:
        """The last minutes of a model, second by second: requests, errors and times of both slots."""
        return await desk.forward(request, "GET", "/series", model=model, minutes=minutes)


def _plain(rollout_id: str) -> str:
    if not rollout_id.replace("-", "").isalnum() or not rollout_id.isascii():
        raise ApiError(404, f"rollout {rollout_id!r}: no such rollout. GET /rollouts lists them.")
    return rollout_id
