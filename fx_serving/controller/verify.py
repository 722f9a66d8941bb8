"""Try a bundle out in a process of its own, so that a native crash or a memory hog touches nobody.

python -m fx_serving.controller.verify --bundles DIR --model M --version V --memory-mb MB
exits 0 if it is good; otherwise 1, with the reason on standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from fx_serving.client.bundle import BundleError, bundle_dir, read_manifest
from fx_serving.dataplane.limits import import_runtime, limit_memory, single_threaded_environment

TIMEOUT_S = 60.0


async def verify(bundles: Path, model: str, version: str, memory_mb: int) -> str:
    """The reason for refusing the bundle; "" if it is good."""
    command = ["-m", "fx_serving.controller.verify", "--bundles", str(bundles), "--model", model]
    command += ["--version", version, "--memory-mb", str(memory_mb)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=single_threaded_environment(),
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        return f"verification took longer than {TIMEOUT_S:g} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == 0:
        return ""
    reason = output.decode(errors="replace").strip()
    if process.returncode is not None and process.returncode < 0:
        return f"scoring its golden rows crashed the process ({signal.Signals(-process.returncode).name}) {reason}"
    return reason or f"verification ended with code {process.returncode}"


def main() -> int:
    from fx_serving.dataplane.bundles import load_bundle

    parser = argparse.ArgumentParser()
    parser.add_argument("--bundles", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--memory-mb", type=int, required=True)
    options = parser.parse_args()
    try:
        import_runtime(read_manifest(bundle_dir(options.bundles, options.model, options.version)).engine)
        limit_memory(options.memory_mb)
        load_bundle(options.bundles, options.model, options.version)
    except BundleError as error:
        print(error)
        return 1
    except MemoryError:
        print(f"needs more than {options.memory_mb} MB (serving.yaml: sidecar.memory_mb)")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
