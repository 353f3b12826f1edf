import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.proof import (
    MalformedError,
    MismatchError,
    ProofError,
    SignatureError,
    ledger,
    merkle,
    tenants,
)
from holdfast.proof.ledger import EMPTY_END
from holdfast.proof.names import SegmentName
from holdfast.regions import segment, signing
from holdfast.regions.kinds import Trailer
from holdfast.regions.segment import Opened
from holdfast.regions.signing import SigningKey
from holdfast.write import seal
from holdfast.write.seal import Encoded
from tests.machine import program
from tests.proof import naive, samples
from tests.proof.samples import GROUPS, NODE, NODE_KEY, ORIGIN, STARTED_US, TAG_KEY

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SEALED = samples.seal()
FRAME_END = len(SEALED.data) - segment.trailer_bytes(SEALED.data)
FRAME, TRAILER = SEALED.data[:FRAME_END], SEALED.data[FRAME_END:]
CONTENT = b"".join(record + b"\n" for record in SEALED.records)

tenant_names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
actions = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1)


def open_(data: bytes, name: SegmentName) -> Opened:
    return segment.verify(data, name, NODE_KEY.public, ORIGIN)


def named(data: bytes, name: SegmentName = SEALED.name) -> SegmentName:
    """The name that bytes would have if the node had stored them."""
    return dataclasses.replace(name, sha256=hashlib.sha256(data).digest())


def naive_fault(data: bytes, name: SegmentName) -> str:
    return naive.segment_fault(data, name.text, NODE_KEY.public, ORIGIN, TAG_KEY)


def packed(content: bytes, **options: int) -> bytes:
    """A zstd frame, as another writer might make it."""
    given: dict[int, int] = {zstd.CompressionParameter.checksum_flag: 1}
    given |= {zstd.CompressionParameter[key]: value for key, value in options.items()}
    return zstd.compress(content, options=given)


def whole(frame: bytes, **change: object) -> tuple[bytes, SegmentName]:
    """A segment that its own node signed with this frame, and its name."""
    trailer = segment.read_trailer(SEALED.data).statement
    trailer = dataclasses.replace(trailer, frame=naive.sha(frame), **change)  # type: ignore[arg-type]
    return ended(frame, signing.write(trailer, ORIGIN, NODE_KEY))


def ended(frame: bytes, signed: bytes) -> tuple[bytes, SegmentName]:
    length = (len(signed) + 4).to_bytes(4, "little")
    data = frame + b"\x50\x2a\x4d\x18" + length + signed + length
    return data, named(data)


def forged(groups: Sequence[tuple[str, Sequence[bytes]]], root: bytes | None = None) -> Encoded:
    """A segment that its own node signed, of (tenant, records) as given, whatever they are."""
    end, content, members = EMPTY_END, b"", []
    for tenant, records in groups:
        salt = segment.tenant_salt(TAG_KEY, tenant)
        members.append((tenants.tag(salt, NODE, 0), len(records)))
        content += b"".join(record + b"\n" for record in records)
    count = sum(count for _, count in members)
    leaves = naive.segment_leaves(TAG_KEY, NODE, 0, {t: list(r) for t, r in groups})
    made = root or naive.tree([leaf.encode() for leaf in leaves])
    name = SegmentName(0, 1, 0, count, len(members), STARTED_US, made, bytes(32))
    frame = packed(content)
    trailer = Trailer(name.unhashed, naive.sha(frame), end.root, tuple(members))
    data, _ = ended(frame, signing.write(trailer, ORIGIN, NODE_KEY))
    return Encoded(named(data, name), data, (), ())


def by_tag(groups: Mapping[str, Sequence[bytes]]) -> list[tuple[str, Sequence[bytes]]]:
    """In stored order."""
    tags = {t: tenants.tag(segment.tenant_salt(TAG_KEY, t), NODE, 0) for t in groups}
    return sorted(groups.items(), key=lambda each: tags[each[0]])


@settings(max_examples=50)
@given(st.dictionaries(tenant_names, actions, min_size=1, max_size=6))
def test_a_segment_opens_to_what_was_sealed(given: dict[str, list[str]]) -> None:
    groups = {
        tenant: [json.dumps({"tenant": tenant, "action": each}).encode() for each in found]
        for tenant, found in given.items()
    }

    sealed = samples.seal(EMPTY_END, groups)
    opened = open_(sealed.data, sealed.name)
    segment.verify_tenants(opened, TAG_KEY, NODE)

    assert opened.records == sealed.records
    assert opened.records == tuple(r for tenant, _ in sealed.tenants for r in groups[tenant])
    assert sealed.tenants == tuple((t, len(records)) for t, records in by_tag(groups))
    assert naive_fault(sealed.data, sealed.name) == ""


