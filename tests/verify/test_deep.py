"""What the bytes of segments tell, and the records in them."""

import dataclasses
import hashlib
import json
import random
from collections.abc import Callable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.keep.seen import ACTION
from holdfast.proof import MalformedError, ProofError, ledger, merkle, tenants
from holdfast.proof.names import SegmentName
from holdfast.regions import kinds, segment, signing
from holdfast.regions.kinds import Trailer
from holdfast.regions.port import Level, Listing, Unknown
from holdfast.times import format_us
from holdfast.verify import contents
from holdfast.verify.expect import SEEN_ACTION
from holdfast.verify.findings import Depth, Finding
from holdfast.verify.run import Question
from holdfast.write import seal
from holdfast.write.seal import Encoded
from tests.read.trails import TRAIL, Writer
from tests.read.trails import World as WrittenWorld
from tests.regions.worlds import MemoryWorld
from tests.verify.stores import Objects, grave, keys_of, objects_of, verified, verified_in, written
from tests.verify.test_names import checkpoint

BYTES, EVENTS = Question(depth="bytes"), Question(depth="events")
DEEP: tuple[Depth, ...] = ("bytes", "events")


def world() -> WrittenWorld:
    """Regions whose cookies hold the tag key that the writers use."""
    made = WrittenWorld()
    made.tag_key = kinds.verify_cookie(TRAIL.cookie("a"), TRAIL.trail).statement.tag_key
    return made


def writer_in(place: WrittenWorld, seed: int = 7) -> Writer:
    writer = Writer(place, seed)
    writer.born()
    return writer


def only(objects: Objects, question: Question) -> Finding:
    """The one grave finding."""
    report = verified(objects, question)
    assert report.verdict == "refuted"
    (finding,) = grave(report)
    return finding


@pytest.mark.parametrize("depth", DEEP)
def test_what_real_nodes_wrote_is_good_in_depth(depth: Depth) -> None:
    report = verified(written(), Question(depth=depth))

    assert (report.verdict, report.findings) == ("good", ())
    assert report.deep_segments == report.segments > 0
    assert report.deep_events == (report.events if depth == "events" else 0)


@pytest.mark.parametrize("seed", range(20))
def test_any_byte_of_a_segment_that_is_changed_is_named_where_it_lies(seed: int) -> None:
    draw, objects = random.Random(seed), written()
    region = draw.choice("abc")
    key = draw.choice(keys_of(objects, "segment"))
    data = bytearray(objects[region][key])
    data[draw.randrange(len(data))] ^= draw.randrange(1, 256)
    objects[region][key] = bytes(data)

    finding = only(objects, BYTES)

    assert verified(objects).verdict == "good"  # names cannot tell
    assert (finding.kind, finding.region, finding.key) == ("corrupt", region, key)


@pytest.mark.parametrize("change", ["empty", "cut", "longer"])
def test_a_copy_of_another_length_is_named(change: str) -> None:
    objects = written()
    key = keys_of(objects, "segment")[2]
    data = objects["b"][key]
    objects["b"][key] = {"empty": b"", "cut": data[:-1], "longer": data + b"\0"}[change]

    finding = only(objects, BYTES)

    assert (finding.kind, finding.region, finding.key) == ("corrupt", "b", key)


def test_two_segments_under_each_others_keys_are_both_named() -> None:
    objects = written()
    one, two = random.Random(1).sample(keys_of(objects, "segment"), 2)
    held = objects["c"]
    held[one], held[two] = held[two], held[one]

    report = verified(objects, BYTES)

    assert {(f.kind, f.region, f.key) for f in grave(report)} == {
        ("corrupt", "c", one),
        ("corrupt", "c", two),
    }


def named(writer: Writer, encoded: Encoded, data: bytes) -> Encoded:
    """Other bytes, under a name that is theirs."""
    digest = hashlib.sha256(data).digest()
    return dataclasses.replace(
        encoded, name=dataclasses.replace(encoded.name, sha256=digest), data=data
    )


def lay(writer: Writer, encoded: Encoded) -> str:
    """Store a segment as the next of its ledger, and promise it."""
    writer.store(encoded)
    writer.end = ledger.extend(writer.end, encoded.name)
    writer.seal("after")
    writer.beat()
    return writer.key_of(encoded.name)


