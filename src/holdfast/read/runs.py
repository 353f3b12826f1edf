"""One immutable file of the id index: keys in order, where each event lies, and a filter.

    keys    n x uint64, ascending           places  n x uint64: node number << 44 | position
    filter  w x uint64                      footer  JSON, then its CRC-32, its length and a magic

A key is a hash already, so its upper half chooses a word of the filter and its lower bits the bits
in it: one look at one word tells that a run does not hold a key, in 97 of 100 cases.

Files are written beside their final name, made durable, renamed. A footer names the files that it
`replaces`: a crash before those are deleted leaves both, and opening deletes what is replaced.
"""

import os
import zlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from holdfast.errors import CorruptError
from holdfast.model import NodeId
from holdfast.read import footer as footers
from holdfast.read.sources import Stretch

UInt64s = npt.NDArray[np.uint64]

POSITION_BITS = 44
POSITION_MASK = (1 << POSITION_BITS) - 1
NODES_MAX = 1 << (64 - POSITION_BITS)
_MAGIC = b"hf-ids-1"
_WORD_BITS = 64
_FILTER_BITS = 12  # a key; 3 % of absent keys pass
_PROBES = (0, 6, 12, 18)  # shifts of a key for its bits in a word
_CHUNK_KEYS = 1 << 19  # what a merge holds in memory at a time
_CRC_BYTES = 1 << 22
_ONE = np.uint64(1)


class Footer(Struct, frozen=True):
    """What is in a run.

    nodes: by number; those of a later run begin with those of every earlier one. covered: the
    positions whose keys are all here.
    """

    count: int
    words: int
    crc: int
    nodes: tuple[NodeId, ...]
    covered: tuple[Stretch, ...]
    replaces: tuple[str, ...]


class Run:
    """One open file."""

    def __init__(self, path: Path) -> None:
        """Open and check every byte.

        Raises:
            CorruptError: not a whole run.
            OSError: it cannot be read.
        """
        self.path = path
        data = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)
        self.footer, body = _split(data)
        if checksum(body) != self.footer.crc:
            raise CorruptError(f"{path.name} is damaged")
        count, words = self.footer.count, self.footer.words
        whole = body.view("<u8")
        self.keys: UInt64s = whole[:count]
        self.places: UInt64s = whole[count : 2 * count]
        self._filter: UInt64s = whole[2 * count : 2 * count + words]
        # One number out of a view costs a third of one out of an array.
        self._key_at, self._place_at, self._word_at = (
            array.data for array in (self.keys, self.places, self._filter)
        )

    def __len__(self) -> int:
        return self.footer.count

    def find(self, key: int) -> list[int]:
        """The packed places of a key."""
        mask = 0
        for shift in _PROBES:
            mask |= 1 << (key >> shift & 63)
        if self._word_at[((key >> 32) * self.footer.words) >> 32] & mask != mask:
            return []
        return self._places_from(bisect_left(self._key_at, key), key)

    def probe(self, keys: UInt64s, bits: UInt64s) -> Iterator[tuple[int, list[int]]]:
        """The same for many keys: pairs of (index in `keys`, packed places, at least one).

        bits: `filter_bits(keys)`, the same for all runs.
        """
        words = self._filter[filter_words(keys, self.footer.words)]
        maybe = np.flatnonzero((words & bits) == bits)
        if len(maybe):
            starts = np.searchsorted(self.keys, keys[maybe])
            for index, start in zip(maybe.tolist(), starts.tolist(), strict=True):
                if places := self._places_from(start, int(keys[index])):
                    yield index, places

    def _places_from(self, start: int, key: int) -> list[int]:
        end = start
        while end < self.footer.count and self._key_at[end] == key:
            end += 1
        packed: list[int] = self._place_at[start:end].tolist()
        return packed


def filter_words(keys: UInt64s, words: int) -> npt.NDArray[np.int64]:
    """Which word of a filter each key belongs to; ascending where the keys are."""
    return (((keys >> np.uint64(32)) * np.uint64(words)) >> np.uint64(32)).astype(np.int64)


def filter_bits(keys: UInt64s) -> UInt64s:
    """The bits of each key in its word."""
    bits = np.zeros(len(keys), np.uint64)
    for shift in _PROBES:
        bits |= _ONE << ((keys >> np.uint64(shift)) & np.uint64(63))
    return bits


