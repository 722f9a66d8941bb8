"""Runs that Dagster's webserver is asked to start, wherever its launcher puts them, and followed to their end.

In place of processes of this machine (start.py), where each run is to have a container of its own (docs/compose.md).
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx

from fx_assets.errors import FxError
from fx_assets.inputs import with_siblings
from fx_assets.runs.plan import PlannedRun, RunEvent
from fx_assets.runs.start import RunFailed

#: A container that is killed is started again within seconds, and PostgreSQL replays its log first.
AWAY_S = 120.0
#: A run of thousands of partitions is written down partition by partition before it is answered.
LAUNCH_S = 300.0
#: Until a run that is being made can be seen.
UNSEEN_S = 15.0
POLL_S = 1.0
REQUEST_TAG = "fx/request"
REPOSITORY = "__repository__"
#: What is answered while a code server is being started.
_LATER = ("PythonError", "PipelineNotFoundError", "RepositoryNotFoundError", "RepositoryLocationNotFound")
OVER = ("SUCCESS", "FAILURE", "CANCELED")
_LAUNCH = """mutation Launch($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message }
  ... on RunConfigValidationInvalid { errors { message } } } }"""
_EVENTS = """query Events($run: ID!, $cursor: String) { logsForRun(runId: $run, afterCursor: $cursor, limit: 500) {
  ... on Error { message }
  ... on EventConnection { cursor hasMore events { __typename
    ... on MaterializationEvent { partition assetKey { path } }
    ... on AssetCheckEvaluationEvent { evaluation { success description checkName assetKey { path } } }
    ... on ExecutionStepFailureEvent { stepKey error { message } }
    ... on RunFailureEvent { message } } } } }"""
_REQUESTED = """query Requested($request: String!) {
  runsOrError(filter: {tags: [{key: "fx/request", value: $request}]}) { ... on Error { message }
  ... on Runs { results { runId status } } } }"""
_UNDER_WAY = """query UnderWay($command: String!, $since: Float!) {
  going: runsOrError(filter: {tags: [{key: "fx/command", value: $command}],
                              statuses: [NOT_STARTED, QUEUED, STARTING, STARTED, CANCELING]}) { ...Found }
  failed: runsOrError(filter: {tags: [{key: "fx/command", value: $command}, {key: "dagster/will_retry", value: "true"}],
                               statuses: [FAILURE], updatedAfter: $since}) { ...Found } }
  fragment Found on RunsOrError { ... on Error { message } ... on Runs { results { runId status tags { key } } } }"""
_RUN = """query Run($run: ID!) { runOrError(runId: $run) {
  ... on Run { status tags { key value } } ... on Error { message } } }"""
_FORGET = """mutation Forget($run: String!) { deletePipelineRun(runId: $run) { __typename } }"""
_END = """mutation End($run: String!) { terminateRun(runId: $run) { __typename } }"""


class Away(FxError):
    """The webserver, or what is behind it, does not answer."""


class Webserver:
    """Dagster's GraphQL."""

    def __init__(self, http: httpx.Client):
        """http: with base_url, and what it takes to be let in."""
        self._http = http
        self.url = str(http.base_url).rstrip("/")

    def ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The data of an answer, asked for again while nobody answers. Raises FxError."""
        deadline = time.monotonic() + AWAY_S
        while True:
            try:
                return self.ask_once(query, variables)
            except Away:
                if time.monotonic() > deadline:
                    raise
            time.sleep(POLL_S)

    def ask_once(self, query: str, variables: Mapping[str, Any], timeout_s: float = 30) -> dict[str, Any]:
        """The same, of what must not be done twice. Raises Away, and FxError."""
        question = {"query": query, "variables": dict(variables)}
        try:
            answer = self._http.post("/graphql", json=question, timeout=timeout_s)
            if answer.status_code in (401, 403):
                raise FxError(f"{self.url}: does not let this caller in ({answer.status_code}).")
            answer.raise_for_status()
            told = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Away(f"{self.url}/graphql: {error}") from None
        if "errors" in told:
            raise Away(f"{self.url}/graphql: {told['errors'][0].get('message')}")
        return told["data"]


class LaunchedRuns:
    """Starts runs one after another; several objects work side by side. Used as a RunProcess is."""

    def __init__(self, webserver: Webserver):
        self._webserver = webserver
        self._run_id: str | None = None
        self._interrupted = threading.Event()

    def __enter__(self) -> LaunchedRuns:
        return self

    def __exit__(self, *_: object) -> None:
        """Runs that are under way end with their container."""

    def await_earlier(self, command: str, tell: Callable[[Sequence[str]], None]) -> None:
        """Wait for the runs that a call of this command had launched when it was killed: Dagster goes on with them, and
        starts them again where their container dies. The caller sees to it that no other call is alive.

        tell: called with their ids, once, where there are any. Raises FxError where the webserver stays away.
        """
        told = False
        while found := self._under_way(command):
            if not told:
                tell(found)
                told = True
            time.sleep(POLL_S)

    def _under_way(self, command: str) -> list[str]:
        """The launched runs of a command that go on, or will be started again."""
        asked = self._webserver.ask(_UNDER_WAY, {"command": command, "since": time.time() - AWAY_S})
        found: list[str] = []
        for state, answer in asked.items():
            if "message" in answer:
                raise FxError(f"{self._webserver.url}/graphql: {answer['message']}")
            for run in answer["results"]:
                keys = {tag["key"] for tag in run["tags"]}
                # One that a command executed in its own process is not Dagster's to go on with.
                if REQUEST_TAG in keys and not (state == "failed" and "dagster/auto_retry_run_id" in keys):
                    found.append(run["runId"])
        return found

    def another(self) -> LaunchedRuns:
        """One more, that works beside this one."""
        return LaunchedRuns(self._webserver)

    def execute(self, plans: Sequence[PlannedRun], on_event: Callable[[RunEvent], None]) -> list[str]:
        """Execute runs one after another; returns their run ids.

        Raises RunFailed at the first run that fails, FxError where the webserver stays away. An exception of on_event,
        or Ctrl-C, ends the run.
        """
        done: list[str] = []
        for number, plan in enumerate(plans):
            began = time.monotonic()
            on_event(RunEvent(kind="started", run=number, text=", ".join(plan.assets)))
            try:
                run_id, failure = self._to_the_end(number, plan, on_event)
            except BaseException:
                self.interrupt()
                raise
            seconds = time.monotonic() - began
            on_event(RunEvent(kind="finished", run=number, run_id=run_id, ok=failure is None, seconds=seconds))
            if failure is not None:
                raise RunFailed(f"run {run_id} failed. {failure}\nLook: {self._webserver.url}/runs/{run_id}")
            done.append(run_id)
        return done

    def interrupt(self) -> None:
        """End the run that another thread executes here; it fails there."""
        self._interrupted.set()
        if run_id := self._run_id:
            with contextlib.suppress(FxError):  # the others are to be ended as well
                self._webserver.ask_once(_END, {"run": run_id})

    def _to_the_end(
        self, number: int, plan: PlannedRun, on_event: Callable[[RunEvent], None]
    ) -> tuple[str, str | None]:
        """Follow a run, and those that Dagster starts in its place when its container died; why it failed, or None."""
        run_id = self._launch(plan)
        while True:
            self._run_id = run_id
            if self._interrupted.is_set():  # while it was being launched
                self.interrupt()
            failure = self._follow(number, run_id, on_event)
            following = None if failure is None else self._in_its_place(run_id)
            if following is None:
                self._run_id = None
                return run_id, failure
            run_id = following

    def _launch(self, plan: PlannedRun) -> str:
        """The id of a run that is queued, at least. Asked for again where no answer came, and never started twice."""
        deadline, problem = time.monotonic() + LAUNCH_S, ""
        while time.monotonic() < deadline:
            request = uuid.uuid4().hex
            try:
                answer = self._webserver.ask_once(_LAUNCH, _asked(plan, request), LAUNCH_S)["launchPipelineExecution"]
            except Away as error:
                problem = str(error)
            else:
                if answer["__typename"] == "LaunchRunSuccess":
                    return answer["run"]["runId"]
                problem = f"{answer['__typename']}: {answer.get('message') or answer.get('errors')}"
                if answer["__typename"] not in _LATER:
                    break
            if run_id := self._requested(request):
                return run_id
        raise FxError(f"{', '.join(plan.assets)}: not launched. {problem}")

    def _requested(self, request: str) -> str | None:
        """The run of a request whose answer did not come; None where it was not made, or never came as far as the queue
        because whoever made it has died: nobody else will start it.
        """
        began, found = time.monotonic(), []
        while (waited := time.monotonic() - began) < AWAY_S and (found or waited < UNSEEN_S):
            found = self._got(_REQUESTED, "runsOrError", request=request)["results"]
            if found and found[0]["status"] != "NOT_STARTED":
                return found[0]["runId"]
            time.sleep(POLL_S)
        if found:  # so that nobody starts it after all
            self._webserver.ask(_FORGET, {"run": found[0]["runId"]})
        return None

    def _got(self, query: str, field: str, **variables: Any) -> dict[str, Any]:
        """One field of an answer. Raises FxError for an error in its place."""
        answer = self._webserver.ask(query, variables)[field]
        if "message" in answer:
            raise FxError(f"{self._webserver.url}/graphql: {answer['message']}")
        return answer

    def _follow(self, number: int, run_id: str, on_event: Callable[[RunEvent], None]) -> str | None:
        """Report a run's events until it has ended; returns why it failed."""
        cursor, failure = None, "No event says why."
        while True:
            status = self._got(_RUN, "runOrError", run=run_id)["status"]
            more = True
            while more:
                page = self._got(_EVENTS, "logsForRun", run=run_id, cursor=cursor)
                cursor, more = page["cursor"], page["hasMore"]
                for event in page["events"]:
                    failure = report(number, event, on_event) or failure
            if status in OVER:
                return None if status == "SUCCESS" else f"{status}: {failure}"
            time.sleep(POLL_S)

    def _in_its_place(self, run_id: str) -> str | None:
        """The run that Dagster starts again for one whose container died; None where it starts none."""
        deadline = time.monotonic() + AWAY_S
        while time.monotonic() < deadline:
            run = self._got(_RUN, "runOrError", run=run_id)
            tags = {tag["key"]: tag["value"] for tag in run["tags"]}
            if following := tags.get("dagster/auto_retry_run_id"):
                return following
            # Whether there will be one is written down after the failure itself.
            if run["status"] != "FAILURE" or tags.get("dagster/will_retry") == "false":
                return None
            time.sleep(POLL_S)
        return None


