"""Reading files: compression, lines, documents, damage."""

import gzip
import io
import json
import sys

import pytest

from holdfast.errors import Problem
from holdfast.receivers.files import read
from holdfast.receivers.formats import Piece

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LINES = b'{"n":1}\n\n{"n":2}\r\n  {"n":3}'
PIECES = [Piece(1, b'{"n":1}'), Piece(3, b'{"n":2}'), Piece(4, b'{"n":3}')]
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"


def pieces(data: bytes, piece_bytes_max: int = 1000) -> list[Piece | Problem]:
    return list(read(io.BytesIO(data), piece_bytes_max))


@pytest.mark.parametrize(
    "data",
    [
        LINES,
        LINES + b"\n",
        b"\xef\xbb\xbf" + LINES,
        gzip.compress(LINES, mtime=0),
        gzip.compress(LINES[:10], mtime=0) + gzip.compress(LINES[10:], mtime=0),
        zstd.compress(LINES),
        zstd.compress(LINES[:10]) + SKIPPABLE + zstd.compress(LINES[10:]) + SKIPPABLE,
    ],
)
def test_lines_are_read_whatever_the_compression(data: bytes) -> None:
    assert pieces(data) == PIECES


@pytest.mark.parametrize("data", [b"", b"\n\n", gzip.compress(b"", mtime=0), zstd.compress(b"")])
def test_an_empty_file_has_no_pieces(data: bytes) -> None:
    assert pieces(data) == []


@pytest.mark.parametrize("indent", [1, 4])
def test_a_document_over_several_lines_is_one_piece(indent: int) -> None:
    document = {"Records": [{"eventID": "1"}, {"eventID": "2"}]}

    (piece,) = pieces(json.dumps(document, indent=indent).encode())

    assert isinstance(piece, Piece)
    assert (piece.line, json.loads(piece.data)) == (1, document)


def test_values_over_several_lines_may_follow_each_other() -> None:
    values: list[object] = [{"a": [1, 2]}, {"a": [1, 2]}, {"b": 1}]
    data = "\n" + "\n".join(json.dumps(value, indent=1) for value in values)

    found = pieces(data.encode())

    assert [json.loads(p.data) for p in found if isinstance(p, Piece)] == values
    assert [p.line for p in found] == [2, 8, 14]


def test_an_array_whose_elements_have_a_line_each_is_one_piece() -> None:
    (piece,) = pieces(b'[{"a":1},\n{"a":2}]')

    assert isinstance(piece, Piece) and json.loads(piece.data) == [{"a": 1}, {"a": 2}]


def test_a_broken_document_comes_out_whole_for_its_mapping_to_name() -> None:
    assert pieces(b'{\n "a": 1,\n "b": ') == [Piece(1, b'{\n "a": 1,\n "b": ')]


def test_a_line_that_is_too_long_is_named_and_left_out() -> None:
    data = b'{"n":1}\n' + b"x" * 5000 + b'\n{"n":3}\n'

    assert pieces(data) == [
        Piece(1, b'{"n":1}'),
        Problem(2, "", "longer than 1,000 bytes"),
        Piece(3, b'{"n":3}'),
    ]


def test_a_document_that_is_too_long_is_named() -> None:
    (problem,) = pieces(b'{"Records":[\n' + b"1,\n" * 1000)

    assert isinstance(problem, Problem) and "split it" in problem.reason


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress])
def test_a_file_that_is_cut_off_is_read_up_to_there_and_the_damage_named(compress: object) -> None:
    assert callable(compress)
    # Incompressible, so that what is left of the file holds some of the lines.
    lines = b"".join(b'{"n":"%b"}\n' % (b"%x" % pow(3, n, 2**400)) for n in range(1, 20_000, 7))
    data = compress(lines)

    *found, problem = pieces(data[: len(data) // 2])

    assert len(found) > 100
    assert all(isinstance(piece, Piece) for piece in found[:-1])
    assert isinstance(problem, Problem) and "damaged" in problem.reason
    assert problem.line > 100


def test_a_file_with_garbage_behind_is_read_and_the_garbage_named() -> None:
    *found, problem = pieces(gzip.compress(LINES + b"\n") + b"garbage")

    assert found == PIECES
    assert isinstance(problem, Problem)
