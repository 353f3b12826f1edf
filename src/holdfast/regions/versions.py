"""What a bucket keeps beneath what it shows: the versions of its objects, and for how long.

obstore reads a version that it is given, and lists none; so this asks S3 by botocore, which brings
the signatures, the XML and every way to credentials that AWS's own tools have. It is made by the
first call, in the threads that it runs in, and made anew after a refusal: the credentials may be
new ones by then.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from holdfast.ports import Offload
from holdfast.regions.keys import is_key, is_part
from holdfast.regions.port import Refused, Removed, Unknown

VERSIONS_MAX = 2_000_000
REASON_CHARS_MAX = 300

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NO_LOCK = "ObjectLockConfigurationNotFoundError"
_DENIED = "AccessDenied"
_PERMANENT = frozenset({_DENIED, "InvalidAccessKeyId", "NoSuchBucket", "ExpiredToken"}) | {
    "SignatureDoesNotMatch"
}

Result = TypeVar("Result")


class Client(Protocol):
    """The calls of botocore's client of S3 that are needed."""

    def list_object_versions(self, **asked: str) -> Mapping[str, Any]: ...

    def delete_object(self, **asked: str) -> Mapping[str, Any]: ...

    def get_bucket_versioning(self, **asked: str) -> Mapping[str, Any]: ...

    def get_object_lock_configuration(self, **asked: str) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an object, or a delete marker. etag: equal for equal bytes, as a rule.
    is_newest: what a plain read meets."""

    key: str
    id: str
    size_bytes: int
    modified_us: int
    etag: str
    is_marker: bool
    is_newest: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """What lies under a prefix, by key, the oldest version first. folders: as in `Level`."""

    versions: tuple[Version, ...]
    folders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Protection:
    """What a bucket keeps. lock: "" or the mode of its default retention, or "none" where Object
    Lock is on without one; period: of that, for a person; days: the same, 0: none."""

    has_versions: bool
    lock: str
    period: str
    days: int = 0


class S3Versions:
    """See the module. All answers end in values; an exception is a mistake of ours."""

    def __init__(
        self, open_client: Callable[[], Client], bucket: str, prefix: str, offload: Offload
    ) -> None:
        """prefix: of all keys in the bucket, "" or with its last "/"."""
        self._open_client = open_client
        self._client: Client | None = None
        self._bucket = bucket
        self._prefix = prefix
        self._offload = offload

    async def list(self, prefix: str, after: str = "", *, deep: bool = True) -> Kept | Unknown:
        """Every version under a prefix, or of one key, whose key is greater than `after`.

        deep: in any depth; else what lies deeper is named by its first part.
        """
        return await self._ask(lambda client: self._list(client, prefix, after, deep))

    async def remove(self, key: str, id: str) -> Removed | Refused | Unknown:
        """Delete one version, which leaves no marker. Refused: it is locked, or that is not for
        these credentials; the store says which."""
        return await self._ask(lambda client: self._remove(client, key, id))

    async def protection(self) -> Protection | Unknown:
        """What the bucket is set to keep."""
        return await self._ask(self._protection)

    async def _ask(self, question: Callable[[Client], Result]) -> Result | Unknown:
        return await self._offload(self._answer, question)

    def _answer(self, question: Callable[[Client], Result]) -> Result | Unknown:
        try:
            self._client = self._client or self._open_client()
            return question(self._client)
        except Exception as error:  # botocore's set is open, as obstore's is
            permanent = _code_of(error) in _PERMANENT
            if permanent:
                self._client = None
            return Unknown(f"{type(error).__name__}: {error}"[:REASON_CHARS_MAX], permanent)

    def _list(self, client: Client, prefix: str, after: str, deep: bool) -> Kept | Unknown:
        found: list[Version] = []
        folders: set[str] = set()
        for page in self._pages(client, prefix, after, deep):
            for each in page.get("CommonPrefixes", ()):
                folders.add(each["Prefix"].removeprefix(self._prefix + prefix).strip("/"))
            found += self._versions_in(page, after)
            if len(found) > VERSIONS_MAX:
                return Unknown(f"more than {VERSIONS_MAX} versions: list fewer", answered=True)
        # They come newest first. By that order, not by their times, which are coarse and may jump.
        found.reverse()
        found.sort(key=lambda version: version.key)
        return Kept(tuple(found), tuple(sorted(name for name in folders if is_part(name))))

    def _remove(self, client: Client, key: str, id: str) -> Removed | Refused:
        try:
            client.delete_object(Bucket=self._bucket, Key=self._prefix + key, VersionId=id)
        except Exception as error:
            if _code_of(error) != _DENIED:
                raise
            return Refused(f"{type(error).__name__}: {error}"[:REASON_CHARS_MAX])
        return Removed()

    def _pages(
        self, client: Client, prefix: str, after: str, deep: bool
    ) -> Iterator[Mapping[str, Any]]:
        asked = {"Bucket": self._bucket, "Prefix": self._prefix + prefix}
        if after:
            asked["KeyMarker"] = self._prefix + after
        if not deep:
            asked["Delimiter"] = "/"
        while True:
            page = client.list_object_versions(**asked)
            yield page
            if not page.get("IsTruncated"):
                return
            at = asked.get("KeyMarker"), asked.get("VersionIdMarker", "")
            asked["KeyMarker"] = page["NextKeyMarker"]
            asked["VersionIdMarker"] = page.get("NextVersionIdMarker", "")
            if at == (asked["KeyMarker"], asked["VersionIdMarker"]):
                raise ValueError("the store lists the same page again and again")

    def _versions_in(self, page: Mapping[str, Any], after: str) -> Iterator[Version]:
        entries = [(each, False) for each in page.get("Versions", ())]
        entries += [(each, True) for each in page.get("DeleteMarkers", ())]
        for each, is_marker in entries:
            key = each["Key"].removeprefix(self._prefix)
            if key > after and is_key(key):
                yield Version(
                    key=key,
                    id=each["VersionId"],
                    size_bytes=each.get("Size", 0),
                    modified_us=(each["LastModified"] - _EPOCH) // _MICROSECOND,
                    etag=each.get("ETag", ""),
                    is_marker=is_marker,
                    is_newest=each["IsLatest"],
                )

    def _protection(self, client: Client) -> Protection:
        has_versions = client.get_bucket_versioning(Bucket=self._bucket).get("Status") == "Enabled"
        try:
            found = client.get_object_lock_configuration(Bucket=self._bucket)
        except Exception as error:
            if _code_of(error) != _NO_LOCK:
                raise
            return Protection(has_versions, "", "")
        rule = found["ObjectLockConfiguration"].get("Rule", {}).get("DefaultRetention", {})
        period = " ".join(
            f"{rule[unit]} {unit.lower()}" for unit in ("Days", "Years") if unit in rule
        )
        days = rule.get("Days", 0) + 365 * rule.get("Years", 0)
        return Protection(has_versions, rule.get("Mode", "none").lower(), period, days)


def _code_of(error: Exception) -> str:
    response: Mapping[str, Any] = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))
