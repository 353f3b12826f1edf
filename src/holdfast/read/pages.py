"""Single pages of a fold's column of records, which no library reads by themselves.

A row group holds 8 MB of records, a page 64 kB: who needs one record decompresses a page (0.1 ms)
instead of a row group. Parquet's own headers are read once, when an index is made; the index keeps
where each page's bytes lie. Only what `fold` writes is understood: version 1 data pages of
plain strings under zstd. Anything else is refused by name.

Source: the Parquet format's `parquet.thrift`, in Thrift's compact protocol.
"""

import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from msgspec import Struct

from holdfast.read.segments import SourceError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_PREFIX_BYTES = 4  # a string's length, before it
_STOP, _TRUE, _FALSE, _BINARY, _STRUCT = 0, 1, 2, 8, 12
_INTEGERS = (4, 5, 6)
_DATA_PAGE, _PLAIN, _RLE = 0, 0, 3

Numbers = npt.NDArray[np.int64]


class Page(Struct, frozen=True, array_like=True):
    """Where a page lies: `size` bytes of zstd from `offset` on, that hold rows [row, row + rows).

    crc: of these bytes, so that a page can be trusted without the rest of its file. raw_size:
    decompressed.
    """

    offset: int
    size: int
    crc: int
    raw_size: int
    row: int
    rows: int


def pages_of(path: Path, column: str) -> tuple[Page, ...]:
    """All pages of a column, in order.

    Raises:
        SourceError: it holds pages that are not as `fold` writes them.
    """
    found: list[Page] = []
    with pq.ParquetFile(path) as file, path.open("rb") as data:
        for group in range(file.num_row_groups):
            chunks = [
                file.metadata.row_group(group).column(n) for n in range(file.metadata.num_columns)
            ]
            (chunk,) = (chunk for chunk in chunks if chunk.path_in_schema == column)
            data.seek(chunk.data_page_offset)
            row = found[-1].row + found[-1].rows if found else 0
            found += _pages_in(data.read(chunk.total_compressed_size), chunk.data_page_offset, row)
    return tuple(found)


def _pages_in(chunk: bytes, offset: int, row: int) -> Iterator[Page]:
    at = 0
    while at < len(chunk):
        header, end = _fields(chunk, at)
        data = header.get(5)
        if header.get(1) != _DATA_PAGE or not isinstance(data, dict):
            raise SourceError("a fold holds another kind of page")
        if data.get(2) != _PLAIN or data.get(3) != _RLE:
            raise SourceError("a fold's page is encoded in another way")
        raw, size, rows = header[2], header[3], data[1]
        assert isinstance(raw, int)
        assert isinstance(size, int)
        assert isinstance(rows, int)
        crc = zlib.crc32(memoryview(chunk)[end : end + size])
        yield Page(offset + end, size, crc, raw, row, rows)
        at, row = end + size, row + rows


def read_page(path: str, page: Page) -> bytes:
    """What a page of a fold holds: each record behind 4 bytes that say its size.

    Raises:
        SourceError: it cannot be read, or holds something else.
    """
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (a third of the time)
            packed = os.pread(file.fileno(), page.size, page.offset)
    except OSError as error:
        raise SourceError(f"a fold cannot be read: {error}", path) from error
    if zlib.crc32(packed) != page.crc:
        raise SourceError(f"{path} does not hold what was written", path)
    data = zstd.decompress(packed)
    return data[_PREFIX_BYTES + int.from_bytes(data[:_PREFIX_BYTES], "little") :]


def records_at(page: bytes, sizes: Numbers, rows: Numbers) -> list[bytes] | None:
    """The records at some ascending rows of a page; None: it holds others.

    sizes: of its records, all up to the last of those rows.
    """
    starts = starts_in(sizes)
    begins, ends = starts[rows], starts[rows + 1]
    if ends[-1] > len(page):
        return None
    prefixes = np.frombuffer(page, np.uint8)[begins[:, np.newaxis] + np.arange(_PREFIX_BYTES)]
    if (prefixes.view("<u4")[:, 0] != sizes[rows]).any():
        return None
    begins = begins + _PREFIX_BYTES
    return [page[at:end] for at, end in zip(begins.tolist(), ends.tolist(), strict=True)]


def starts_in(sizes: Numbers) -> Numbers:
    """Where the records of a page begin, prefixes included, and where the last ends."""
    starts = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes.astype(np.int64) + _PREFIX_BYTES, out=starts[1:])
    return starts


# -- Thrift's compact protocol --------------------------------------------------------------------


def _fields(data: bytes, at: int) -> tuple[dict[int, object], int]:
    """A struct: its values by their numbers, and where it ends."""
    found: dict[int, object] = {}
    number = 0
    while (head := data[at]) != _STOP:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _integer(data, at)
        found[number], at = _value(data, at, head & 15)
    return found, at + 1


def _value(data: bytes, at: int, kind: int) -> tuple[object, int]:
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, at
    if kind in _INTEGERS:
        return _integer(data, at)
    if kind == _BINARY:
        size, at = _varint(data, at)
        return data[at : at + size], at + size
    if kind == _STRUCT:
        return _fields(data, at)
    raise SourceError(f"a fold's page has a header that is not understood: kind {kind}")


def _integer(data: bytes, at: int) -> tuple[int, int]:
    number, at = _varint(data, at)
    return (number >> 1) ^ -(number & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