def write_run(
    path: Path,
    parts: Sequence[tuple[UInt64s, UInt64s]],
    nodes: Sequence[NodeId],
    covered: Sequence[Stretch],
    replaces: Sequence[str] = (),
) -> None:
    """Merge (keys ascending, places) into one file, durable when this returns.

    Raises:
        OSError: it cannot be written.
    """
    writer = _Writer(path, sum(len(keys) for keys, _ in parts))
    for keys, places in _merged(parts):
        writer.put(keys, places)
    writer.finish(nodes, covered, replaces)


class _Writer:
    """Fills a file of known size through a map, so that its size costs no memory of ours."""

    def __init__(self, path: Path, count: int) -> None:
        self._path = path
        self._temporary = path.with_name(path.name + ".tmp")
        self._count = count
        self._words = count * _FILTER_BITS // _WORD_BITS + 1
        size = (2 * count + self._words) * 8
        with self._temporary.open("wb") as file:
            # Not a hole: writing into a mapped one while the disk is full kills the process.
            os.posix_fallocate(file.fileno(), 0, size)
        self._whole = np.memmap(self._temporary, "<u8", "r+")
        self._filter = self._whole[2 * count :]
        self._done = 0

    def put(self, keys: UInt64s, places: UInt64s) -> None:
        end = self._done + len(keys)
        self._whole[self._done : end] = keys
        self._whole[self._count + self._done : self._count + end] = places
        self._done = end
        words = filter_words(keys, self._words)
        starts = np.flatnonzero(np.r_[True, words[1:] != words[:-1]])
        self._filter[words[starts]] |= np.bitwise_or.reduceat(filter_bits(keys), starts)

    def finish(
        self, nodes: Sequence[NodeId], covered: Sequence[Stretch], replaces: Sequence[str]
    ) -> None:
        assert self._done == self._count
        self._whole.flush()
        footer = msgspec.json.encode(
            Footer(
                count=self._count,
                words=self._words,
                crc=checksum(self._whole.view(np.uint8)),
                nodes=tuple(nodes),
                covered=tuple(covered),
                replaces=tuple(replaces),
            )
        )
        with self._temporary.open("ab") as file:
            file.write(footers.closed(footer, _MAGIC))
            file.flush()
            os.fsync(file.fileno())
        self._temporary.replace(self._path)


def _merged(parts: Sequence[tuple[UInt64s, UInt64s]]) -> Iterator[tuple[UInt64s, UInt64s]]:
    """The parts' pairs in order of their keys, a bounded number at a time.

    Keys are hashes, so equal ranges of values hold about equal numbers of them.
    """
    total = sum(len(keys) for keys, _ in parts)
    steps = max(1, -(-total // _CHUNK_KEYS))
    starts = [0] * len(parts)
    for step in range(1, steps + 1):
        if step < steps:
            bound = np.uint64((step << 64) // steps)
            ends = [int(np.searchsorted(keys, bound)) for keys, _ in parts]
        else:
            ends = [len(keys) for keys, _ in parts]
        some = [slice(start, end) for start, end in zip(starts, ends, strict=True)]
        keys = np.concatenate([part[0][s] for part, s in zip(parts, some, strict=True)])
        places = np.concatenate([part[1][s] for part, s in zip(parts, some, strict=True)])
        starts = ends
        if len(keys):
            order = np.argsort(keys, kind="stable")  # merges what is in order already
            yield keys[order], places[order]


def _split(data: npt.NDArray[np.uint8]) -> tuple[Footer, npt.NDArray[np.uint8]]:
    tail = data[-footers.TAIL_BYTES :].tobytes()
    start = footers.start_of(tail, len(data), _MAGIC, "a run")
    text = data[start : -footers.TAIL_BYTES].tobytes()
    footers.check(text, tail, "a run")
    try:
        footer = msgspec.json.decode(text, type=Footer)
    except msgspec.MsgspecError as error:
        raise CorruptError(f"a run has a damaged footer: {error}") from error
    if (2 * footer.count + footer.words) * 8 != start or footer.words < 1:
        raise CorruptError("a run has another size than its footer says")
    return footer, data[:start]


def checksum(data: npt.NDArray[np.uint8]) -> int:
    """CRC-32 of bytes that may be larger than memory."""
    crc = 0
    for start in range(0, len(data), _CRC_BYTES):
        crc = zlib.crc32(data[start : start + _CRC_BYTES].data, crc)
    return crc