def test_segments_continue_their_ledger_each_committing_to_all_before() -> None:
    sealed, ends = samples.ledger_of(5)

    for each, before, after in zip(sealed, ends, ends[1:], strict=False):
        trailer = segment.verify_trailer(each.data, each.name, NODE_KEY.public, ORIGIN)

        assert trailer.root_before == before.root
        assert ledger.extend(before, each.name) == after
    leaves = [each.name.text.encode() for each in sealed]
    assert ends[-1].root == naive.tree(leaves)


def test_any_changed_byte_of_a_segment_fails() -> None:
    for at in range(len(SEALED.data)):
        changed = SEALED.data[:at] + bytes([SEALED.data[at] ^ 1]) + SEALED.data[at + 1 :]

        with pytest.raises(MismatchError, match="hash"):
            open_(changed, SEALED.name)


def test_any_changed_byte_fails_even_if_the_name_is_made_to_fit() -> None:
    for at in range(len(SEALED.data)):
        changed = SEALED.data[:at] + bytes([SEALED.data[at] ^ 4]) + SEALED.data[at + 1 :]
        name = named(changed)

        with pytest.raises(ProofError):
            segment.verify_tenants(open_(changed, name), TAG_KEY, NODE)
        assert naive_fault(changed, name) != ""


@given(st.binary(max_size=400), st.sampled_from([b"", FRAME, FRAME[:-3]]))
def test_arbitrary_bytes_are_refused(data: bytes, before: bytes) -> None:
    tried = before + data
    with pytest.raises(ProofError):
        open_(tried, named(tried))
    with pytest.raises(ProofError):
        segment.read_trailer(tried)


@given(st.binary(max_size=60), st.integers(0, len(FRAME)))
def test_arbitrary_bytes_before_a_good_trailer_are_refused(data: bytes, cut: int) -> None:
    for tried in (data + TRAILER, FRAME[:cut] + data + FRAME[cut + 1 :] + TRAILER):
        if tried == SEALED.data:
            continue
        with pytest.raises(ProofError):
            segment.verify_tenants(open_(tried, named(tried)), TAG_KEY, NODE)


@pytest.mark.parametrize(
    "change",
    [
        {"index": 1, "first": 1},
        {"epoch": 2},
        {"first": 1},
        {"count": 9},
        {"tenants": 2},
        {"sealed_us": STARTED_US},
        {"root": bytes(32)},
    ],
)
def test_any_other_name_for_the_same_bytes_fails(change: dict[str, int]) -> None:
    name = dataclasses.replace(SEALED.name, **change)  # type: ignore[arg-type]

    with pytest.raises(MismatchError):
        open_(SEALED.data, name)


def test_another_nodes_segment_is_refused() -> None:
    other = samples.CLOSER_KEY

    with pytest.raises(SignatureError):
        segment.verify(SEALED.data, SEALED.name, other.public, other.name)
    with pytest.raises(SignatureError):
        segment.verify(SEALED.data, SEALED.name, other.public, ORIGIN)


def test_a_segment_that_speaks_of_another_ledger_is_refused() -> None:
    of_other = signing.write(
        segment.read_trailer(SEALED.data).statement, samples.CLOSER_KEY.name, NODE_KEY
    )

    with pytest.raises(SignatureError, match="signed by another"):
        open_(*ended(FRAME, of_other))


def test_another_frame_under_a_good_trailer_is_refused_without_decompressing() -> None:
    data = packed(CONTENT, compression_level=19) + TRAILER

    with pytest.raises(MismatchError, match="trailer"):
        segment.verify_trailer(data, named(data), NODE_KEY.public, ORIGIN)


def test_a_trailer_that_somebody_else_signed_too_is_refused() -> None:
    (line,) = signing.sign("x\n", samples.CLOSER_KEY).split(b"\n\n")[1:]
    data, name = ended(FRAME, TRAILER[8:-4] + line)

    with pytest.raises(MalformedError, match="one signature"):
        segment.verify_trailer(data, name, NODE_KEY.public, ORIGIN)
    assert "signature" in naive_fault(data, name)


