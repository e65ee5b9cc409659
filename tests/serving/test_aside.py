"""Work in a process beside: one after the other, not too many waiting, and another process after one that died."""

import os
import threading
import time
from collections.abc import Iterator

import pytest

from serving.aside import Aside, Busy, Interrupted


@pytest.fixture
def aside() -> Iterator[Aside]:
    made = Aside()
    yield made
    made.close()


def test_it_is_another_process_which_stays_and_whose_errors_come_through(aside: Aside) -> None:
    first, again = aside.run(os.getpid), aside.run(os.getpid)
    assert first == again != os.getpid()
    with pytest.raises(ValueError, match="invalid literal"):
        aside.run(int, "no number")
    with pytest.raises(Interrupted):
        aside.run(os._exit, 1)
    assert aside.run(os.getpid) != first


def test_who_would_wait_behind_too_many_is_told_at_once(aside: Aside) -> None:
    aside.run(os.getpid)
    outcomes: list[str] = []

    def ask() -> None:
        try:
            aside.run(time.sleep, 0.3)
            outcomes.append("done")
        except Busy:
            outcomes.append("busy")

    threads = [threading.Thread(target=ask) for _ in range(12)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["busy"] * 4 + ["done"] * 8
    assert time.monotonic() - began > 8 * 0.3
    assert aside.run(os.getpid)
