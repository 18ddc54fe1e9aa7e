"""A server that answers at once, but for one stall: what a garbage collection or a blocking call does to a real one.

``python stalling_server.py STALL_AFTER STALL_SECONDS`` prints its port, and stalls once after so many requests.
"""

from __future__ import annotations

import asyncio
import sys
import time

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"


class Stalling(asyncio.Protocol):
    """One request a read: the driver sends no second one before the reply."""

    answered = 0
    stall_after, stall_seconds = int(sys.argv[1]), float(sys.argv[2])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        Stalling.answered += 1
        if Stalling.answered == self.stall_after:
            time.sleep(self.stall_seconds)
        self.transport.write(REPLY)  # type: ignore[attr-defined]


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Stalling, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
