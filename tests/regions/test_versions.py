"""What a bucket keeps beneath what it shows, from a gateway that does not do as S3 does."""

import asyncio
from collections.abc import Mapping
from typing import Any

from holdfast.regions.port import Unknown
from holdfast.regions.threads import Threads
from holdfast.regions.versions import S3Versions


class Stuck:
    """Says for ever that there is more, and gives the page that it gave."""

    def list_object_versions(self, **asked: str) -> Mapping[str, Any]:
        return {"IsTruncated": True, "NextKeyMarker": "ev/a", "NextVersionIdMarker": "1"}

    def get_bucket_versioning(self, **asked: str) -> Mapping[str, Any]:
        return {}

    def delete_object(self, **asked: str) -> Mapping[str, Any]:
        return {}

    def get_object_lock_configuration(self, **asked: str) -> Mapping[str, Any]:
        return {}


def test_a_listing_that_does_not_get_on_is_unknown_and_ends() -> None:
    async def story() -> object:
        threads = Threads("versions", 1)
        async with asyncio.timeout(10):
            found = await S3Versions(Stuck, "bucket", "", threads).list("ev/")
        threads.close()
        return found

    found = asyncio.run(story())

    assert isinstance(found, Unknown) and "the same page again" in found.reason
