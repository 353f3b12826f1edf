"""Kinds of bodies, and decompression that ends."""

import gzip
import random
import sys
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import RejectedError
from holdfast.serve.body import MEMBERS_MAX, decode, encoding
from holdfast.write.admit import media_type

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LIMIT = 1000
SKIPPABLE_FRAME = bytes.fromhex("502a4d1800000000")


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (b"application/json", "application/json"),
        (b"Application/JSON; charset=UTF-8", "application/json"),
        (b'application/json;charset="utf-8"', "application/json"),
        (b"application/x-ndjson", "application/x-ndjson"),
        (b"application/jsonl", "application/jsonl"),
    ],
)
def test_kinds_of_bodies_are_told_by_their_type(header: bytes, kind: str) -> None:
    assert media_type(header.decode("latin-1")) == kind


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"text/plain",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=x",
        b"application/json; charset=latin-1",
        b"\xff\xfe",
    ],
)
def test_types_that_a_foreign_page_could_send_unasked_are_refused(header: bytes) -> None:
    with pytest.raises(RejectedError) as refused:
        media_type(header.decode("latin-1"))

    assert refused.value.kind == "unsupported-media-type"
    assert refused.value.problems[0].field == "Content-Type"


@pytest.mark.parametrize("header", [b"br", b"gzip, zstd", b"deflate"])
def test_other_encodings_are_refused(header: bytes) -> None:
    with pytest.raises(RejectedError, match="Content-Encoding"):
        encoding(header)


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=4))
def test_members_that_follow_each_other_are_joined(parts: list[bytes]) -> None:
    zipped = b"".join(map(gzip.compress, parts))
    zstded = b"".join(map(zstd.compress, parts))

    assert decode(zipped, "gzip", LIMIT) == b"".join(parts)
    assert decode(zstded, "zstd", LIMIT) == b"".join(parts)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_bomb_is_refused_before_it_goes_off(coding: str) -> None:
    zeros = bytes(50_000_000)
    bomb = gzip.compress(zeros) if coding == "gzip" else zstd.compress(zeros)

    with pytest.raises(RejectedError) as refused:
        decode(bomb, coding, LIMIT)

    assert refused.value.kind == "too-large"


def test_many_small_members_are_one_body_to_the_limit() -> None:
    with pytest.raises(RejectedError) as refused:
        decode(gzip.compress(bytes(LIMIT // 2)) * 3, "gzip", LIMIT)

    assert refused.value.kind == "too-large"


@pytest.mark.parametrize(
    ("coding", "member"), [("gzip", gzip.compress(b"", mtime=0)), ("zstd", SKIPPABLE_FRAME)]
)
def test_hundreds_of_thousands_of_empty_members_are_refused(coding: str, member: bytes) -> None:
    with pytest.raises(RejectedError, match="more than 1,000") as refused:
        decode(member * 300_000, coding, LIMIT)

    assert refused.value.kind == "too-large"


def test_as_many_members_as_the_limit_allows_are_taken() -> None:
    assert decode(gzip.compress(b"x") * MEMBERS_MAX, "gzip", LIMIT) == b"x" * MEMBERS_MAX
    assert decode(zstd.compress(b"x") * MEMBERS_MAX, "zstd", LIMIT) == b"x" * MEMBERS_MAX


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_members_longer_than_a_piece_are_joined(coding: str) -> None:
    compress = gzip.compress if coding == "gzip" else zstd.compress
    contents = [random.Random(size).randbytes(size) for size in (200_000, 0, 65_500, 300_000)]
    contents.append(bytes(1_000_000))

    body = b"".join(compress(each) for each in contents)
    whole = b"".join(contents)

    assert decode(body, coding, len(whole)) == whole
    with pytest.raises(RejectedError, match="cut off"):
        decode(body[:-1], coding, len(whole))


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    data = bytes(LIMIT)

    assert decode(gzip.compress(data), "gzip", LIMIT) == data
    assert decode(zstd.compress(data), "zstd", LIMIT) == data


def test_a_frame_that_asks_for_a_huge_window_is_refused() -> None:
    options = {
        int(zstd.CompressionParameter.window_log): 27,
        int(zstd.CompressionParameter.compression_level): 1,
    }
    frame = zstd.ZstdCompressor(options=options)
    data = frame.compress(bytes(100)) + frame.flush()

    with pytest.raises(RejectedError, match="not zstd"):
        decode(data, "zstd", LIMIT)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_body_that_is_cut_off_is_malformed(coding: str) -> None:
    whole = gzip.compress(b"x" * 500) if coding == "gzip" else zstd.compress(b"x" * 500)

    for end in range(len(whole)):
        with pytest.raises(RejectedError) as refused:
            decode(whole[:end], coding, LIMIT)
        assert refused.value.kind == "malformed"


@given(st.binary(max_size=100))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    for coding in ("gzip", "zstd"):
        with suppress(RejectedError):
            decode(data, coding, LIMIT)


def test_a_raw_deflate_stream_is_not_gzip() -> None:
    with pytest.raises(RejectedError, match="not gzip"):
        decode(zlib.compress(b"x"), "gzip", LIMIT)