# The frame


@pytest.mark.parametrize(
    "frame",
    [
        packed(CONTENT),
        packed(CONTENT, compression_level=19),
        packed(CONTENT, compression_level=3, window_log=10),
    ],
)
def test_the_level_of_compression_is_free(frame: bytes) -> None:
    data, name = whole(frame)

    segment.verify_tenants(open_(data, name), TAG_KEY, NODE)

    assert naive_fault(data, name) == ""


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        FRAME * 2,
        FRAME + packed(b"x"),
        packed(CONTENT, checksum_flag=0),
        packed(CONTENT, content_size_flag=0),
        packed(b""),
        packed(CONTENT[:-1]),
        packed(b"\n" + CONTENT),
        packed(CONTENT + b"\n"),
        packed(CONTENT + b"{}"),
        b"\x50\x2a\x4d\x18\0\0\0\0" + FRAME,
        FRAME[:-1],
        FRAME + b"\0",
    ],
)
def test_a_frame_of_another_form_is_refused_by_both_readers(frame: bytes) -> None:
    data, name = whole(frame)

    with pytest.raises(MalformedError):
        open_(data, name)
    assert naive_fault(data, name) != ""


def test_a_frame_that_needs_too_much_memory_is_refused_before_it_is_decoded() -> None:
    large = bytes(segment.DECODED_BYTES_MAX + 1)
    wide = packed(CONTENT, window_log=24, content_size_flag=1)
    header_only = bytes.fromhex("28b52ffd" + "c4" + "70" + "ffffff0000000000")  # 16 MiB window

    for frame in (packed(large), header_only + bytes(20)):
        data, name = whole(frame)
        with pytest.raises(MalformedError, match="zstd frame"):
            open_(data, name)
        assert "frame" in naive_fault(data, name)
    assert open_(*whole(wide)).records == SEALED.records  # single segment: content is small


@pytest.mark.parametrize("bit", [0x01, 0x02, 0x08, 0x10])
def test_a_frame_with_a_bit_that_must_be_clear_is_refused_by_its_header(bit: int) -> None:
    data, name = whole(FRAME[:4] + bytes([FRAME[4] | bit]) + FRAME[5:])

    with pytest.raises(MalformedError, match="dictionary"):
        open_(data, name)
    assert naive_fault(data, name) == "frame's flags"


def test_a_frame_without_a_size_is_refused_by_its_header() -> None:
    with pytest.raises(MalformedError, match="no checksum or size"):
        open_(*whole(packed(CONTENT, content_size_flag=0)))


def test_a_frame_whose_window_is_its_whole_content_may_hold_8_mib() -> None:
    for size, refused in ((8 << 20, False), ((8 << 20) + 1, True)):
        frame = packed(bytes(size), window_log=24)
        fault = naive.frame_content(frame[:-4]) if refused else ""
        with pytest.raises(MalformedError, match="window" if refused else "lines"):
            open_(*whole(frame))
        assert fault == ("frame's size" if refused else "")


def test_a_frame_that_lies_about_its_size_is_refused() -> None:
    at = 5 if FRAME[4] & 0x20 else 6
    lying = FRAME[:at] + bytes([FRAME[at] ^ 1]) + FRAME[at + 1 :]

    with pytest.raises(MalformedError):
        open_(*whole(lying))


# The trailer


def test_a_trailer_that_is_longer_than_the_object_is_refused() -> None:
    longer = (len(TRAILER) - 8 + 5).to_bytes(4, "little")

    with pytest.raises(MalformedError, match="trailer"):
        segment.read_trailer(TRAILER[:4] + longer + TRAILER[8:-4] + longer)


def test_tenants_that_do_not_add_up_to_the_name_are_refused() -> None:
    (first, count), *rest = segment.read_trailer(SEALED.data).statement.tenants

    for stated in (
        ((first, count + 1), *rest),
        tuple(rest),
        ((first, count + rest[0][1]), rest[1]),
    ):
        data, name = whole(FRAME, tenants=stated)
        with pytest.raises(MismatchError, match="add up"):
            segment.verify_trailer(data, name, NODE_KEY.public, ORIGIN)
        assert naive_fault(data, name) == "counts"


