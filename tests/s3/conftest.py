"""Three real regions for all stories; each story has buckets of its own in them."""

import itertools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.nemesis.cluster import REGIONS
from tests.s3.ceph import CephRegion, running, up
from tests.s3.cluster import BucketCluster
from tests.s3.network import Link, Wire, wired

_numbers = itertools.count()


@pytest.fixture(scope="session")
def cephs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, CephRegion]]:
    """Each in a network of its own, where one may be made; else all on loopback."""
    folder = tmp_path_factory.mktemp("ceph")
    links = {id: Link(number) for number, id in enumerate(REGIONS)}
    made = {
        id: CephRegion(folder / id, link if link.make() else None) for id, link in links.items()
    }
    try:
        with running(made):
            yield made
    finally:
        for link in links.values():
            link.remove()


@pytest.fixture
def ceph(cephs: Mapping[str, CephRegion]) -> CephRegion:
    """One of them, for a test that needs no more."""
    return cephs[REGIONS[0]]


@pytest.fixture
def cluster(tmp_path: Path, cephs: Mapping[str, CephRegion]) -> Iterator[BucketCluster]:
    """Under load. Whatever a story leaves broken is mended after it."""
    with under_load(BucketCluster(tmp_path, cephs, f"story-{next(_numbers)}")) as made:
        yield made


@pytest.fixture
def wires(cephs: Mapping[str, CephRegion]) -> Iterator[Mapping[str, Wire]]:
    with ExitStack() as closing:
        yield {id: closing.enter_context(wired(ceph.address)) for id, ceph in cephs.items()}


@pytest.fixture
def far(
    tmp_path: Path, cephs: Mapping[str, CephRegion], wires: Mapping[str, Wire]
) -> Iterator[BucketCluster]:
    """Under load, through a wire to each region."""
    endpoints = {id: wire.endpoint for id, wire in wires.items()}
    made = BucketCluster(tmp_path, cephs, f"story-{next(_numbers)}", endpoints)
    with under_load(made):
        yield made


@contextmanager
def under_load(cluster: BucketCluster) -> Iterator[BucketCluster]:
    try:
        cluster.found()
        cluster.wait_for_acknowledgements()
        yield cluster
    finally:
        cluster.end()
        for each in cluster.cephs.values():
            if each.link:
                each.link.mend()
            each.resume()
        up(cluster.cephs)
