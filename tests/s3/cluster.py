"""Two servers on three real S3 regions, with clients and readers, as the nemesis has them."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from holdfast.regions import layout
from holdfast.regions.buckets import open_bucket, parse_bucket
from tests.e2e.server import holdfast
from tests.nemesis.cluster import SETTINGS, Cluster
from tests.nemesis.judge import answers, judge, settle
from tests.s3.ceph import CephRegion

# Directories' intervals, so that stories are short; a clock is known to a second, as S3 tells it.
INTERVALS = """seal_interval_ms = 100
heartbeat_interval_ms = 1000
follow_interval_ms = 500
clock_error_ms = 4000
"""
LOOK_SECONDS = 2.0


class BucketCluster(Cluster):
    """Each region is a bucket in a Ceph of its own: the second with a prefix, the third with
    another bucket for its control objects."""

    settings = SETTINGS + INTERVALS

    def __init__(
        self,
        place: Path,
        cephs: Mapping[str, CephRegion],
        name: str,
        endpoints: Mapping[str, str] | None = None,
    ) -> None:
        """name: of the buckets, which must be new. endpoints: by region, where servers reach it,
        if not directly."""
        super().__init__(place, seed=1)
        self.cephs = cephs
        self._name = name
        self._endpoints = endpoints or {}

    def make_regions(self) -> None:
        for id in self.cephs:
            self.make_buckets(id)

    def make_buckets(self, id: str) -> None:
        for bucket in (self._name, f"{self._name}-control"):
            self.cephs[id].bucket(bucket)

    def tables(self, elsewhere: Mapping[str, str]) -> str:
        """elsewhere: region -> another endpoint for it."""
        return "".join(self.tables_by_region(elsewhere).values())

    def tables_by_region(self, elsewhere: Mapping[str, str] | None = None) -> dict[str, str]:
        reached = {**self._endpoints, **(elsewhere or {})}
        return {id: self._table(id, reached.get(id, "")) for id in self.cephs}

    def content(self, id: str) -> dict[str, bytes]:
        stores = {url: self._open(id, url) for url in self._urls(id).values()}
        return {
            str(meta["path"]): bytes(store.get(meta["path"]).bytes())
            for store in stores.values()
            for chunk in store.list()
            for meta in chunk
        }

    def heartbeats(self) -> Iterator[tuple[bytes, str]]:
        for id in self.cephs:
            store = self._open(id, list(self._urls(id).values())[-1])
            with contextlib.suppress(BaseError, FileNotFoundError):  # away, or not founded yet
                for meta in store.list(layout.HEARTBEATS_PREFIX).collect():
                    yield bytes(store.get(meta["path"]).bytes()), Path(meta["path"]).stem

    def _urls(self, id: str) -> dict[str, str]:
        """As the settings name them; that of the control objects last."""
        number = list(self.cephs).index(id)
        url = f"s3://{self._name}" + ("/some/where" if number == 1 else "")
        return {"url": url} | ({"control_url": f"{url}-control"} if number == 2 else {})

    def _table(self, id: str, endpoint: str) -> str:
        access = self.cephs[id].access
        values = self._urls(id) | {
            "endpoint": endpoint or access.endpoint,
            "credentials_file": access.credentials_file,
        }
        return f"[regions.{id}]\n" + "".join(f'{k} = "{v}"\n' for k, v in values.items())

    def _open(self, id: str, url: str) -> ObjectStore:
        return open_bucket(parse_bucket(url), self.cephs[id].access, LOOK_SECONDS, lambda: 0)


def finish(cluster: BucketCluster) -> None:
    """Loads end, all catch up; everything that was ever said is judged by what the buckets hold."""
    settle(cluster)
    told = judge(cluster, answers(cluster))
    where = ("--config", str(cluster.config), "--data", str(cluster.place / "reader"))
    verified = holdfast("verify", "--depth", "events", *where)

    assert cluster.problems == [], told
    assert verified.splitlines()[-1].startswith("GOOD")