def test_a_segment_that_another_node_signed_is_forged() -> None:
    place = world()
    writer = writer_in(place)
    writer.seal("e-0")
    stranger = Writer(place, 9)
    stranger.end, stranger.epoch = writer.end, 1
    key = lay(writer, stranger.encode({"id": "forged"}))

    finding = only(objects_of(place.stores), BYTES)

    assert (finding.kind, finding.node, finding.start) == ("forged", writer.node, 1)
    assert finding.key == key


@pytest.mark.parametrize("part", ["trailer", "frame"])
def test_a_segment_put_together_of_two_genuine_ones_is_forged(part: str) -> None:
    place = world()
    writer = writer_in(place)
    other = writer.seal("other")
    encoded = writer.encode({"id": "mine"})
    parts = [(each.data, segment.trailer_bytes(each.data)) for each in (encoded, other)]
    frames = [data[:-length] for data, length in parts]
    trailers = [data[-length:] for data, length in parts]
    data = frames[0] + trailers[1] if part == "trailer" else frames[1] + trailers[0]
    key = lay(writer, named(writer, encoded, data))

    finding = only(objects_of(place.stores), BYTES)

    assert (finding.kind, finding.key) == ("forged", key)


def test_a_segment_that_continues_another_history_is_named_where_the_two_part() -> None:
    place = world()
    writer = writer_in(place)
    writer.seal("e-0")
    shadow = Writer(place, 7)
    shadow.epoch = 1
    other = shadow.encode({"id": "another past"})
    real = writer.end
    writer.end = dataclasses.replace(
        real, range=merkle.EMPTY_RANGE.append(merkle.leaf_hash(other.name.text.encode()))
    )
    encoded = writer.encode({"id": "e-1"})
    writer.end = real
    key = lay(writer, encoded)

    report = verified(objects_of(place.stores), BYTES)

    assert report.verdict == "refuted"
    assert [(f.kind, f.start, f.end, f.key) for f in grave(report)] == [("rewritten", 0, 1, key)]


def sealed_as(
    writer: Writer, groups: dict[str, Sequence[bytes]], tags: dict[str, str] | None = None
) -> Encoded:
    """A segment that the node signs, with what no honest node would seal. tags: tenant -> the
    tenant under whose tag its records are put."""
    tags = tags or {}
    index, node, key = writer.end.size, writer.node, writer.world.tag_key
    members = []
    for tenant, records in groups.items():
        salt = segment.tenant_salt(key, tags.get(tenant, tenant))
        tag, blind = tenants.tag(salt, node, index), tenants.blind(salt, node, index)
        root = merkle.root(merkle.leaf_hashes(records))
        members.append((tag, tenants.tenant_leaf(tag, blind, len(records), root), records))
    members.sort()
    records = [record for _, _, mine in members for record in mine]
    plain = b"".join(record + b"\n" for record in records)
    frame = seal.zstd.compress(plain, options=seal._OPTIONS)  # type: ignore[attr-defined]
    name = SegmentName(
        index=index,
        epoch=writer.epoch,
        first=writer.end.first,
        count=len(records),
        tenants=len(members),
        sealed_us=writer.world.now_us,
        root=merkle.root(merkle.leaf_hashes([leaf for _, leaf, _ in members])),
        sha256=bytes(32),
    )
    trailer = Trailer(
        segment=name.unhashed,
        frame=hashlib.sha256(frame).digest(),
        root_before=writer.end.root,
        tenants=tuple((tag, len(mine)) for tag, _, mine in members),
    )
    data = frame + seal.trailer_frame(signing.write(trailer, writer.origin, writer.key))
    return named(writer, Encoded(name, data, tuple(records), ()), data)


def record(writer: Writer, tenant: str = "acme", **fields: object) -> bytes:
    """A record, received now."""
    writer.world.now_us += 1
    whole: dict[str, object] = {"id": "x", "tenant": tenant, "action": "a"}
    whole |= {"received": format_us(writer.world.now_us), "principal": "p"} | fields
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()


def test_what_the_helper_seals_honestly_is_good() -> None:
    place = world()
    writer = writer_in(place)
    lay(writer, sealed_as(writer, {t: [record(writer, t)] * 3 for t in ("acme", "bolt", "ünï")}))

    report = verified(objects_of(place.stores), EVENTS)

    assert (report.verdict, report.deep_events) == ("good", 10)


