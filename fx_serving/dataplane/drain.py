"""How a worker leaves: no client that is just sending sees its connection reset.

uvicorn itself closes every idle connection at once when it is told to stop. Here the worker stops accepting, answers
what still comes on its open connections with `connection: close`, and closes the idle ones only after a while.
"""

from __future__ import annotations

import asyncio
import socket
import time

import uvicorn

from fx_serving.dataplane.admission import Gate

_LOOK_S = 0.02


class DrainingServer(uvicorn.Server):
    """A uvicorn server that waits for its connections before it closes them."""

    def __init__(self, config: uvicorn.Config, gate: Gate, drain_s: float) -> None:
        super().__init__(config)
        self.gate, self.drain_s = gate, drain_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then shut down as usual."""
        self.gate.drain()
        for server in self.servers:
            server.close()
        end = time.monotonic() + self.drain_s
        while self.server_state.connections and time.monotonic() < end and not self.force_exit:
            await asyncio.sleep(_LOOK_S)
        await super().shutdown(sockets)
