"""A store behind obstore: S3, GCS, Azure, and its memory store.

What every vendor can raise ends in `_outcome`, also what comes out of a listing half-way. The
traps of obstore 0.12 that this answers: a 409 on create is an "already exists" with nothing stored
(so `answered`, and whoever asked reads back); a missing object is a `FileNotFoundError` and a bad
path a `ValueError`, neither of its own family; buffers are not copied (only `bytes` are taken); a
listing need not be sorted; a large body would go as a multipart upload, which cannot be
put-if-absent; downloads are not checked against their length.

The obstore object must be made after a process was forked or spawned, never before, and with its
own retries off: ours know what may have been stored. So it is made by the first call; where that
fails (credentials that are not there yet), this region is unknown, the others go on, and the next
call tries again.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from obstore.exceptions import (
    AlreadyExistsError,
    NotFoundError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import ObjectStore

if TYPE_CHECKING:
    from obstore import GetOptions

from holdfast.regions.keys import (
    check_bytes,
    check_key,
    check_prefix,
    check_removable,
    is_key,
    is_part,
)
from holdfast.regions.port import (
    Absent,
    Level,
    Listed,
    Listing,
    Present,
    Refused,
    Removed,
    Stored,
    Unknown,
)

OBJECT_BYTES_MAX = 256 * 1024 * 1024  # the evidence of an hour of many tenants comes near it
LISTED_MAX = 2_000_000
LIST_CHUNK = 1000
REASON_CHARS_MAX = 300

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PERMANENT = (PermissionDeniedError, UnauthenticatedError, NotSupportedError)
# S3 and GCS, Azure: a bucket that is not there answers 404 as a missing object does.
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "bucket does not exist")
# What a listing meets is a `GenericError` whatever it was; so are refused temporary credentials.
_REFUSED = re.compile(r"status code: 40[13] ")
_REQUEST = re.compile(r"Error performing (\w+ \S+) in \S+ - (?:Server.*status code: )?([^:<\n]*)")
_CAUSE = re.compile(
    r'<Code>(\w+)</Code>|(?:message|error): "([^"]+)"'
    r"|InvalidCertificate\(\s*(\w+)|kind: (TimedOut)|(timed out)"
)
# Where a machine in the cloud is told its own role: the last place that is asked.
_METADATA_HOSTS = ("169.254.169.254", "metadata.google.internal")


class CloudStore:
    """See the module. Implements `Store` and `Rooted`."""

    def __init__(self, open_store: Callable[[], ObjectStore]) -> None:
        self._open_store = open_store
        self._opened: ObjectStore | None = None

    @property
    def _store(self) -> ObjectStore:
        if self._opened is None:
            self._opened = self._open_store()
        return self._opened

    async def create(self, key: str, data: bytes) -> Stored | Unknown:
        version = await self.create_version(key, data)
        return version if isinstance(version, Unknown) else Stored()

    async def create_version(self, key: str, data: bytes) -> str | Unknown:
        """As `create`; the id of the version that was stored, "" in a bucket that has none."""
        check_key(key)
        check_bytes(data)
        try:
            put = await self._store.put_async(key, data, mode="create", use_multipart=False)
        except Exception as error:
            return _failed(error)
        return put["version"] or ""

    async def replace(self, key: str, data: bytes) -> Stored | Unknown:
        check_key(key)
        check_bytes(data)
        try:
            await self._store.put_async(key, data, mode="overwrite", use_multipart=False)
        except Exception as error:
            return _failed(error)
        return Stored()

    async def read(self, key: str) -> Present | Absent | Unknown:
        return await self._read(key, None)

    async def read_version(self, key: str, id: str) -> Present | Absent | Unknown:
        """One version of an object, whatever lies above it."""
        return await self._read(key, {"version": id})

    async def _read(self, key: str, options: "GetOptions | None") -> Present | Absent | Unknown:
        check_key(key)
        try:
            answer = await self._store.get_async(key, options=options)
            size_bytes = answer.meta["size"]
            if size_bytes > OBJECT_BYTES_MAX:
                return Unknown(f"{size_bytes} bytes are too many for an object", answered=True)
            data = bytes(await answer.bytes_async())
            modified_us = _microseconds(answer.meta["last_modified"])
        except Exception as error:
            return _outcome(error)
        if len(data) != size_bytes:
            return Unknown(f"read {len(data)} of {size_bytes} bytes")
        return Present(data, modified_us)

    async def remove(self, key: str) -> Removed | Refused | Unknown:
        check_removable(key)
        try:
            await self._store.delete_async(key)
        except Exception as error:
            outcome = _outcome(error)
            if isinstance(outcome, Absent):
                return Removed()
            is_refused = isinstance(error, PermissionDeniedError)
            return Refused(outcome.reason) if is_refused else outcome
        return Removed()

    async def list(self, prefix: str, after: str = "") -> Listing | Unknown:
        check_prefix(prefix)
        found: list[Listed] = []
        try:
            async for chunk in self._store.list(
                prefix or None, offset=after or None, chunk_size=LIST_CHUNK
            ):
                for meta in chunk:
                    key = meta["path"]
                    if key.startswith(prefix) and key > after and is_key(key):
                        modified_us = _microseconds(meta["last_modified"])
                        found.append(Listed(key, meta["size"], modified_us))
                if len(found) > LISTED_MAX:
                    return Unknown(f"more than {LISTED_MAX} objects: list fewer", answered=True)
        except Exception as error:
            return _failed(error)
        found.sort(key=lambda listed: listed.key)
        return Listing(tuple(found))

    async def level(self, prefix: str) -> Level | Unknown:
        check_prefix(prefix)
        try:
            found = await self._store.list_with_delimiter_async(prefix or None)
        except Exception as error:
            return _failed(error)
        below = (path.removeprefix(prefix).strip("/") for path in found["common_prefixes"])
        keys = (meta["path"] for meta in found["objects"])
        return Level(
            tuple(sorted(name for name in below if is_part(name))),
            tuple(sorted(key for key in keys if key.startswith(prefix) and is_key(key))),
        )

    async def has_root(self) -> bool | Unknown:
        """A bucket is made by whoever owns the account; here it is there or `Unknown`."""
        return True

    async def make_root(self) -> Stored | Unknown:
        """Nothing to make."""
        return Stored()


def _outcome(error: Exception) -> Absent | Unknown:
    """What an exception of obstore, or of anything below it, says about an object.

    Its set of exceptions is open (a network error of the operating system, a message of the Rust
    side), so whatever is not known here means "nothing follows".
    """
    text = str(error)
    if any(mark in text for mark in _NO_BUCKET):
        return Unknown(_reason(error), permanent=True)
    if isinstance(error, FileNotFoundError | NotFoundError):
        return Absent()
    if isinstance(error, AlreadyExistsError | PreconditionError):
        return Unknown("already exists", answered=True)
    permanent = isinstance(error, _PERMANENT) or _REFUSED.search(text) is not None
    return Unknown(_reason(error), permanent=permanent)


def _failed(error: Exception) -> Unknown:
    """The same where an object cannot be meant: then "not found" means the bucket."""
    outcome = _outcome(error)
    if isinstance(outcome, Absent):
        return Unknown(_reason(error), permanent=True)
    return outcome


def _reason(error: Exception) -> str:
    """One line for a person: what went wrong, why, and with which request.

    obstore's messages are pages, which name the cause last, in its own debugging.
    """
    text = str(error).strip()
    request, cause = _REQUEST.search(text), _CAUSE.search(text)
    if request is None:
        return f"{type(error).__name__}: {text.partition(chr(10))[0]}"[:REASON_CHARS_MAX]
    causes = filter(None, cause.groups() if cause else ())
    told = (request[2].strip(), *causes, request[1])
    if any(host in request[1] for host in _METADATA_HOSTS):
        told = ("no credentials were found, and this machine has no role of its own", *told)
    return ": ".join(told)[:REASON_CHARS_MAX]


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
