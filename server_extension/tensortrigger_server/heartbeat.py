"""Whether the process behind a port of this machine still answers."""

from __future__ import annotations

import asyncio
import contextlib


async def answers(host: str, port: int, within: float) -> bool:
    """Whether it begins to answer one small HTTP request in time.

    Over a connection of its own and without a client: what is asked here every few seconds must cost nothing.
    """
    writer = None
    try:
        async with asyncio.timeout(within):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(f"GET /health HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
            return (await reader.readline()).startswith(b"HTTP/")
    except (OSError, TimeoutError, ValueError):
        return False
    finally:
        if writer is not None:
            with contextlib.suppress(OSError):
                writer.transport.abort()
