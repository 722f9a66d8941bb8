"""Wait until every container of a compose project is well. Only the standard library is needed.

python3 deploy/compose/wait.py PROJECT
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

PATIENCE_S = 600.0


def states(project: str) -> dict[str, str]:
    """Service -> healthy, starting, unhealthy, running, ended, failed."""
    label = f"label=com.docker.compose.project={project}"
    ids = _docker("ps", "-aq", "--filter", label, "--filter", "label=com.docker.compose.service").split()
    found = json.loads(_docker("inspect", *ids)) if ids else []
    return {one["Config"]["Labels"]["com.docker.compose.service"]: _state(one["State"]) for one in found}


def _state(state: dict) -> str:
    if state["Status"] == "exited":
        return "ended" if state["ExitCode"] == 0 else "failed"
    return state["Health"]["Status"] if "Health" in state else state["Status"]


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


def main(project: str) -> int:
    began, before = time.monotonic(), {}
    while time.monotonic() - began < PATIENCE_S:
        now = states(project)
        for service, state in sorted(now.items()):
            if before.get(service) != state and state in ("healthy", "failed", "unhealthy"):
                print(f"{time.monotonic() - began:5.0f} s  {service}: {state}", flush=True)
        if now and all(state in ("healthy", "running", "ended") for state in now.values()):
            print(f"all {len(now)} are well after {time.monotonic() - began:.0f} s")
            return 0
        before = now
        time.sleep(1)
    ill = ", ".join(
        f"{service} ({state})" for service, state in sorted(before.items()) if state not in ("healthy", "running")
    )
    print(f"not well after {PATIENCE_S:g} s: {ill}. Look: docker ps -a, docker logs CONTAINER", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