def _asked(plan: PlannedRun, request: str) -> dict[str, Any]:
    """What GraphQL takes for a run. request: by which it is found where the answer does not come."""
    tags = {**plan.tags, REQUEST_TAG: request}
    if plan.first is not None and plan.first == plan.last:
        tags["dagster/partition"] = plan.first
    elif plan.first is not None:
        tags["dagster/asset_partition_range_start"] = plan.first
        tags["dagster/asset_partition_range_end"] = str(plan.last)
    selector = {
        "repositoryLocationName": plan.location.partition(".")[0],
        "repositoryName": REPOSITORY,
        "pipelineName": "__ASSET_JOB",
        "assetSelection": [{"path": key.split("/")} for key in with_siblings(plan.assets)],
    }
    metadata = {"tags": [{"key": key, "value": value} for key, value in tags.items()]}
    return {"params": {"selector": selector, "mode": "default", "executionMetadata": metadata}}


def report(number: int, event: Mapping[str, Any], on_event: Callable[[RunEvent], None]) -> str | None:
    """Tell of one event of GraphQL; returns the words of a failure."""
    match event["__typename"]:
        case "MaterializationEvent":
            key = "/".join(event["assetKey"]["path"])
            on_event(RunEvent(kind="materialized", run=number, asset=key, partition=event["partition"]))
        case "AssetCheckEvaluationEvent" if not event["evaluation"]["success"]:
            check = event["evaluation"]
            name = f"{'/'.join(check['assetKey']['path'])}: {check['checkName']}"
            told = f"{name} ({check['description']})" if check["description"] else name
            on_event(RunEvent(kind="check_failed", run=number, text=told))
        case "ExecutionStepFailureEvent":
            return f"{event['stepKey']}: {(event['error'] or {}).get('message', '')[:500]}"
        case "RunFailureEvent":
            return str(event["message"])[:500]
    return None
