"""A store that counts what it is asked, as an object store would bill it."""

from dataclasses import astuple, dataclass

from holdfast.regions.directory import DirectoryStore
from holdfast.regions.port import Absent, Level, Listing, Present, Refused, Removed, Stored, Unknown

PAGE_KEYS = 1_000  # S3, GCS; 5,000 at Azure


@dataclass
class Requests:
    """puts, lists, gets: requests; a listing of many keys is several. Bytes of bodies."""

    puts: int = 0
    lists: int = 0
    gets: int = 0
    listed_keys: int = 0
    written_bytes: int = 0
    read_bytes: int = 0

    def __add__(self, other: "Requests") -> "Requests":
        return Requests(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: "Requests") -> "Requests":
        return Requests(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))


class Counted:
    """Implements `Store` and `Rooted` by a directory."""

    def __init__(self, store: DirectoryStore) -> None:
        self.requests = Requests()
        self._store = store

    async def create(self, key: str, data: bytes) -> Stored | Unknown:
        self.requests += Requests(puts=1, written_bytes=len(data))
        return await self._store.create(key, data)

    async def replace(self, key: str, data: bytes) -> Stored | Unknown:
        self.requests += Requests(puts=1, written_bytes=len(data))
        return await self._store.replace(key, data)

    async def read(self, key: str) -> Present | Absent | Unknown:
        found = await self._store.read(key)
        size = len(found.data) if isinstance(found, Present) else 0
        self.requests += Requests(gets=1, read_bytes=size)
        return found

    async def remove(self, key: str) -> Removed | Refused | Unknown:
        return await self._store.remove(key)  # which no provider charges for

    async def list(self, prefix: str, after: str = "") -> Listing | Unknown:
        found = await self._store.list(prefix, after)
        count = len(found.objects) if isinstance(found, Listing) else 0
        self.requests += Requests(lists=max(1, -(-count // PAGE_KEYS)), listed_keys=count)
        return found

    async def level(self, prefix: str) -> Level | Unknown:
        self.requests += Requests(lists=1)
        return await self._store.level(prefix)

    async def has_root(self) -> bool | Unknown:
        return await self._store.has_root()

    async def make_root(self) -> Stored | Unknown:
        return await self._store.make_root()
