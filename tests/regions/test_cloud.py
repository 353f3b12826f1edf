"""What obstore and the vendors behind it throw, and what it means."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import cast

import pytest
from obstore import exceptions
from obstore.store import MemoryStore, ObjectStore

from holdfast.regions.cloud import CloudStore
from holdfast.regions.port import Absent, Listed, Listing, Stored, Unknown

WHEN = datetime(2026, 11, 24, 10, 0, 0, 123456, tzinfo=UTC)
WHEN_US = 1_795_514_400_123_456
KEY = "ev/seg/name"

UNKNOWN = [
    exceptions.GenericError("Generic S3 error: 503 Service Unavailable\n\nDebug source:\n..."),
    exceptions.JoinError("a thread died"),
    exceptions.InvalidPathError("of a foreign object, in a listing"),
    ValueError("Could not parse path: Path 'a//b' contained empty path segment"),
    OSError("connection reset"),
    TimeoutError(),
    RuntimeError("whatever a later version throws"),
]
PERMANENT = [
    exceptions.PermissionDeniedError("403 Forbidden"),
    exceptions.UnauthenticatedError("401 Unauthorized"),
    exceptions.NotSupportedError("put-if-absent is not there"),
    FileNotFoundError("404 Not Found: <Code>NoSuchBucket</Code>"),
    exceptions.NotFoundError("ContainerNotFound"),
]


class Throwing:
    """An object store of which every call throws; its listing gives one chunk first."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def put_async(self, *_: object, **__: object) -> None:
        raise self.error

    async def get_async(self, *_: object, **__: object) -> None:
        raise self.error

    async def list_with_delimiter_async(self, *_: object) -> None:
        raise self.error

    async def list(self, *_: object, **__: object) -> AsyncIterator[list[dict[str, object]]]:
        yield [{"path": KEY, "size": 1, "last_modified": WHEN}]
        raise self.error


def throwing(error: Exception) -> CloudStore:
    return CloudStore(lambda: cast(ObjectStore, Throwing(error)))


async def every_answer(store: CloudStore) -> list[object]:
    return [
        await store.create(KEY, b""),
        await store.replace("ctl/hb", b""),
        await store.list("ev/"),
        await store.level("ev/"),
        await store.read(KEY),
    ]


@pytest.mark.parametrize("error", UNKNOWN, ids=lambda error: type(error).__name__)
def test_what_the_vendor_throws_is_unknown_also_in_the_middle_of_a_listing(
    error: Exception,
) -> None:
    for answer in asyncio.run(every_answer(throwing(error))):
        assert isinstance(answer, Unknown) and not answer.permanent and not answer.answered
        assert "\n" not in answer.reason


@pytest.mark.parametrize("error", PERMANENT, ids=lambda error: type(error).__name__)
def test_refused_credentials_and_missing_buckets_are_permanent(error: Exception) -> None:
    for answer in asyncio.run(every_answer(throwing(error))):
        assert isinstance(answer, Unknown) and answer.permanent


# What obstore said when a real Ceph gateway was asked.
LISTED_NOWHERE = """Generic S3 error: Error performing list request: Error performing GET \
http://store/nosuch?list-type=2 in 51.009862ms - Server returned non-2xx status code: 404 Not \
Found: <?xml version="1.0" encoding="UTF-8"?><Error><Code>NoSuchBucket</Code><Message></Message>"""
REFUSED = """Generic S3 error: Error performing list request: Error performing GET \
http://store/trail?list-type=2 in 1.2ms - Server returned non-2xx status code: 403 Forbidden: \
<?xml version="1.0"?><Error><Code>SignatureDoesNotMatch</Code><Message></Message></Error>"""
NOBODY = """Generic S3 error: Error performing GET http://store/trail/x in 104.275µs - HTTP error: \
error sending request

Debug source:
Generic { source: ConnectError("tcp connect error", Os { code: 111, kind: ConnectionRefused, \
message: "Connection refused" }) }"""
UNTRUSTED = """Generic S3 error: Error performing GET https://store/x in 2ms - HTTP error: error \
sending request

Debug source: Custom { kind: InvalidData, error: InvalidCertificate(
    UnknownIssuer,
) }"""
NO_ROLE = """Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 2ms \
- HTTP error: error sending request

Debug source: Http(HttpError { kind: Timeout, source: reqwest::Error { source: TimedOut } })"""


