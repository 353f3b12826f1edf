import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.proof import MalformedError, MismatchError, ledger, merkle, names
from holdfast.proof.ledger import EMPTY_END, LedgerEnd
from holdfast.proof.merkle import EMPTY_RANGE, CompactRange
from holdfast.proof.names import SegmentName
from holdfast.regions import layout
from holdfast.regions.layout import (
    ArchivedKey,
    ArchiveKey,
    CheckpointKey,
    EpochKey,
    FloorKey,
    GapKey,
    HeartbeatKey,
    HoldKey,
    RegionKey,
    SegmentKey,
    WholeKey,
)
from tests.proof import naive, samples
from tests.proof.samples import NODE

NAMES = samples.fixed_names(7)


@st.composite
def segment_names(draw: st.DrawFn) -> SegmentName:
    index = draw(st.integers(0, 16**10 - 1))
    count = draw(st.integers(1, 16**6 - 1))
    return SegmentName(
        index=index,
        epoch=draw(st.integers(1, 16**6 - 1)),
        first=draw(st.integers(index, 16**12 - 1)),
        count=count,
        tenants=draw(st.integers(1, count)),
        sealed_us=draw(st.integers(1, 16**14 - 1)),
        root=draw(st.binary(min_size=32, max_size=32)),
        sha256=draw(st.binary(min_size=32, max_size=32)),
    )


@given(segment_names())
def test_a_name_is_read_as_it_was_written(name: SegmentName) -> None:
    assert SegmentName.parse(name.text) == name
    assert naive.name_fault(name.text) == ""
    assert (len(name.text), len(name.unhashed)) == (189, 124)
    assert name.text == f"{name.unhashed}-{name.sha256.hex()}"
    assert re.fullmatch("[0-9a-z-]+", name.text)


@given(segment_names(), segment_names())
def test_the_order_of_names_is_the_order_of_the_ledger(a: SegmentName, b: SegmentName) -> None:
    keys = layout.segment_key(NODE, a), layout.segment_key(NODE, b)

    if a.index != b.index:
        assert (keys[0] < keys[1]) is (a.index < b.index)


@given(segment_names(), st.integers(0, 188), st.characters(max_codepoint=0x2FF))
def test_a_changed_character_makes_another_name_or_none(
    name: SegmentName, at: int, character: str
) -> None:
    changed = name.text[:at] + character + name.text[at + 1 :]

    try:
        found = SegmentName.parse(changed)
    except MalformedError:
        assert naive.name_fault(changed) != ""
        return

    assert found.text == changed
    assert (found == name) is (changed == name.text)
    assert naive.name_fault(changed) == ""


@pytest.mark.parametrize(
    "change",
    [
        {"index": -1},
        {"index": 16**10, "first": 16**10},
        {"epoch": 0},
        {"epoch": 16**6},
        {"first": 5},
        {"count": 0},
        {"count": 16**6},
        {"tenants": 0},
        {"tenants": 11},
        {"sealed_us": 0},
        {"sealed_us": 16**14},
        {"root": bytes(31)},
        {"sha256": bytes(33)},
    ],
)
def test_what_no_segment_can_be_has_no_name(change: dict[str, int]) -> None:
    with pytest.raises(MalformedError):
        dataclasses.replace(NAMES[6], **change)  # type: ignore[arg-type]


def test_every_key_is_read_as_it_was_written() -> None:
    witness = "0123456789abcdef" * 2
    keys = {
        layout.segment_key(NODE, NAMES[5]): SegmentKey(NODE, NAMES[5]),
        layout.birth_key(NODE, 1): EpochKey(NODE, 1, "birth"),
        layout.fence_key(NODE, 255): EpochKey(NODE, 255, "fence"),
        layout.vote_key(NODE, 2): EpochKey(NODE, 2, "close"),
        layout.closed_key(NODE, 2): EpochKey(NODE, 2, "closed"),
        layout.retired_key(NODE, 2): EpochKey(NODE, 2, "retired"),
        layout.checkpoint_key(NODE, 300): CheckpointKey(NODE, 300, ""),
        f"ev/cp/{NODE}/000000012c.{witness}.note": CheckpointKey(NODE, 300, witness),
        layout.gap_key(NODE, 3, 300): GapKey(NODE, 3, 300),
        layout.archived_key("2026-11-29", "default", "a" * 64): ArchivedKey(
            "2026-11-29", "default", b"\xaa" * 32
        ),
        layout.archived_key("2026-11-29", "", "a" * 64): ArchivedKey(
            "2026-11-29", "", b"\xaa" * 32
        ),
        layout.archive_key("2026-11-29", 1): ArchiveKey("2026-11-29", 1),
        layout.archive_key("2026-11-29t13", 16): ArchiveKey("2026-11-29t13", 16),
        **{
            layout.retained_key(key): key
            for key in (
                *(FloorKey("2026-11-29", "debug"), FloorKey("2026-11-29t13", "x-1")),
                *(HoldKey("7" * 32), HoldKey("7" * 32, is_release=True)),
            )
        },
        layout.heartbeat_key(NODE): HeartbeatKey(NODE),
        layout.REGION_KEY: RegionKey(),
        layout.WHOLE_KEY: WholeKey(),
    }

    assert {text: layout.parse_key(text) for text in keys} == keys
    assert all(re.fullmatch("[0-9a-z._=/-]+", text) for text in keys)