@pytest.mark.parametrize("moved", ["all", "one"])
def test_a_record_moved_to_another_tenant_is_named_at_its_segment(moved: str) -> None:
    place = world()
    writer = writer_in(place)
    writer.seal("e-0")
    mine = [record(writer, "acme") for _ in range(3)]
    if moved == "all":
        encoded = sealed_as(writer, {"acme": mine}, {"acme": "bolt"})
    else:
        encoded = sealed_as(writer, {"acme": [*mine, record(writer, "bolt")]})
    key = lay(writer, encoded)
    objects = objects_of(place.stores)

    finding = only(objects, EVENTS)

    assert verified(objects, BYTES).verdict == "good"  # its node signed it
    assert (finding.kind, finding.node, finding.start) == ("false", writer.node, 1)
    assert finding.key == key
    assert "tenant" in finding.reason and f"line {0 if moved == 'all' else 3}" in finding.reason


def test_records_that_do_not_make_the_root_in_the_name_are_false() -> None:
    place = world()
    writer = writer_in(place)
    encoded = sealed_as(writer, {"acme": [record(writer), record(writer)]})
    wrong = dataclasses.replace(encoded.name, root=bytes(32))
    trailer = segment.read_trailer(encoded.data).statement
    trailer = dataclasses.replace(trailer, segment=wrong.unhashed)
    frame = encoded.data[: -segment.trailer_bytes(encoded.data)]
    data = frame + seal.trailer_frame(signing.write(trailer, writer.origin, writer.key))
    key = lay(writer, named(writer, dataclasses.replace(encoded, name=wrong), data))

    finding = only(objects_of(place.stores), EVENTS)

    assert (finding.kind, finding.key) == ("false", key)
    assert "root" in finding.reason


@pytest.mark.parametrize("when", ["before", "at", "behind", "odd"])
def test_a_record_received_outside_of_its_segment_is_named_with_its_line(when: str) -> None:
    place = world()
    writer = writer_in(place)
    before_us = writer.seal("e-0").name.sealed_us
    us = {"before": before_us - 5, "at": before_us, "behind": before_us + 10**6, "odd": 0}[when]
    text = format_us(us) if us else "2027-01-15 08:00:00.000000Z"
    records = [record(writer), record(writer, received=text), record(writer)]
    key = lay(writer, sealed_as(writer, {"acme": records}))

    finding = only(objects_of(place.stores), EVENTS)

    assert (finding.kind, finding.key) == ("false", key)
    assert finding.reason.startswith("line 1: ")


def test_only_segments_of_the_time_that_is_asked_for_are_read() -> None:
    objects = written()
    named = [SegmentName.parse(key.split("/")[4][:189]) for key in keys_of(objects, "segment")]
    named.sort(key=lambda name: name.sealed_us)
    for key in keys_of(objects, "segment"):
        if named[-1].text in key:
            objects["a"][key] = b""

    early = verified(
        objects, Question("bytes", from_us=named[1].sealed_us, to_us=named[3].sealed_us)
    )
    late = verified(objects, Question("bytes", from_us=named[-1].sealed_us))

    assert (early.verdict, late.verdict) == ("good", "refuted")
    assert 0 < early.deep_segments < early.segments


def see(writer: Writer, *others: Writer, note: bytes = b"") -> None:
    """Write down what is seen of other ledgers."""
    ledgers = [
        {"origin": other.origin, "note": (note or checkpoint(other)).decode()} for other in others
    ]
    writer.seal({"id": "seen", "action": ACTION, "attributes": {"ledgers": ledgers}})
    writer.beat()


def two(place: WrittenWorld) -> tuple[Writer, Writer]:
    one, other = sorted((writer_in(place), writer_in(place, 8)), key=lambda each: each.node)
    for number in range(4):
        one.seal(f"one-{number}")
        other.seal(f"other-{number}")
    return one, other


def test_the_action_is_that_of_whoever_writes_them() -> None:
    assert SEEN_ACTION == ACTION


