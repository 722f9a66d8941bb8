"""Asking the deployment service for a rollout, and telling how it went. Nothing here waits for a rollout's end."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from fx_serving.client.home import Stores
from fx_serving.client.http import FINISHED, ServiceError, ServiceUnreachable, ServingClient
from fx_serving.client.patience import patiently

Told = TypeVar("Told")
DEFAULT_URL = "http://127.0.0.1:8700"
#: Another host leads within ten seconds, and a door that died listens again within one or two.
PATIENCE_S, LISTENS_S = 30.0, 5.0


class NoService(Exception):
    """The deployment service cannot be reached; the model stays promoted and can be deployed later."""


def service_url(stores: Stores) -> str:
    """FX_SERVING_URL, else what the running service of this home has written down, else the default port."""
    if url := os.environ.get("FX_SERVING_URL"):
        return url
    try:
        return msgspec.json.decode(stores.address.read_bytes())["url"]
    except (FileNotFoundError, ValueError, KeyError):
        return DEFAULT_URL


def ask_for_rollout(
    stores: Stores, model: str, version: str, policy: Mapping[str, Any], request_id: str
) -> dict[str, Any]:
    """Start a rollout and return the service's record of it at once; the same request_id again starts no second one.

    Where the version is being rolled out or deployed already (the run that asked for it was killed, say), the rollout
    that does or did so. What cannot be answered for the moment is asked again for a while. Raises NoService when
    nobody answers, ServiceError when the service refuses.
    """
    url = service_url(stores)
    with ServingClient(url) as client:
        try:
            try:
                asked = dict(policy) or None
                return _patiently(lambda: client.start_rollout(model, version, asked, request_id=request_id))
            except ServiceError as refused:
                if refused.status == 409 and (known := _patiently(lambda: _in_force(client, model, version))):
                    return known
                raise
        except ServiceUnreachable as error:
            raise NoService(
                f"{model} version {version} is promoted but not deployed: no deployment service at {url} ({error}). "
                "Start it with `fx up` and materialize this asset again."
            ) from None


def _patiently(ask: Callable[[], Told]) -> Told:
    return patiently(ask, PATIENCE_S, LISTENS_S)


def _in_force(client: ServingClient, model: str, version: str) -> dict[str, Any] | None:
    """The rollout of this version that runs, or else the one that deployed it; None without one."""
    found = [one for one in client.rollouts(model) if one["version"] == version and deploys(one)]
    running = [one for one in found if one["state"] not in FINISHED]
    if running:
        return running[0]
    blue = (client.traffic()["models"].get(model) or {}).get("blue") or {}
    deployed = [one for one in found if one["state"] == "succeeded" and blue.get("version") == version]
    return next(iter(deployed), None)


def deploys(rollout: Mapping[str, Any]) -> bool:
    """Whether it ends with its version deployed if all goes well; an experiment or a dry run does not."""
    return rollout["kind"] == "canary" and not rollout["dry_run"]


def step_table(rollout: Mapping[str, Any]) -> str:
    """The rollout's steps as a Markdown table."""
    lines = ["| weight | from | to | requests | errors | p99 ms | outcome |", "|" + " --- |" * 7]
    for step in rollout["steps"]:
        p99 = "" if step.get("p99_ms") is None else f"{step['p99_ms']:.1f}"
        lines.append(
            f"| {step['weight']:g} % | {step['started_at']} | {step.get('ended_at') or ''} "
            f"| {step['requests']} | {step['errors']} | {p99} | {step.get('outcome') or ''} |"
        )
    return "\n".join(lines)


__all__ = ["FINISHED", "NoService", "ServiceError", "ask_for_rollout", "deploys", "service_url", "step_table"]
