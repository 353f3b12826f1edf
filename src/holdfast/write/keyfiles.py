"""A node's directory: `node.key`, readable by its owner only, and its certificate beside it.

`node.cert` was made elsewhere, by `holdfast keys admit`, and put there by a person; `self.cert` is
what the node made where the trail's key was at hand. That they have two names tells a node that was
admitted from one whose trail key was lost.

Each file is written aside, fsynced and renamed into place, the key first: dying in between leaves
a key with the certificate of the one before, which the next start sees and replaces. A key that
gives way is kept as `node-<its id>.key`: its ledger may have to be spoken for.
"""

import base64
import contextlib
from pathlib import Path

from holdfast.errors import Problem, RejectedError, UnavailableError
from holdfast.proof import names
from holdfast.regions.disk import PRIVATE_MODE, Disk, make_directory, put_file
from holdfast.regions.signing import public_key

KEY_FILE = "node.key"
CERTIFICATE_FILE = "node.cert"
SELF_MADE_FILE = "self.cert"
FILE_BYTES_MAX = 64 * 1024
SEED_BYTES = 32

_FIRST_LINE = "holdfast-node-key/1"


class KeyFiles:
    """A `Keyring` in a directory. Raises UnavailableError where the file system fails."""

    def __init__(self, directory: Path, disk: Disk) -> None:
        self.directory = directory.absolute()
        self._disk = disk

    def read(self) -> tuple[bytes | None, bytes | None]:
        """As the protocol says.

        Raises:
            RejectedError: the key's file is damaged.
        """
        try:
            key = self._read(KEY_FILE)
            certificate = self._read(CERTIFICATE_FILE) or self._read(SELF_MADE_FILE)
        except OSError as error:
            raise self._unavailable(error) from error
        return None if key is None else self._parse(key), certificate

    def is_admitted(self) -> bool:
        """Whether the node's certificate was made elsewhere."""
        try:
            return self._read(CERTIFICATE_FILE) is not None
        except OSError as error:
            raise self._unavailable(error) from error

    def write(self, seed: bytes, certificate: bytes | None) -> None:
        """As the protocol says."""
        try:
            make_directory(self._disk, self.directory)
            root = self._disk.open_root(self.directory)
            try:
                self._set_aside(root, seed)
                put_file(self._disk, root, KEY_FILE, _text(seed), PRIVATE_MODE)
                if certificate is not None:
                    with contextlib.suppress(FileNotFoundError):
                        self._disk.unlink(root, CERTIFICATE_FILE)  # it is not of this key
                    put_file(self._disk, root, SELF_MADE_FILE, certificate, PRIVATE_MODE)
            finally:
                self._disk.close(root)
        except OSError as error:
            raise self._unavailable(error) from error

    def _read(self, name: str) -> bytes | None:
        try:
            root = self._disk.open_root(self.directory)
        except FileNotFoundError:
            return None
        try:
            return self._disk.read(root, name, FILE_BYTES_MAX)[0]
        except FileNotFoundError:
            return None
        finally:
            self._disk.close(root)

    def _set_aside(self, root: int, seed: bytes) -> None:
        old = self._read(KEY_FILE)
        if old is None or self._parse(old) == seed:
            return
        node = names.node_id(public_key(self._parse(old)))
        with contextlib.suppress(FileExistsError):
            self._disk.link(root, KEY_FILE, f"node-{node}.key")

    def _parse(self, data: bytes) -> bytes:
        with contextlib.suppress(ValueError):
            _, seed, _ = data.decode("ascii").split("\n")
            found = base64.b64decode(seed.removeprefix("seed "), validate=True)
            if len(found) == SEED_BYTES and _text(found) == data:
                return found
        path = str(self.directory / KEY_FILE)
        raise RejectedError("node-key-unreadable", Problem(0, path, "is not a node's key"))

    def _unavailable(self, error: OSError) -> UnavailableError:
        return UnavailableError(f"{self.directory}: {error.strerror or error}")


def _text(seed: bytes) -> bytes:
    return f"{_FIRST_LINE}\nseed {base64.b64encode(seed).decode()}\n".encode()


def node_directory(data: Path, number: int) -> Path:
    """Where a node's files lie below a data directory; number: of the process that writes."""
    return data / "nodes" / str(number)


def node_directories(data: Path) -> list[Path]:
    """Those of every node that has files there, in the order of their numbers."""
    found = (data / "nodes").glob("*/")
    return sorted((path for path in found if path.name.isdecimal()), key=lambda p: int(p.name))