def test_keys_lie_where_the_format_says() -> None:
    far = dataclasses.replace(NAMES[0], index=4096 * 26 + 1, first=2**40)

    assert layout.segment_key(NODE, far) == f"ev/seg/{NODE}/000001a/{far.text}.ndjson.zst"
    assert layout.birth_key(NODE, 17) == f"ev/node/{NODE}/000011/birth.note"
    assert layout.gap_key(NODE, 3, 17) == f"ev/gap/{NODE}/0000000003-0000000011.note"
    assert layout.archived_key("2026-11-29", "default", "a" * 64) == (
        f"ev/arc/day=2026-11-29/class=default/{'a' * 64}.parquet"
    )
    assert layout.archive_key("2026-11-29t13", 1) == "ev/arc/day=2026-11-29/2026-11-29t13.0001.note"
    floor, release = FloorKey("2026-11-29t13", "debug"), HoldKey("7" * 32, is_release=True)
    assert layout.retained_key(floor) == "ev/ret/floor/2026-11-29t13.debug.note"
    assert layout.retained_key(release) == f"ev/ret/hold/{'7' * 32}.released.note"
    assert layout.heartbeat_key(NODE) == f"ctl/hb/{NODE}.note"
    assert layout.checkpoint_key(NODE, 16) == f"ev/cp/{NODE}/0000000010.note"


@given(segment_names())
def test_a_listing_after_a_size_begins_with_the_segment_of_that_index(name: SegmentName) -> None:
    key = layout.segment_key(NODE, name)

    assert key.startswith(layout.segments_prefix(NODE))
    assert key.startswith(layout.shard_prefix(NODE, name.index))
    assert layout.segments_after(NODE, name.index) < key
    if name.index < 16**10 - 1:
        assert layout.segments_after(NODE, name.index + 1) > key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "ev/",
        "ev/region.note/",
        "ev/arc/x",
        "ev/arc/day=2026-02-30/2026-02-30.0001.note",
        "ev/arc/day=2026-11-29/2026-11-28.0001.note",
        "ev/arc/day=2026-11-29/2026-11-29t24.0001.note",
        "ev/arc/day=2026-11-29/2026-11-29.0000.note",
        f"ev/arc/day=2026-11-29/class=/{'a' * 64}.parquet",
        f"ev/arc/day=2026-11-29/{'a' * 64}.parquet",
        "EV/region.note",
        f"ev/node/{NODE}/1/birth.note",
        f"ev/node/{NODE}/000001/death.note",
        f"ev/node/{NODE.upper()}/000001/birth.note",
        f"ev/node/{NODE}/000001/birth.note\n",
        f"ev/cp/{NODE}/0000000001.witness.note",
        f"ctl/hb/{NODE}0.note",
        f"ev/seg/{NODE}/0000001/{NAMES[0].text}.ndjson.zst",
        f"ev/seg/{NODE}/0000000/{NAMES[0].text}.ndjson",
        f"ev/seg/{NODE}/0000000/{NAMES[0].unhashed}.ndjson.zst",
    ],
)
def test_a_key_of_any_other_form_is_refused(key: str) -> None:
    with pytest.raises(MalformedError):
        layout.parse_key(key)


@given(st.text(max_size=80).filter(lambda text: not text.endswith(".note")))
def test_arbitrary_text_is_refused_by_name(text: str) -> None:
    for read in (layout.parse_key, SegmentName.parse, names.parse_ledger_origin, names.check_id):
        with pytest.raises(MalformedError):
            read(text)


def test_origins_are_read_as_they_are_written() -> None:
    assert names.parse_ledger_origin(names.ledger_origin(samples.TRAIL, NODE)) == (
        samples.TRAIL,
        NODE,
    )
    for origin in (f"holdfast/{NODE}", f"holdfast/{NODE}/{NODE}/", f"other/{NODE}/{NODE}"):
        with pytest.raises(MalformedError):
            names.parse_ledger_origin(origin)


def test_a_ledger_has_at_every_size_the_root_of_its_names() -> None:
    end = EMPTY_END

    for size, name in enumerate(NAMES, 1):
        end = ledger.extend(end, name)

        leaves = [each.text.encode() for each in NAMES[:size]]
        assert (end.size, end.first, end.sealed_us) == (size, 10 * size, name.sealed_us)
        assert end.root == naive.tree(leaves) == merkle.root(merkle.leaf_hashes(leaves))


@pytest.mark.parametrize(
    "change",
    [
        {"index": 3},
        {"index": 5},
        {"first": 39},
        {"first": 41},
        {"sealed_us": samples.STARTED_US + 3},
        {"sealed_us": samples.STARTED_US + 2},
    ],
)
def test_a_segment_out_of_order_does_not_continue_a_ledger(change: dict[str, int]) -> None:
    end = samples.fixed_end(4)
    wrong = dataclasses.replace(NAMES[4], **change)  # type: ignore[arg-type]

    assert ledger.extend(end, NAMES[4]).size == 5
    with pytest.raises(MismatchError):
        ledger.extend(end, wrong)


@pytest.mark.parametrize(
    ("size", "first", "sealed_us", "tree"),
    [
        (0, 1, 0, EMPTY_RANGE),
        (0, 0, 1, EMPTY_RANGE),
        (1, 1, 1, EMPTY_RANGE),
        (1, 0, 1, CompactRange(1, (bytes(32),))),
        (1, 1, 0, CompactRange(1, (bytes(32),))),
    ],
)
def test_an_end_that_no_ledger_can_have_is_refused(
    size: int, first: int, sealed_us: int, tree: CompactRange
) -> None:
    with pytest.raises(MalformedError):
        LedgerEnd(size, first, sealed_us, tree)