@pytest.mark.parametrize(
    ("text", "permanent", "reason"),
    [
        (LISTED_NOWHERE, True, "404 Not Found: NoSuchBucket: GET http://store/nosuch?list-type=2"),
        (REFUSED, True, "403 Forbidden: SignatureDoesNotMatch: GET http://store/trail?list-type=2"),
        (NOBODY, False, "HTTP error: Connection refused: GET http://store/trail/x"),
        (UNTRUSTED, False, "HTTP error: UnknownIssuer: GET https://store/x"),
        (NO_ROLE, False, "no credentials were found, and this machine has no role of its own: "),
    ],
)
def test_a_reason_says_what_went_wrong_and_with_which_request(
    text: str, permanent: bool, reason: str
) -> None:
    answer = asyncio.run(throwing(exceptions.GenericError(text)).list("ev/"))

    assert isinstance(answer, Unknown) and answer.permanent is permanent
    assert answer.reason.startswith(reason)


def test_a_missing_object_is_absent_only_where_an_object_was_asked_for() -> None:
    *others, found = asyncio.run(every_answer(throwing(FileNotFoundError("No data in memory"))))

    assert found == Absent()
    assert all(isinstance(answer, Unknown) and answer.permanent for answer in others)


def test_a_conflict_and_a_failed_precondition_are_answers() -> None:
    for error in (exceptions.AlreadyExistsError("409"), exceptions.PreconditionError("412")):
        answer = asyncio.run(throwing(error).create(KEY, b""))

        assert answer == Unknown("already exists", answered=True)


def test_a_cancelled_call_is_cancelled() -> None:
    async def story() -> None:
        store = throwing(asyncio.CancelledError())  # type: ignore[arg-type]
        with pytest.raises(asyncio.CancelledError):
            await store.read(KEY)

    asyncio.run(story())


class Answering:
    """An object store with one object, whose bytes are fewer than it says, and a foreign one."""

    meta: dict[str, object] = {"path": KEY, "size": 5, "last_modified": WHEN}  # noqa: RUF012

    async def get_async(self, *_: object, **__: object) -> "Answering":
        return self

    async def bytes_async(self) -> bytes:
        return b"four"

    async def list(self, *_: object, **__: object) -> AsyncIterator[list[dict[str, object]]]:
        yield [{**self.meta, "path": "ev/seg/z"}, {**self.meta, "path": "ev/Foreign"}]
        yield [{**self.meta, "path": "other/seg"}, self.meta]


def test_a_download_that_ends_early_is_unknown() -> None:
    store = CloudStore(lambda: cast(ObjectStore, Answering()))

    assert asyncio.run(store.read(KEY)) == Unknown("read 4 of 5 bytes")


def test_an_object_beyond_all_bounds_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Answering.meta, "size", 10**12)

    answer = asyncio.run(CloudStore(lambda: cast(ObjectStore, Answering())).read(KEY))

    assert isinstance(answer, Unknown) and answer.answered


def test_an_unsorted_listing_with_foreign_objects_is_sorted_and_ours() -> None:
    listing = asyncio.run(CloudStore(lambda: cast(ObjectStore, Answering())).list("ev/"))

    assert listing == Listing((Listed(KEY, 5, WHEN_US), Listed("ev/seg/z", 5, WHEN_US)))


def test_a_listing_of_many_chunks_is_whole() -> None:
    async def story() -> None:
        store = CloudStore(MemoryStore)
        names = [f"ev/{number:05d}" for number in range(2500)]
        for name in names:
            assert await store.create(name, b"") == Stored()

        listing = await store.list("ev/", "ev/00099")

        assert isinstance(listing, Listing)
        assert [listed.key for listed in listing] == names[100:]

    asyncio.run(story())
