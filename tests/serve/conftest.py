from collections.abc import Iterator

import pytest

from tests.serve.running import Running, running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for all tests that leave it as they found it, but for more events."""
    with running(tmp_path_factory.mktemp("server") / "data") as started:
        yield started
