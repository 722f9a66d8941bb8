"""The sidecar process: scores one candidate for one worker, behind a memory limit. A crash here touches
nobody.

python -m fx_serving.dataplane.sidecar --fd N --parent PID --bundles DIR --model M --version V --memory-mb MB
"""

from __future__ import annotations

import argparse
import os
import socket
import threading
import time
from pathlib import Path

import numpy as np

from fx_serving.client.bundle import BundleError, bundle_dir, read_manifest
from fx_serving.dataplane import frames
from fx_serving.dataplane.bundles import LoadedBundle, load_bundle
from fx_serving.dataplane.limits import import_runtime, limit_memory

_LOOK_S = 0.5


def _load(options: argparse.Namespace) -> LoadedBundle:
    import_runtime(read_manifest(bundle_dir(options.bundles, options.model, options.version)).engine)
    limit_memory(options.memory_mb)
    return load_bundle(options.bundles, options.model, options.version)


def _serve(link: socket.socket, bundle: LoadedBundle) -> None:
    width = len(bundle.names)
    parser = frames.Frames()
    while data := link.recv(1 << 16):  # nothing: the worker is gone, and so is the reason to live
        for number, payload in parser.feed(data):
            begun = time.perf_counter()
            try:
                row = np.frombuffer(payload, dtype="<f4").reshape(1, width)
                score = bundle.scorer.score(row)
                reply = frames.answer(number, score, time.perf_counter() - begun)
            except Exception as error:  # whatever the engine raises is the candidate's failure, not the sidecar's end
                reply = frames.failure(number, f"{type(error).__name__}: {error}")
            link.sendall(reply)


def _leave_with(parent: int) -> None:
    """End with the worker, even in the middle of a score that never comes back."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_S)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--bundles", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--memory-mb", type=int, required=True)
    options = parser.parse_args()
    _leave_with(options.parent)
    link = socket.socket(fileno=options.fd)
    started = time.monotonic()
    try:
        bundle = _load(options)
    except (BundleError, MemoryError) as error:
        link.sendall(frames.failure(0, str(error) or "out of memory while loading"))
        return 1
    try:
        link.sendall(frames.answer(0, 0.0, time.monotonic() - started))
        _serve(link, bundle)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the worker went away while being answered
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
