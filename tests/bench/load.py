"""A load generator: HTTP/1.1 over a few connections that stay open, one request at a time on each.

Bare asyncio and requests made beforehand: any client library would be a good part of what is measured.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Measured:
    """What a block of requests took, in seconds."""

    seconds: float
    times: Sequence[float]

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.times) / self.seconds

    def percentile(self, percent: int) -> float:
        """The time that this percentage of the requests did not exceed, in milliseconds."""
        return statistics.quantiles(self.times, n=100, method="inclusive")[percent - 1] * 1000


def request(method: str, base: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", f"host: {urlsplit(base).netloc}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def send(base: str, requests: Iterable[bytes], connections: int, timeout: float = 300) -> Measured:
    """Send every request once. Raises where one is not answered 2xx."""
    address = urlsplit(base)
    assert address.hostname
    assert address.port
    return asyncio.run(_send(address.hostname, address.port, list(requests), connections, timeout))


async def _send(host: str, port: int, requests: list[bytes], connections: int, timeout: float) -> Measured:
    loop = asyncio.get_running_loop()
    waiting = iter(requests)
    opened = [await loop.create_connection(lambda: _Connection(waiting), host, port) for _ in range(connections)]
    clients = [client for _, client in opened]
    start = time.perf_counter()
    try:
        for client in clients:
            client.next()
        await asyncio.wait_for(asyncio.gather(*(client.done for client in clients)), timeout)
        seconds = time.perf_counter() - start
    finally:
        for transport, _ in opened:
            transport.close()
    return Measured(seconds, [one for client in clients for one in client.times])


class _Connection(asyncio.Protocol):
    """Takes the next request as soon as the one before was answered."""

    def __init__(self, waiting: Iterator[bytes]) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.times: list[float] = []
        self._waiting = waiting
        self._received = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def next(self) -> None:
        """Send the next request, if there is one."""
        message = next(self._waiting, None)
        if message is None:
            self._finish(None)
            return
        self._received = b""
        self._sent = time.perf_counter()
        self._transport.write(message)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not _is_whole(self._received):
            return
        self.times.append(time.perf_counter() - self._sent)
        if self._received[9:10] == b"2":
            self.next()
        else:
            self._finish(RuntimeError(self._received[:500].decode(errors="replace")))

    def connection_lost(self, error: Exception | None) -> None:
        self._finish(error or ConnectionError("the server closed the connection"))

    def _finish(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


def _is_whole(received: bytes) -> bool:
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return False
    for line in head.lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return len(body) >= int(value)
        if name == b"transfer-encoding":
            return body.endswith(b"0\r\n\r\n")
    return True
