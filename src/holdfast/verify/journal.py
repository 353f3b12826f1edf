"""What a long verification has read already, so that one that was interrupted can go on.

A file of JSON lines: what is verified, then a line a batch, under the hash of everything that the
batch was to hold against what it read (names, holders, roots before). So a line counts only for the
very question that it answered; listings and notes are always looked at anew. A line that a crash
cut short is dropped, and its batch is read again.
"""

import hashlib
from pathlib import Path
from types import TracebackType
from typing import IO

import msgspec
from msgspec import Struct

from holdfast.errors import Problem, RejectedError
from holdfast.verify.batch import Batch, Done

FORMAT = "holdfast-verify/1"


class _Head(Struct, frozen=True):
    format: str
    trail: str


class _Line(Struct, frozen=True):
    batch: str
    done: Done


_HEAD = msgspec.json.Decoder(_Head)
_LINES = msgspec.json.Decoder(_Line)


class Journal:
    """One file, open for as long as the verification runs."""

    def __init__(self, path: Path, trail: str) -> None:
        """Read what is there, or begin.

        Raises:
            RejectedError: it is none, or another trail's. OSError: it cannot be read or written.
        """
        self._done: dict[str, Done] = {}
        self._file = path.open("ab+")
        try:
            self._read(path, _Head(FORMAT, trail))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def find(self, batch: Batch) -> Done | None:
        """What came of a batch, if it was read before."""
        return self._done.get(_hash(batch))

    def keep(self, batch: Batch, done: Done) -> None:
        """Write down what came of a batch."""
        self._write(_Line(_hash(batch), done))

    def _read(self, path: Path, head: _Head) -> None:
        file: IO[bytes] = self._file
        file.seek(0)
        whole = 0
        for number, line in enumerate(file):
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            if number == 0:
                _check_head(path, line, head)
            else:
                try:
                    read = _LINES.decode(line)
                except msgspec.MsgspecError:
                    continue  # whatever it was, its batch is read again
                self._done[read.batch] = read.done
        file.truncate(whole)
        if not whole:
            self._write(head)

    def _write(self, value: Struct) -> None:
        self._file.write(msgspec.json.encode(value) + b"\n")
        self._file.flush()


def _check_head(path: Path, line: bytes, head: _Head) -> None:
    try:
        found = _HEAD.decode(line)
    except msgspec.MsgspecError:
        found = None
    if found != head:
        what = (
            f"of the trail {found.trail}" if found and found.format == FORMAT else "something else"
        )
        why = f"{path} is {what}, not a journal of verifying {head.trail}"
        raise RejectedError("usage", Problem(0, "--resume", why))


def _hash(batch: Batch) -> str:
    """Of the question, without the secret that answering it takes."""
    asked = (batch.node, batch.node_key, batch.trail, batch.depth, batch.targets)
    return hashlib.sha256(msgspec.msgpack.encode(asked)).hexdigest()
