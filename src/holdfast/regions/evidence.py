"""What the evidence of an archived unit says of a ledger's segments: names, and signed trailers.

For whoever needs no more of it: its other lines, and the leaves, are passed over. FORMAT.md,
section 15, has all of it.
"""

import io
import sys
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from holdfast.proof import MalformedError, statements
from holdfast.proof.names import SegmentName
from holdfast.proof.note import VerifierKey
from holdfast.regions.kinds import Trailer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LINE_BYTES_MAX = 32 << 20


class _Line(Struct, frozen=True):
    line: str = ""
    node: str = ""
    segment: str = ""
    trailer: str = ""


_LINES = msgspec.json.Decoder(_Line)


class Archived(Struct, frozen=True):
    """A segment. trailer: the note at the end of its bytes."""

    name: SegmentName
    trailer: bytes

    def root_before(self, key: VerifierKey) -> bytes:
        """Of the ledger before it, as its node signed it. key: the node's, by its ledger's origin.

        Raises:
            ProofError: the node did not sign that, or of another segment.
        """
        trailer = statements.verify(self.trailer, Trailer, key).statement
        if trailer.segment != self.name.unhashed:
            raise MalformedError(f"the trailer of segment {self.name.index} is another's")
        return trailer.root_before


def segments_of(data: bytes, node: str) -> list[Archived]:
    """A node's segments in an evidence object, in order. Raises MalformedError."""
    try:
        lines = (_LINES.decode(line) for line in _lines(data))
        return [
            Archived(SegmentName.parse(line.segment), line.trailer.encode())
            for line in lines
            if line.line == "segment" and line.node == node
        ]
    except (zstd.ZstdError, EOFError, msgspec.MsgspecError) as error:
        raise MalformedError(f"evidence cannot be read: {error}") from error


def _lines(data: bytes) -> Iterator[bytes]:
    with zstd.open(io.BytesIO(data), "rb") as file:
        while line := file.readline(LINE_BYTES_MAX):
            yield line
