"""What reading does in the background, on the machine that it runs on."""

import os
import time
from pathlib import Path

import pytest

from holdfast.wiring import real_host

PATIENCE_SECONDS = 60.0


def wait_for(path: str) -> int:
    """A fold, as far as the executor can tell; it ends when the file is there."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while not Path(path).exists() and time.monotonic() < ends:
        time.sleep(0.01)
    return os.getpid()


@pytest.mark.slow
def test_what_another_node_wrote_does_not_wait_for_a_fold(tmp_path: Path) -> None:
    over = tmp_path / "over"
    with real_host() as host:
        folding = host.background.submit(wait_for, str(over))

        inspected_by = host.background.submit(os.getpid).result(PATIENCE_SECONDS)
        was_folding = not folding.done()
        over.touch()

        assert was_folding
        assert inspected_by != folding.result(PATIENCE_SECONDS)