def test_a_ledger_removed_wholly_shows_by_what_another_node_saw_of_it() -> None:
    place = world()
    one, other = two(place)
    see(other, one)
    for key in place.keys("a"):
        if one.node in key:
            place.remove(key)
    objects = objects_of(place.stores)

    report = verified(objects, EVENTS)

    assert verified(objects, BYTES).verdict == "good"
    assert report.verdict == "incomplete"
    assert [(f.kind, f.node, f.start, f.end) for f in report.findings] == [
        ("cut_tail", one.node, 0, 4)
    ]


def test_a_tail_cut_or_a_history_rewritten_shows_by_what_another_node_saw() -> None:
    place = world()
    one, other = two(place)
    see(other, one)
    cut = objects_of(place.stores)
    for region in "abc":
        del cut[region][sorted(key for key in cut[region] if f"seg/{one.node}" in key)[-1]]
    place = world()
    one, other = two(place)
    elsewhere = world()
    shadow = next(each for each in two(elsewhere) if each.node == one.node)
    shadow.seal("more")
    one.seal("less")
    one.beat()
    see(other, shadow)

    shorter, rewritten = verified(cut, EVENTS), verified(objects_of(place.stores), EVENTS)

    assert [(f.kind, f.node, f.start, f.end) for f in shorter.findings] == [
        ("cut_tail", one.node, 3, 4)
    ]
    assert [(f.kind, f.node, f.end) for f in rewritten.findings] == [("rewritten", one.node, 5)]
    assert (shorter.verdict, rewritten.verdict) == ("incomplete", "refuted")


def test_a_seen_note_that_its_node_did_not_sign_is_false_where_it_lies() -> None:
    place = world()
    one, other = two(place)
    see(other, one, note=checkpoint(one).replace(b"\n4\n", b"\n3\n"))

    finding = only(objects_of(place.stores), EVENTS)

    assert (finding.kind, finding.node) == ("false", other.node)
    assert finding.key == place.keys("a", f"ev/seg/{other.node}")[-1]


class Meanwhile(MemoryWorld):
    """Where the ledger that was listed first grows, and the other one tells so, when the other is
    listed."""

    def __init__(self) -> None:
        super().__init__()
        self.at = "never"
        self.happens: Callable[[], None] = lambda: None

    async def list(self, prefix: str, after: str = "") -> Listing | Unknown:
        if prefix.startswith(self.at):
            self.at = "never"
            self.happens()
        return await super().list(prefix, after)

    async def level(self, prefix: str) -> Level | Unknown:
        if prefix == self.at:
            self.at = "never"
            self.happens()
        return await super().level(prefix)


def test_a_ledger_that_grew_while_others_were_verified_is_not_cut() -> None:
    place = world()
    stores = {id: Meanwhile() for id in place.stores}
    for id, store in stores.items():
        store.objects = place.stores[id].objects
    place.stores = dict(stores)
    one, other = two(place)
    third = writer_in(place, 3)

    def grow() -> None:
        one.seal("late")
        third.seal("late")
        see(other, one, third)

    stores["a"].at, stores["a"].happens = f"ev/seg/{other.node}/0", grow

    report = verified_in(stores, EVENTS)

    assert report.verdict == "good", report.findings
    assert stores["a"].at == "never"


TEXTS = st.sampled_from(
    [
        *('"tenant"', '"received"', "tenant", "received", ":", ",", "{", "}", "[", "]", '"x"', "1"),
        *(
            "\\u0074enant",
            '"\\u0074enant":"x"',
            '"tenant":"x"',
            '"received":"y"',
            "null",
            "\\",
            "é",
        ),
        *(" ", "\t", "-", "1e9", "NaN", '"\\ud800"', "\udc80", "true", '{"tenant":"z"}', '"a":'),
    ]
)


@settings(max_examples=400)
@given(st.lists(st.lists(TEXTS, max_size=8).map("".join), min_size=1, max_size=4))
def test_the_fast_reading_of_tenants_and_times_is_that_of_the_slow_one(insides: list[str]) -> None:
    records = [
        f'{{"id":"1","tenant":"a",{inside}"received":"t"}}'.encode("utf-8", "surrogateescape")
        for inside in insides
    ]

    fast, slow = attempt(quickly, records), attempt(slowly, records)

    assert fast == slow


Reading = Callable[[Sequence[bytes]], tuple[list[str], list[str]]]


