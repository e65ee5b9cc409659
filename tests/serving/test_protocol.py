"""How the bytes of answers leave."""

import asyncio
from collections.abc import Callable

import pytest

from serving.protocol import _HeadsHeld

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"


class _Written(asyncio.Transport):
    """A transport that keeps what is written, each call apart."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.calls.append(bytes(data))

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("writes", "left"),
    [
        (lambda held: (held.write(HEAD), held.write(b"body")), [HEAD + b"body"]),
        # Two answers one after the other, as to requests that were sent together.
        (
            lambda held: [held.write(part) for part in (HEAD, b"body", HEAD, bytearray(b"more"))],
            [HEAD + b"body", HEAD + b"more"],
        ),
        (lambda held: (held.write(HEAD), held.write(b"bo"), held.write(b"dy")), [HEAD + b"bo", b"dy"]),
        (lambda held: (held.write(b"HTTP/1.1 100 Continue\r\n\r\n"),), [b"HTTP/1.1 100 Continue\r\n\r\n"]),
        (lambda held: (held.write(HEAD), held.close()), [HEAD]),
        (lambda held: (held.write(HEAD), held.write(b"")), [HEAD]),
    ],
    ids=["in one piece", "two answers", "pieces of a body", "a head alone", "a head, then the end", "no body"],
)
def test_a_head_leaves_with_what_follows_it_or_alone(
    writes: Callable[[asyncio.Transport], object], left: list[bytes]
) -> None:
    transport = _Written()

    async def main() -> None:
        writes(_HeadsHeld(transport, asyncio.get_running_loop()))
        await asyncio.sleep(0)

    asyncio.run(main())
    assert transport.calls == left
