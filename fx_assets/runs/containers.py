"""Runs, and where wanted their steps, in containers like the one that starts them, by dagster-docker.

What a run needs (volumes, secrets as files, networks, variables) and what it must not have (a writable root, rights) is
what the launching container has: nothing of it is said twice. Nor is there any launching container's way to the engine
in a run: who has that can do everything on the host. A run whose steps are containers starts them, and has it.
"""

import socket
from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.execution.retries import RetryMode, get_retries_config
from dagster._core.execution.step_dependency_config import StepDependencyConfig
from dagster._core.executor.step_delegating import StepDelegatingExecutor, StepHandlerContext
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster_docker import DockerRunLauncher
from dagster_docker.container_context import DockerContainerContext
from dagster_docker.docker_executor import DockerStepHandler

from fx_assets.runs.dead import PID
from fx_assets.runs.steps import TABLES

JOB = "tables_in_containers"
SOCKET = "/var/run/docker.sock"
STEP_LABEL = "fx.step"


class ContainerRunLauncher(DockerRunLauncher):
    """The run_launcher of deploy/compose/dagster/dagster.yaml. config: as of DockerRunLauncher, which goes first."""

    def launch_run(self, context: LaunchRunContext) -> None:
        _remove_ended_steps()
        self.image = self.image or _mine()["Config"]["Image"]
        super().launch_run(context)

    def get_container_context(self, dagster_run: dg.DagsterRun) -> DockerContainerContext:
        return like(_mine(), engine=dagster_run.job_name == JOB).merge(super().get_container_context(dagster_run))

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """What a command executes in its own process, without any container, is not for this to judge."""
        if PID in run.tags:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return super().check_run_worker_health(run)


class _Steps(DockerStepHandler):
    """Containers of steps stay until the next one is started: that they have ended is read from them."""

    def _get_image(self, step_handler_context: StepHandlerContext) -> str:
        return _mine()["Config"]["Image"]

    def _get_docker_container_context(self, step_handler_context: StepHandlerContext) -> DockerContainerContext:
        launcher = step_handler_context.instance.run_launcher
        given = dict(launcher.container_kwargs) if isinstance(launcher, DockerRunLauncher) else {}
        labels = {**given.get("labels", {}), STEP_LABEL: step_handler_context.dagster_run.run_id}
        kwargs = {**given, "auto_remove": False, "labels": labels}
        return like(_mine()).merge(DockerContainerContext(container_kwargs=kwargs))

    def launch_step(self, step_handler_context: StepHandlerContext) -> Any:
        _remove_ended_steps()
        return super().launch_step(step_handler_context)


@dg.executor(
    name="containers",
    config_schema={"max_concurrent": dg.Field(int, default_value=2), "retries": get_retries_config()},
    requirements=dg.multiple_process_executor_requirements(),
)
def container_executor(context: dg.InitExecutorContext) -> dg.Executor:
    """A container for each step, as the run's own is."""
    config: Any = context.executor_config
    return StepDelegatingExecutor(
        _Steps(None, DockerContainerContext()),
        retries=RetryMode.from_config(config["retries"]) or RetryMode.ENABLED,
        max_concurrent=config["max_concurrent"],
        step_dependency_config=StepDependencyConfig.default(),
    )


def build_job() -> Any:
    """Every table of some sessions, each step in a container."""
    return dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.assets(*(key.split("/") for key in TABLES)),
        executor_def=container_executor,
        description="Makes the tables of a session, each step in a container of its own (docs/compose.md).",
    )


def _mine() -> Mapping[str, Any]:
    """The container of this process, as the engine describes it; its host name is its id."""
    import docker

    return docker.client.from_env().containers.get(socket.gethostname()).attrs


def _remove_ended_steps() -> None:
    import docker

    docker.client.from_env().containers.prune(filters={"label": STEP_LABEL})


def like(mine: Mapping[str, Any], engine: bool = False) -> DockerContainerContext:
    """What containers.create takes for another container like this one. mine: as `docker inspect` says it.

    engine: whether it reaches the engine, if this one does.
    """
    host, config = mine["HostConfig"], mine["Config"]
    mounts = [
        {
            "Target": mount["Destination"],
            "Source": mount["Name"] if mount["Type"] == "volume" else mount["Source"],
            "Type": mount["Type"],
            "ReadOnly": not mount["RW"],
        }
        for mount in mine["Mounts"]
        if mount["Type"] in ("bind", "volume") and (engine or mount["Destination"] != SOCKET)
    ]
    return DockerContainerContext(
        env_vars=[variable for variable in config["Env"] or [] if not variable.startswith(("PATH=", "PYTHON"))],
        networks=sorted(mine["NetworkSettings"]["Networks"]),
        container_kwargs={
            "user": config["User"],
            "group_add": (host["GroupAdd"] or []) if engine else [],
            "mounts": mounts,
            "tmpfs": host["Tmpfs"] or {},
            "read_only": host["ReadonlyRootfs"],
            "cap_drop": host["CapDrop"] or [],
            "security_opt": host["SecurityOpt"] or [],
        },
    )