def attempt(read: Reading, records: Sequence[bytes]) -> tuple[list[str], list[str]] | str:
    try:
        return read(records)
    except ProofError as error:
        return str(error)


def quickly(records: Sequence[bytes]) -> tuple[list[str], list[str]]:
    return contents._read(b"".join(record + b"\n" for record in records))


def slowly(records: Sequence[bytes]) -> tuple[list[str], list[str]]:
    read = [contents._read_slowly(line, each) for line, each in enumerate(records)]
    return [received for received, _ in read], [tenant for _, tenant in read]


def test_a_value_over_two_lines_or_two_values_in_one_are_refused() -> None:
    for records in (
        [b'{"received":"t","a":{}', b'}{"received":"t"}'],
        [b'{"received":"t"}{"received":"t"}', b'{"received":"t","a":[{}', b"]}"],
        [b'{"received":"t"} {"received":"t"}'],
    ):
        with pytest.raises(MalformedError):
            quickly(records)


def test_a_name_given_twice_is_refused_whichever_way_it_is_written() -> None:
    for twice in (b'"tenant":"b"', b'"ten\\u0061nt":"b"', b'"tenant" : "b"'):
        line = b'{"tenant":"a",' + twice + b',"received":"t"}'
        assert msgspec.json.decode(line)["tenant"] == "b"
        with pytest.raises(MalformedError, match="line 1"):
            quickly([b'{"received":"t"}', line])


def test_names_in_a_payload_or_as_values_do_not_disturb() -> None:
    lines = [
        b'{"tenant":"a","payload":{"tenant":"b","received":"u"},"received":"t"}',
        b'{"targets":[{"type":"tenant"}],"received":"t"}',
        b'{"tenant":"","reason":"\\u0061","received":"t"}',
    ]

    assert quickly(lines) == (["t", "t", "t"], ["a", "", ""])


def test_a_record_that_is_no_utf8_is_refused() -> None:
    with pytest.raises(MalformedError, match="line 1"):
        quickly([b'{"received":"t"}', b'{"payload":"\xff","received":"t"}'])


def test_what_is_declared_lost_may_rot_and_is_named_as_the_gap_that_it_is() -> None:
    place = world()
    writer = writer_in(place)
    sealed = [writer.seal(f"e-{number}") for number in range(3)]
    writer.beat()
    key = writer.key_of(sealed[1].name)
    place.put(key, b"rotten")
    place.now_us += 1
    undeclared = verified(objects_of(place.stores), BYTES)
    writer.declare(sealed[1])

    declared = verified(objects_of(place.stores), BYTES)
    place.put(key, sealed[1].data, "c")
    found_again = verified(objects_of(place.stores), BYTES)

    assert (undeclared.verdict, len(grave(undeclared))) == ("refuted", 3)
    assert declared.verdict == "good"
    assert [(f.kind, f.start, f.key) for f in declared.findings] == [("gap", 1, key)]
    assert [(f.kind, f.region) for f in found_again.findings] == [
        ("corrupt", "a"),
        ("corrupt", "b"),
    ]


def test_a_store_that_loses_its_cookie_meanwhile_is_not_relied_on() -> None:
    place = world()
    writer = writer_in(place)
    writer.seal("e-0")
    writer.beat()
    stores = {id: Meanwhile() for id in place.stores}
    for id, store in stores.items():
        store.objects = place.stores[id].objects
    stores["a"].at = "ev/seg/"
    stores["a"].happens = lambda: stores["a"].objects.__delitem__("ev/region.note")

    report = verified_in(stores, BYTES)

    assert report.verdict == "good"
    assert [(r.region, r.relied_on) for r in report.regions] == [
        ("a", False),
        ("b", True),
        ("c", True),
    ]


def test_a_node_that_is_born_while_others_are_verified_is_no_stranger() -> None:
    place = world()
    stores = {id: Meanwhile() for id in place.stores}
    place.stores = dict(stores)
    for id, store in stores.items():
        store.objects["ev/region.note"] = (TRAIL.cookie(id), 1)
    writer_in(place).seal("e-0")

    def born() -> None:
        late = writer_in(place, 8)
        late.seal("first")

    stores["a"].at, stores["a"].happens = "ev/seg/", born

    report = verified_in(stores, BYTES)

    assert stores["a"].at == "never"
    assert (report.verdict, report.findings) == ("good", ())
