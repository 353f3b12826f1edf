"""Three real regions for all stories; each story has buckets of its own in them."""

import itertools
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.nemesis.cluster import REGIONS
from tests.s3.ceph import CephRegion
from tests.s3.cluster import BucketCluster

_numbers = itertools.count()


@pytest.fixture(scope="session")
def cephs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, CephRegion]]:
    folder = tmp_path_factory.mktemp("ceph")
    made = {id: CephRegion(folder / id) for id in REGIONS}
    try:
        with ThreadPoolExecutor() as threads:
            list(threads.map(CephRegion.up, made.values()))
        yield made
    finally:
        for each in made.values():
            each.destroy()


@pytest.fixture
def cluster(tmp_path: Path, cephs: Mapping[str, CephRegion]) -> Iterator[BucketCluster]:
    """Under load. Whatever a story leaves broken is mended after it."""
    made = BucketCluster(tmp_path, cephs, f"story-{next(_numbers)}")
    try:
        made.found()
        made.wait_for_acknowledgements()
        yield made
    finally:
        made.end()
        for each in cephs.values():
            each.resume()
            each.up()
