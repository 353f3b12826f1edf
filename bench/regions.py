"""Three regions to measure on: directories, or a whole Ceph with an S3 gateway for each.

A Ceph runs on all cores, as do the servers that are measured on it: three of them would be too
much for one.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.plan import Ground, say
from bench.processes import pinned
from tests.s3.ceph import PROGRAMS, CephRegion, running

IDS: Final = ("a", "b", "c")
QUORUM: Final = 2


def has_ceph() -> bool:
    """Whether Ceph is installed here; says so where it is not."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        say(f"CEPH IS NOT INSTALLED ({', '.join(missing)}): nothing is measured on it")
    return not missing


@contextmanager
def cephs(ground: Ground) -> Iterator[Mapping[str, CephRegion]]:
    """Three of them, new and empty, gone afterwards."""
    with ground.folder("ceph") as folder, pinned(ground.cores.all):
        made = {id: CephRegion(folder / id) for id in IDS}
        with running(made):
            yield made


def in_buckets(regions: Mapping[str, CephRegion], bucket: str) -> str:
    """Make a bucket in each; the settings that name them."""
    tables = []
    for id, region in regions.items():
        access = region.access
        tables.append(
            f'[regions.{id}]\nurl = "{region.bucket(bucket)}"\nendpoint = "{access.endpoint}"\n'
            f'credentials_file = "{access.credentials_file}"\n'
        )
    return f"quorum = {QUORUM}\n" + "".join(tables)


def in_directories(folder: Path) -> str:
    """The settings that name directories, by the regions' ids."""
    tables = (f'[regions.{id}]\nurl = "{(folder / id).absolute().as_uri()}"\n' for id in IDS)
    return f"quorum = {QUORUM}\n" + "".join(tables)