def test_one_read_of_the_end_gets_the_trailer() -> None:
    length = segment.trailer_bytes(SEALED.data[-4:])

    signed = segment.read_trailer(SEALED.data[-length:])

    assert signed.statement == segment.read_trailer(SEALED.data).statement
    assert signed.statement.segment == SEALED.name.unhashed
    with pytest.raises(MalformedError):
        segment.read_trailer(SEALED.data[1 - length :])
    with pytest.raises(MalformedError, match="length"):
        segment.trailer_bytes(b"\xff\xff\xff\xff")


@pytest.mark.parametrize(
    "trailer",
    [
        b"",
        b"\0\0\0",
        b"\xff\xff\xff\xff",
        TRAILER[:-1],
        TRAILER + b"\0",
        b"\x51" + TRAILER[1:],
        TRAILER[:4] + b"\0" + TRAILER[5:],
        TRAILER + TRAILER[-4:],
        TRAILER[:8] + TRAILER[9:],
        b"\x50\x2a\x4d\x18\x04\0\0\0\x04\0\0\0",
        b"\x50\x2a\x4d\x18\0\0\0\0",
    ],
)
def test_a_trailer_of_another_form_is_refused_by_both_readers(trailer: bytes) -> None:
    data = FRAME + trailer
    name = named(data)

    with pytest.raises(MalformedError):
        open_(data, name)
    assert naive_fault(data, name) != ""


def test_every_reader_of_zstd_passes_over_the_trailer() -> None:
    assert zstd.decompress(SEALED.data) == CONTENT


def test_zstdcat_prints_the_records() -> None:
    done = subprocess.run([program("zstdcat")], input=SEALED.data, capture_output=True, check=True)

    assert done.stdout == CONTENT


# What only the node itself could forge, and the tag key uncovers


def test_a_record_under_another_tenants_tag_is_found() -> None:
    hidden = forged(by_tag({"acme": [samples.record("x", "evil")]}))

    opened = open_(hidden.data, hidden.name)

    with pytest.raises(MismatchError, match="another tenant"):
        segment.verify_tenants(opened, TAG_KEY, NODE)
    assert naive_fault(hidden.data, hidden.name) == "tag"


def test_two_tenants_under_one_tag_are_found() -> None:
    both = forged(by_tag({"acme": [samples.record("x", "acme"), samples.record("x", "evil")]}))

    with pytest.raises(MismatchError, match="mixes tenants"):
        segment.verify_tenants(open_(both.data, both.name), TAG_KEY, NODE)
    assert naive_fault(both.data, both.name) == "tenants of a group"


def test_a_root_that_the_records_do_not_make_is_found() -> None:
    wrong = forged(by_tag({"acme": [samples.record("x", "acme")]}), root=bytes(range(32)))

    with pytest.raises(MismatchError, match="root"):
        segment.verify_tenants(open_(wrong.data, wrong.name), TAG_KEY, NODE)
    assert naive_fault(wrong.data, wrong.name) == "root"


@pytest.mark.parametrize(
    "record",
    [
        b"not json",
        b"[]",
        b"[[]]",
        b'"tenant"',
        b"1",
        b"\xff{}",
        b' {"action":"x"}',
        b'{"tenant":1}',
        b'{"tenant":null}',
        b'{"tenant":"\\ud800"}',
        b'{"tenant":"","tenant":""}',
        b"[" * 100_000,
    ],
)
def test_a_record_without_one_tenant_is_refused_by_name(record: bytes) -> None:
    wrong = forged([("", [record])])
    opened = open_(wrong.data, wrong.name)

    with pytest.raises(MalformedError):
        segment.verify_tenants(opened, TAG_KEY, NODE)


def test_a_payload_may_hold_any_number_and_a_tenant_of_its_own() -> None:
    record = b'{"action":"x","payload":{"tenant":"y","n":' + b"9" * 5000 + b',"f":1e999}}'
    sealed = samples.seal(groups={"": [record]})

    segment.verify_tenants(open_(sealed.data, sealed.name), TAG_KEY, NODE)

    assert sealed.records == (record,)


def test_tenants_that_lie_out_of_order_cannot_be_signed() -> None:
    with pytest.raises(MalformedError, match="ascending"):
        forged(by_tag({"a": [b"{}"], "b": [b"{}"]})[::-1])


# Sealing


