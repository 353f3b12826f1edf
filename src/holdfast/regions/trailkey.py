"""The trail's key, and the file that holds it: the one thing that an operator must back up.

The file is text, readable by its owner only:

    holdfast-trail-key/1
    trail 0f3c...                 the trail's id, 32 hex digits: also shows that the seed is whole
    name "main"                   as a JSON string
    seed q83v...                  the Ed25519 seed, 32 bytes, base64

All else that a founding needs follows from the seed (HMAC-SHA-256 under it), so that a founding
which was interrupted goes on to exactly the same cookies.
"""

import base64
import contextlib
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from holdfast.errors import Problem, RejectedError, UnavailableError
from holdfast.ports import Offload
from holdfast.proof import names
from holdfast.regions import signing
from holdfast.regions.disk import PRIVATE_MODE, Disk, ForeignError, make_directory, put_file
from holdfast.regions.kinds import Cookie
from holdfast.regions.signing import SigningKey, public_key

KEY_FILE = "trail.key"
BEGUN_FILE = "trail.key.new"
FILE_BYTES_MAX = 4096
SEED_BYTES = 32

Result = TypeVar("Result")

_FIRST_LINE = "holdfast-trail-key/1"
_TAG_KEY_LABEL = b"holdfast/tag-key/1"
_STORE_LABEL = b"holdfast/first-store/1\0"


@dataclass(frozen=True)
class TrailKey:
    """A trail's private key and its name. seed: 32 bytes, never shown."""

    seed: bytes = field(repr=False)
    name: str

    @property
    def signing(self) -> SigningKey:
        public = public_key(self.seed)
        return SigningKey.generate(names.trail_origin(names.trail_id(public)), self.seed)

    @property
    def trail(self) -> str:
        """The trail's id."""
        return names.trail_id(self.signing.public)

    def cookie(self, region: str, store: str = "", replaces: str = "") -> bytes:
        """The signed cookie for a store of the trail.

        Args:
            region: The region's id.
            store: The store's id, random; "": the region's first store, made at the founding.
            replaces: The store whose place this one takes, or "".
        """
        statement = Cookie(
            trail_key=self.signing.public,
            trail_name=self.name,
            region=region,
            store=store or self._derive(_STORE_LABEL + region.encode())[:16].hex(),
            tag_key=self._derive(_TAG_KEY_LABEL),
            replaces=replaces,
        )
        return signing.write(statement, names.trail_origin(self.trail), self.signing)

    def text(self) -> str:
        """What the file holds."""
        seed = base64.b64encode(self.seed).decode()
        name = json.dumps(self.name)
        return f"{_FIRST_LINE}\ntrail {self.trail}\nname {name}\nseed {seed}\n"

    def _derive(self, label: bytes) -> bytes:
        return hmac.digest(self.seed, label, hashlib.sha256)


def parse_trail_key(data: bytes, source: str) -> TrailKey:
    """Read the file's bytes. Pure.

    Raises:
        RejectedError: not such a file, or the seed is not the trail's; names `source`.
    """
    try:
        first, _, name, seed, _ = data.decode("ascii").split("\n")
        key = TrailKey(
            base64.b64decode(seed.removeprefix("seed "), validate=True),
            str(json.loads(name.removeprefix("name "))),
        )
        # The text has one form, and the trail's id in it is that of the seed.
        if first == _FIRST_LINE and len(key.seed) == SEED_BYTES and key.text().encode() == data:
            return key
    except ValueError:
        pass
    raise RejectedError(
        "trail-key-unreadable",
        Problem(0, source, "is not a trail's key, or is damaged: restore it from its backup"),
    )


class KeyHome:
    """The directory of a node's data, as far as the trail's key lies in it.

    All raise UnavailableError where the file system fails, and RejectedError for a damaged file.
    """

    def __init__(self, directory: Path, disk: Disk, offload: Offload) -> None:
        self.directory = directory.absolute()
        self._disk = disk
        self._offload = offload

    async def read(self) -> TrailKey | None:
        """The trail's key, or None where it is not here."""
        return await self._offload(self._translated, self._read_key)

    async def read_begun(self) -> TrailKey | None:
        """The key of a founding that was not finished, or None."""
        return await self._offload(self._translated, self._read_begun)

    async def begin(self, key: TrailKey) -> None:
        """Keep the key of a founding, durably, before anything is founded with it."""
        await self._offload(self._translated, lambda: self._begin(key.text().encode()))

    async def finish(self) -> None:
        """The founding is through: its key becomes the trail's key, durably."""
        await self._offload(self._translated, self._finish)

    async def give_up(self) -> None:
        """Drop the key of a founding of which nothing is stored anywhere."""
        await self._offload(self._translated, lambda: self._in_directory(self._remove_begun))

    def _translated(self, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except OSError as error:
            raise UnavailableError(f"{self.directory}: {error.strerror or error}") from error

    def _in_directory(self, work: Callable[[int], Result]) -> Result:
        root = self._disk.open_root(self.directory)
        try:
            return work(root)
        finally:
            self._disk.close(root)

    def _read_key(self) -> TrailKey | None:
        data = self._read(KEY_FILE)
        if data is None:
            return None
        if data == self._read(BEGUN_FILE):
            with contextlib.suppress(OSError):  # a founding died before its last step
                self._in_directory(self._remove_begun)
        return parse_trail_key(data, str(self.directory / KEY_FILE))

    def _read_begun(self) -> TrailKey | None:
        data = self._read(BEGUN_FILE)
        return None if data is None else parse_trail_key(data, str(self.directory / BEGUN_FILE))

    def _read(self, name: str) -> bytes | None:
        try:
            return self._in_directory(lambda root: self._disk.read(root, name, FILE_BYTES_MAX)[0])
        except FileNotFoundError:
            return None
        except ForeignError as error:
            if isinstance(error.__cause__, FileNotFoundError):  # a link to what is not there yet
                return None
            raise

    def _begin(self, data: bytes) -> None:
        make_directory(self._disk, self.directory)
        self._in_directory(lambda root: put_file(self._disk, root, BEGUN_FILE, data, PRIVATE_MODE))

    def _finish(self) -> None:
        def link(root: int) -> None:
            # Not rename: a key that appeared meanwhile is never overwritten.
            self._disk.link(root, BEGUN_FILE, KEY_FILE)
            self._disk.fsync(root)
            self._remove_begun(root)

        self._in_directory(link)

    def _remove_begun(self, root: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._disk.unlink(root, BEGUN_FILE)
        self._disk.fsync(root)
