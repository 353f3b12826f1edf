"""Buckets under Object Lock, and who abuses a writer's credentials in them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from holdfast.regions.buckets import Access, open_bucket, open_client, parse_bucket
from holdfast.regions.cloud import CloudStore
from holdfast.regions.region import Region
from holdfast.regions.threads import Threads
from holdfast.regions.versions import S3Versions
from holdfast.regions.worm import WormStore
from tests.s3.ceph import CephRegion

MODES = ("GOVERNANCE", "COMPLIANCE")


class Locked:
    """A bucket that keeps every version for a day, and its plain neighbour for control objects.

    store: as the product reads it. plain: as the bucket shows itself.
    """

    def __init__(self, ceph: CephRegion, name: str, mode: str = "COMPLIANCE") -> None:
        self.ceph, self.name = ceph, name
        self.url, self.control_url = f"s3://{name}", ceph.bucket(f"{name}-control")
        client: Any = open_client(parse_bucket(self.url), ceph.access, 5.0, lambda: 0)
        self.client = client
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
        retention = {"DefaultRetention": {"Mode": mode, "Days": 1}}
        client.put_object_lock_configuration(
            Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": retention}
        )
        self._threads = Threads("locked", 4)
        self.plain = plain_store(self.url, ceph.access)
        self.versions = self._versions("")
        self.store = WormStore(self.plain, self.versions)

    def close(self) -> None:
        self._threads.close()

    def fresh_versions(self) -> S3Versions:
        """The same, that opens its client by itself."""
        where, access = parse_bucket(self.url), self.ceph.access
        return S3Versions(
            lambda: open_client(where, access, 5.0, lambda: 0), self.name, "", self._threads
        )

    def _versions(self, prefix: str) -> S3Versions:
        return S3Versions(lambda: self.client, self.name, prefix, self._threads)

    def region(self, id: str, prefix: str = "") -> Region:
        """prefix: "" or parts, each with its "/": a region of its own there."""
        plain = plain_store(f"{self.url}/{prefix}", self.ceph.access)
        control = plain_store(f"{self.control_url}/{prefix}", self.ceph.access)
        uris = (f"{self.url}/{prefix}".rstrip("/"), f"{self.control_url}/{prefix}".rstrip("/"))
        return Region(id, WormStore(plain, self._versions(prefix)), control, uris=uris)

    def settings(self, id: str) -> str:
        """A region's table in the settings."""
        return "\n".join(
            [
                f'[regions.{id}]\nurl = "{self.url}"\ncontrol_url = "{self.control_url}"',
                f'endpoint = "{self.ceph.access.endpoint}"\nobject_lock = true',
                f'credentials_file = "{self.ceph.access.credentials_file}"\n',
            ]
        )

    def delete(self, key: str) -> None:
        """What everybody's `rm` does: a marker is stacked."""
        self.client.delete_object(Bucket=self.name, Key=key)

    def overwrite(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def end_lock(self, key: str, version: str, seconds: float = 2.0) -> None:
        """What only an administrator may, and in the mode "GOVERNANCE" alone."""
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        self.client.put_object_retention(
            Bucket=self.name,
            Key=key,
            VersionId=version,
            Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until},
            BypassGovernanceRetention=True,
        )

    def kept(self, key: str = "") -> list[Mapping[str, Any]]:
        """The versions of one object, or of all, the newest first."""
        found: Mapping[str, Any] = self.client.list_object_versions(Bucket=self.name, Prefix=key)
        return list(found.get("Versions", ()))


def plain_store(url: str, access: Access) -> CloudStore:
    return CloudStore(lambda: open_bucket(parse_bucket(url), access, 5.0, lambda: 0))