@pytest.mark.parametrize(
    "groups",
    [
        {},
        {"a": []},
        {"a": [b"{}"], "b": []},
        {"a": [b""]},
        {"a": [b"{}", b""]},
        {"a": [b"{\n}"]},
        {"a": [b"{}\n"]},
        {"a": [b"x" * segment.DECODED_BYTES_MAX]},
        {"\ud800": [b"{}"]},
    ],
)
def test_what_is_no_segment_is_not_sealed(groups: dict[str, list[bytes]]) -> None:
    with pytest.raises(MalformedError):
        samples.seal(groups=groups)


def test_no_records_are_not_sealed_by_name() -> None:
    nothing: list[dict[str, list[bytes]]] = [{}, {"a": []}]

    for groups in nothing:
        with pytest.raises(MalformedError, match="at least one record"):
            samples.seal(groups=groups)


def test_the_largest_segment_is_sealed_and_opened() -> None:
    record = b"x" * (segment.DECODED_BYTES_MAX - 1)
    sealed = samples.seal(groups={"a": [record]})

    assert open_(sealed.data, sealed.name).records == (record,)


def test_a_time_that_does_not_continue_the_ledger_is_not_sealed() -> None:
    end = ledger.extend(EMPTY_END, SEALED.name)

    for sealed_us in (end.sealed_us, end.sealed_us - 1):
        with pytest.raises(MismatchError):
            seal.encode(NODE_KEY, TAG_KEY, end, 1, sealed_us, GROUPS)


def test_a_key_that_is_no_nodes_seals_nothing() -> None:
    with pytest.raises(MalformedError):
        seal.encode(SigningKey.generate("somebody", bytes(32)), TAG_KEY, EMPTY_END, 1, 1, GROUPS)


def test_what_decompressing_changed_is_never_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    def flip(frame: bytes) -> bytes:
        """A machine that flips one bit while it decompresses."""
        decoded = zstd.decompress(frame)
        return decoded[:9] + bytes([decoded[9] ^ 1]) + decoded[10:]

    monkeypatch.setattr(segment, "decode_frame", flip)

    with pytest.raises(MismatchError, match="other bytes"):
        samples.seal()


# What hides tenants


def test_a_tenants_tags_cannot_be_linked_without_its_salt() -> None:
    salt = segment.tenant_salt(TAG_KEY, "acme")
    other_node = samples.CLOSER

    found = {
        tenants.tag(salt, NODE, 1),
        tenants.tag(salt, NODE, 2),
        tenants.tag(salt, other_node, 1),
        tenants.tag(segment.tenant_salt(TAG_KEY, "acme2"), NODE, 1),
        tenants.tag(segment.tenant_salt(bytes(32), "acme"), NODE, 1),
        tenants.blind(salt, NODE, 1).hex(),
        tenants.salt_id(salt),
    }

    assert len(found) == 7


@given(tenant_names, st.integers(0, 16**10 - 1))
def test_secrets_are_those_of_the_second_implementation(tenant: str, index: int) -> None:
    salt = segment.tenant_salt(TAG_KEY, tenant)

    assert naive.tenant_secrets(TAG_KEY, tenant, NODE, index) == (
        salt,
        tenants.tag(salt, NODE, index),
        tenants.blind(salt, NODE, index),
    )


def test_an_event_is_proven_by_three_inclusion_proofs() -> None:
    sealed, ends = samples.ledger_of(5)
    each = sealed[3]
    salt = segment.tenant_salt(TAG_KEY, "acme")
    tag, blind = tenants.tag(salt, NODE, 3), tenants.blind(salt, NODE, 3)
    records, names = GROUPS["acme"], [s.name.text.encode() for s in sealed]
    leaves = [leaf.encode() for leaf in naive.segment_leaves(TAG_KEY, NODE, 3, GROUPS)]
    at = [leaf.startswith(tag.encode()) for leaf in leaves].index(True)

    tenant_root = merkle.root_from_inclusion(
        merkle.leaf_hash(records[2]), 2, 5, naive.path(2, records)
    )
    leaf = merkle.leaf_hash(tenants.tenant_leaf(tag, blind, 5, tenant_root))
    root = merkle.root_from_inclusion(leaf, at, each.name.tenants, naive.path(at, leaves))
    ledger_root = merkle.root_from_inclusion(
        merkle.leaf_hash(each.name.text.encode()), 3, 5, naive.path(3, names)
    )

    assert root == each.name.root
    assert ledger_root == ends[5].root
