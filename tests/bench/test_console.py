"""Every page of the console is asked for, and its counts are waited for first."""

from pathlib import Path

import pytest

from bench import console, load, server
from bench.events import Stream, make_pool


@pytest.mark.slow
def test_every_page_is_asked_for_when_it_is_warm(tmp_path: Path) -> None:
    with server.running(tmp_path / "data", {0}) as running:
        with load.Client(running.port, 1) as client:
            stream = Stream(make_pool(1, 1, 100), 1, 10**15, 1e6)
            loaded = client.closed(load.batches(stream), 100, 30)
        running.wait_found(*loaded.last)

        pages = console.look(running, 2)

    assert {page.path.partition("?")[0] for page in pages.values() if "event" not in page.path} == {
        "/",
        "/regions",
        "/completeness",
        "/integrity",
        "/alerts",
    }
    assert all(len(page.took_ms) == 2 and page.kib > 4 for page in pages.values())
