"""A load generator that costs little: requests as bytes over kept connections, one in flight on each.

Closed, each connection sends its next request when the answer is there; that finds how much a server can take. Open,
requests are due at fixed times, whatever the server does, and a latency counts from when its request was due, so that
a server that stalls cannot hide it.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import uvloop

_LATE_SENDS = 8


@dataclass
class Answers:
    """Latencies in seconds of the answers by status, and of the successes how long they took once they were sent.

    The two differ where the generator itself cannot keep up.
    """

    seconds: float = 0.0
    latencies: dict[int, list[float]] = field(default_factory=dict)
    from_sending: list[float] = field(default_factory=list)

    @property
    def good(self) -> list[float]:
        """Of those that succeeded."""
        return sorted(self.latencies.get(200, []))

    @property
    def per_second(self) -> float:
        """Successes a second."""
        return len(self.good) / self.seconds

    def quantile(self, share: float) -> float:
        """The latency that so large a share of the successes stays within, in seconds."""
        good = self.good
        return good[min(int(share * len(good)), len(good) - 1)]

    def counts(self) -> dict[str, int]:
        """How many of each status."""
        return {str(status): len(found) for status, found in sorted(self.latencies.items())}


def request_bytes(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A POST as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", "host: bench", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def closed(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Answers:
    """As much as so many connections can get answered."""
    return uvloop.run(_load(port, requests, connections, seconds, None))


def open_loop(port: int, requests: Sequence[bytes], connections: int, seconds: float, per_second: float) -> Answers:
    """So many requests a second, spread evenly."""
    return uvloop.run(_load(port, requests, connections, seconds, per_second))


class _Connection(asyncio.Protocol):
    """Sends a request and reads its answer."""

    def __init__(self, done: "asyncio.Queue[_Connection]", answers: Answers) -> None:
        self._done = done
        self._answers = answers
        self._received = b""
        self._due = 0.0
        self._sent = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one without saying so.
        self.transport = cast("asyncio.Transport", transport)

    def send(self, request: bytes, due: float) -> None:
        assert self.transport is not None
        self._due = due
        self._sent = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        lower = head.lower()
        place = lower.find(b"content-length: ")
        if place < 0 and not body.endswith(b"0\r\n\r\n"):  # chunked
            return
        if place >= 0 and len(body) < int(lower[place + 16 :].split(b"\r\n", 1)[0]):
            return
        self._received = b""
        now, status = time.perf_counter(), int(head[9:12])
        self._answers.latencies.setdefault(status, []).append(now - self._due)
        if status == 200:
            self._answers.from_sending.append(now - self._sent)
        self._done.put_nowait(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None


async def _load(
    port: int, requests: Sequence[bytes], connections: int, seconds: float, per_second: float | None
) -> Answers:
    answers = Answers()
    free: asyncio.Queue[_Connection] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    made = [
        (await loop.create_connection(lambda: _Connection(free, answers), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    # A connection is one once the server has taken it, which a busy server may leave for later: each is answered once.
    for connection in made:
        connection.send(requests[0], time.perf_counter())
    while free.qsize() < connections:
        await asyncio.sleep(0.01)
    answers.latencies.clear()
    answers.from_sending.clear()
    began = time.perf_counter()
    number = 0
    while True:
        due = began + number / per_second if per_second else time.perf_counter()
        if due - began >= seconds:
            break
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        elif per_second and number % _LATE_SENDS == 0:
            # Who is late reads answers too, or they would look late.
            await asyncio.sleep(0)
        connection = await free.get()
        # Closed: the clock starts when the request leaves.
        connection.send(requests[number % len(requests)], due if per_second else time.perf_counter())
        number += 1
        if number % 64 == 0 and time.perf_counter() - began > 2 * seconds:
            break
    answers.seconds = time.perf_counter() - began
    # What is in flight still counts, if it comes.
    deadline = time.perf_counter() + 5
    while free.qsize() < connections and time.perf_counter() < deadline:
        await asyncio.sleep(0.01)
    for connection in made:
        if connection.transport is not None:
            connection.transport.abort()
    return answers


def median_of(rounds: Sequence[float]) -> float:
    """The median of several rounds."""
    return statistics.median(rounds)
