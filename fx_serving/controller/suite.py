"""The smoke test: before it gets any traffic, a candidate that all workers hold is asked over the public port, the way
callers ask: its golden rows, live features of each instrument, a repeated id, an override, a batch, and questions that
must be refused.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from fx_serving.access.internal import bearer, read_internal_key
from fx_serving.client.bundle import Manifest, bundle_dir, read_golden, read_manifest
from fx_serving.client.home import Stores
from fx_serving.config import AccessSettings
from fx_serving.controller.facts import Suite

TIMEOUT_S = 60.0
GOLDEN_SHARE = 0.6
_AGAIN = (429, 503)
_TRIES = 5


class Failed(Exception):
    """A case that did not pass, in words."""


Case = tuple[str, Callable[[], Awaitable[None]]]


async def run_suite(stores: Stores, access: AccessSettings, model: str, version: str, cases: int) -> Suite:
    """Ask the candidate; at most `cases` questions are counted."""
    folder = bundle_dir(stores.bundles, model, version)
    manifest, golden = read_manifest(folder), read_golden(folder)
    headers = {"authorization": bearer(read_internal_key(stores.internal_key))}
    url = address(json.loads(stores.address.read_bytes())["url"])
    async with httpx.AsyncClient(
        base_url=url, headers=headers, timeout=10.0, trust_env=False, verify=_trust(access) if url[4] == "s" else True
    ) as http:
        asker = _Asker(http, manifest)
        rows = [*zip(golden.rows, golden.expected, strict=True)][: max(int(cases * GOLDEN_SHARE), 1)]
        wanted: list[Case] = [
            (f"golden row {i}", lambda row=row, value=value: asker.golden(row, value, golden.tolerance))
            for i, (row, value) in enumerate(rows)
        ]
        wanted += [("repeated id", asker.repeated), ("override", asker.override), ("batch", asker.batch)]
        wanted += [(f"refusal of {name}", lambda body=body: asker.refused(body)) for name, body in REFUSED]
        wanted += [(f"live features of {name}", lambda name=name: asker.live(name)) for name in manifest.instruments]
        async with asyncio.timeout(TIMEOUT_S):
            return await _run(wanted[:cases])


async def _run(cases: list[Case]) -> Suite:
    passed, total, failures = 0, 0, []
    for name, ask in cases:
        try:
            await ask()
        except _NotAsked:
            continue
        except (Failed, httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            failures.append(f"{name}: {error or type(error).__name__}")
        else:
            passed += 1
        total += 1
    return Suite(passed=passed, total=total, failures=tuple(failures))


class _NotAsked(Exception):
    """The deployed version cannot answer this either: it says nothing of the candidate."""


REFUSED: tuple[tuple[str, bytes], ...] = (
    ("what is not JSON", b"{"),
    ("an unknown field", b'{"instrument": "X", "speed": 1}'),
    ("an unknown instrument", b'{"instrument": "NO_SUCH"}'),
    ("a feature that is not a number", b'{"instrument": "X", "features": {"x": "high"}}'),
    ("a missing instrument", b"{}"),
)


class _Asker:
    """Asks the candidate on its own route."""

    def __init__(self, http: httpx.AsyncClient, manifest: Manifest) -> None:
        self.http, self.manifest = http, manifest
        self.names = [feature.name for feature in manifest.features]

    async def _post(self, path: str, content: bytes) -> httpx.Response:
        for attempt in range(_TRIES):
            answer = await self.http.post(path, content=content, headers={"content-type": "application/json"})
            if answer.status_code not in _AGAIN or attempt == _TRIES - 1:
                return answer
            await asyncio.sleep(0.2 * (attempt + 1))
        raise AssertionError("unreachable")

    def _body(self, **more: Any) -> bytes:
        return json.dumps({"model": self.manifest.model, "instrument": self.manifest.instruments[0], **more}).encode()

    async def _answer(self, **more: Any) -> dict[str, Any]:
        answer = await self._post("/predict/green", self._body(**more))
        if answer.status_code != 200:
            raise Failed(f"answered {answer.status_code}: {answer.text[:200]}")
        return self._checked(answer.json())

    def _checked(self, content: dict[str, Any]) -> dict[str, Any]:
        if content["model_version"] != self.manifest.version or content["fell_back"]:
            raise Failed(f"answered by version {content['model_version']} (slot {content['slot']})")
        if not 0.0 <= content["prediction"] <= 1.0:
            raise Failed(f"prediction {content['prediction']}, expected one from 0 to 1")
        return content

    async def golden(self, row: list[float], expected: float, tolerance: float) -> None:
        """All features given: the prediction the training side computed."""
        found = (await self._answer(features=dict(zip(self.names, row, strict=True))))["prediction"]
        if abs(found - expected) > tolerance:
            raise Failed(f"prediction {found}, expected {expected} within {tolerance}")

    async def live(self, instrument: str) -> None:
        """The features as they are now. Not asked where the deployed version cannot answer either."""
        body = json.dumps({"model": self.manifest.model, "instrument": instrument}).encode()
        blue = await self._post("/predict/blue", body)
        if blue.status_code in (404, 409, 503):
            raise _NotAsked
        await self._answer(instrument=instrument)

    async def repeated(self) -> None:
        """The same id again gives the same answer."""
        row = dict.fromkeys(self.names, 0.0)
        id = f"suite-{uuid.uuid4().hex[:12]}"
        answers = [(await self._answer(features=row, request_id=id)) for _ in range(2)]
        if answers[0]["prediction"] != answers[1]["prediction"]:
            raise Failed(f"{answers[0]['prediction']}, and {answers[1]['prediction']} for the same id")

    async def override(self) -> None:
        """What is given is what is used."""
        given = dict.fromkeys(self.names, 0.0) | {self.names[0]: 0.5}
        used = (await self._answer(features=given))["features_used"]
        if used[self.names[0]] != 0.5:
            raise Failed(f"{self.names[0]} given as 0.5, used as {used[self.names[0]]}")

    async def batch(self) -> None:
        """Several questions at once, each with its answer."""
        one = {
            "model": self.manifest.model,
            "instrument": self.manifest.instruments[0],
            "features": dict.fromkeys(self.names, 0.0),
        }
        answer = await self._post("/predict/green", json.dumps({"requests": [one, one, one]}).encode())
        if answer.status_code != 200:
            raise Failed(f"answered {answer.status_code}: {answer.text[:200]}")
        found = [self._checked(content)["prediction"] for content in answer.json()["predictions"]]
        if len(found) != 3 or len(set(found)) != 1:
            raise Failed(f"three equal questions were answered {found}")

    async def refused(self, body: bytes) -> None:
        """What is wrong is refused as the asker's mistake."""
        answer = await self._post("/predict/green", body)
        if not 400 <= answer.status_code < 500:
            raise Failed(f"answered {answer.status_code}, expected 4xx")


def address(url: str) -> str:
    """Where this host reaches a service that listens on all its addresses."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def _trust(access: AccessSettings) -> ssl.SSLContext:
    """The service's own certificate, whatever name it was made out to; it is shown, too, where one is asked for."""
    context = ssl.create_default_context(cafile=access.tls_cert)
    context.check_hostname = False
    if access.tls_cert and access.tls_key:
        context.load_cert_chain(access.tls_cert, access.tls_key)
    return context
