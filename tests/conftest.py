"""What takes long begins first, so that in the end no process of several waits for another's drill.

`--no-loadscope-reorder` goes with it: by itself, xdist puts last the files with the fewest tests,
which are those whose one test takes a minute.
"""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
