"""A certificate is proven as it was made; with anything changed or left out, it never is."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.errors import RejectedError, UnavailableError
from holdfast.proof import (
    MalformedError,
    MismatchError,
    ProofError,
    SignatureError,
    merkle,
    tenants,
)
from holdfast.proof import ledger as ledgers
from holdfast.proof.certificate import Head, Named, Proven, Shown, Stretch, Whole
from holdfast.proof.note import encode_base64
from holdfast.prove import paths
from holdfast.regions import layout, segment
from holdfast.regions.port import Unknown
from holdfast.times import parse_time
from tests.prove.certificates import (
    END_US,
    Line,
    checked,
    made,
    opened,
    proven,
    records_in,
    salt_id,
    written,
)
from tests.read.trails import SECOND_US, START_US, TRAIL, World, Writer, tick

TENANTS = ("acme", "b", "öre", "")
STRANGERS = ("b", "öre", "")


def trail(world: World) -> list[Writer]:
    """Two nodes, one with two epochs and closed, one alive; tenants in turns; an hour of it."""
    one, other = Writer(world, 7), Writer(world, 8)
    for number, node in enumerate((one, other)):
        node.born()
        for n in range(5):
            node.seal(*_events(number, n))
            tick(world, 120)
        if node is one:
            node.close()
            node.born()
            for n in range(5, 8):
                node.seal(*_events(number, n))
                tick(world, 120)
            node.close()
    tick(world, 4000)
    other.beat(checkpoint=other.checkpoint())
    tick(world)
    return [one, other]


def _events(node: int, n: int) -> list[dict[str, object]]:
    """Each tenant is in some segments and not in others."""
    return [
        {"id": f"{node}/{n}/{tenant}/{k}", "tenant": tenant}
        for at, tenant in enumerate(TENANTS)
        if (n + at) % 3
        for k in range(n % 3 + 1)
    ]


def _expected(tenant: str) -> list[str]:
    sizes = ((0, 8), (1, 5))
    return [
        str(event["id"])
        for node, size in sizes
        for n in range(size)
        for event in _events(node, n)
        if event["tenant"] == tenant
    ]


@pytest.fixture(scope="module")
def world() -> World:
    world = World()
    trail(world)
    return world


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def good(world: World, cache: Path) -> bytes:
    """Of acme, which is in most segments; the second and later stretches are of the other node."""
    return made(world, cache, "acme")


@pytest.mark.parametrize("tenant", [*TENANTS, "nobody"])
@pytest.mark.parametrize("records", [True, False])
def test_all_events_of_a_tenant_are_proven_and_none_of_another(
    world: World, cache: Path, tenant: str, records: bool
) -> None:
    data = made(world, cache, tenant, records=records)

    found = proven(data, salt_id(world, tenant))

    told = found.facts()
    expected = [] if tenant == "nobody" else _expected(tenant)
    assert found.code == 0
    assert sorted(records_in(data)) == (sorted(expected) if records else [])
    assert told["records in these segments"] == len(expected)
    assert told["events"] == (len(expected) if records or not expected else None)
    assert told["segments that may hold some"] == 13
    assert any("no epoch after 2" in each for each in found.stated)


@pytest.mark.parametrize("records", [True, False])
def test_a_certificate_shows_nothing_of_other_tenants(
    world: World, cache: Path, records: bool
) -> None:
    data = made(world, cache, "acme", records=records)

    for tenant in STRANGERS:
        salt = segment.tenant_salt(world.tag_key, tenant)
        for secret in (salt, world.tag_key):
            for form in (secret, secret.hex().encode(), encode_base64(secret).encode()):
                assert form not in data
    ids = [event for node in (0, 1) for n in range(8) for event in _events(node, n)]
    for event in ids:
        is_own = event["tenant"] == "acme" and records
        assert (json.dumps(event["id"], ensure_ascii=False).encode() in data) <= is_own
    assert "öre".encode() not in data


def test_at_every_edge_just_what_was_received_within_is_counted(
    world: World, cache: Path, good: bytes
) -> None:
    times = sorted(
        {parse_time(json.loads(x)["received"]) for x in opened(good) if isinstance(x, bytes)}
    )
    edges = sorted({t + d for t in times[:6] for d in (-1, 0, 1)})
    draw = random.Random(1)
    for _ in range(12):
        start, end = sorted(draw.sample(edges, 2))

        found = proven(made(world, cache, "acme", start, end), salt_id(world, "acme"))

        records = [
            parse_time(json.loads(x)["received"]) for x in opened(good) if isinstance(x, bytes)
        ]
        assert found.events == sum(start <= each < end for each in records)


def test_what_is_not_complete_yet_is_refused_and_says_through_when(
    world: World, cache: Path
) -> None:
    with pytest.raises(RejectedError, match="everything is known through") as refused:
        made(world, cache, "acme", START_US, world.now_us)
    with pytest.raises(RejectedError, match="later than"):
        made(world, cache, "acme", START_US, START_US)

    assert refused.value.kind == "uncertifiable"


def test_a_trail_without_anything_known_certifies_nothing(tmp_path: Path) -> None:
    empty = World()
    for lost in "ab":
        empty.stores[lost].failing = Unknown("gone")

    with pytest.raises(RejectedError, match="nothing is known"):
        made(empty, tmp_path, "acme")


def test_a_node_with_an_empty_ledger_is_bounded_by_its_word(tmp_path: Path) -> None:
    world = World()
    node = Writer(world)
    node.born()
    tick(world, 4000)
    node.beat()
    tick(world)

    found = proven(made(world, tmp_path, "acme"), salt_id(world, "acme"))

    assert (found.events, found.segments) == (0, 0)


def test_a_node_that_was_born_later_is_bounded_by_its_birth(tmp_path: Path) -> None:
    world = World()
    tick(world, 4000)
    node = Writer(world)
    node.born()
    tick(world)
    node.beat(epoch=0, promise_us=0)

    found = proven(made(world, tmp_path, "acme"), salt_id(world, "acme"))

    assert found.stated[0].endswith("no epoch after 1 by then")


def test_while_its_last_word_is_older_than_the_end_it_waits(tmp_path: Path) -> None:
    world = World()
    node = Writer(world)
    node.born()
    node.seal("x")
    tick(world, 4000)
    node.beat(checkpoint=node.checkpoint())
    tick(world)
    assert proven(made(world, tmp_path, "acme"), salt_id(world, "acme")).events == 1

    node.beat(promise_us=END_US - 2, checkpoint=node.checkpoint())

    with pytest.raises(UnavailableError, match="does not say yet"):
        made(world, tmp_path, "acme")
    world.remove(f"ctl/hb/{node.node}.note")
    with pytest.raises(UnavailableError, match="does not say yet"):
        made(world, tmp_path, "acme")


def test_an_orphan_is_no_part_of_it(tmp_path: Path) -> None:
    world = World()
    node = Writer(world)
    node.born()
    node.seal("first")
    decided = node.end
    node.seal("orphan")
    node.close(decided)
    node.born(base=decided)
    node.seal("second")
    tick(world, 4000)
    node.beat(checkpoint=node.checkpoint())
    tick(world)

    data = made(world, tmp_path, "acme")

    assert proven(data, salt_id(world, "acme")).events == 2
    assert records_in(data) == ["first", "second"]


# -- declared gaps ---------------------------------------------------------------------------------


def broken(world: World, lost: slice, count: int = 12, checkpoint_at: int = 3) -> Writer:
    """A ledger, a segment a minute, of which some are lost and declared."""
    node = Writer(world)
    node.born()
    sealed = []
    for n in range(count):
        sealed.append(node.seal({"id": f"{n}", "tenant": "acme"}))
        if n + 1 == checkpoint_at:
            node.keep_checkpoint()
        tick(world, 60)
    node.lose(*sealed[lost])
    tick(world, 4000)
    node.beat(checkpoint=node.checkpoint())
    tick(world)
    return node


def minute(n: float) -> int:
    return START_US + round(n * 60 * SECOND_US)


def test_a_gap_is_named_and_what_can_be_shown_around_it_is(tmp_path: Path) -> None:
    world = World()
    broken(world, slice(4, 5))

    data = made(world, tmp_path, "acme")

    found = proven(data, salt_id(world, "acme"))
    assert found.code == 4
    assert records_in(data) == ["0", "1", "2", "8", "9", "10", "11"]  # 8: a perfect tree is before
    assert "segments 3 to 8" in found.gaps[0]
    assert "4 to 5 are stated to be lost: a fire" in found.gaps[0]


def test_before_a_gap_and_well_behind_it_nothing_is_missing(tmp_path: Path) -> None:
    world = World()
    broken(world, slice(4, 5))

    early = made(world, tmp_path, "acme", minute(0), minute(1.5))
    late = made(world, tmp_path, "acme", minute(8.5), minute(60))

    assert proven(early, salt_id(world, "acme")).code == 0
    assert proven(late, salt_id(world, "acme")).code == 0
    assert (records_in(early), records_in(late)) == (["0", "1", "2"], ["9", "10", "11"])


def test_between_two_stretches_a_gap_must_say_why(tmp_path: Path) -> None:
    world = World()
    broken(world, slice(4, 5))
    late = opened(made(world, tmp_path, "acme", minute(8.5), minute(60)))
    first = opened(made(world, tmp_path, "acme"))[1:]
    stretch, shown_ = first[0], [line for line in first if isinstance(line, Shown)]
    assert isinstance(stretch, Stretch) and stretch.end == 3
    late[1:1] = [stretch, *(Named(line.segment) for line in shown_[:3])]

    found, _ = checked(written(late), salt_id(world, "acme"))

    assert isinstance(found, MismatchError) and "segment 2 is not shown" in str(found)


def test_of_what_is_not_shown_nothing_more_is_said(tmp_path: Path) -> None:
    world = World()
    broken(world, slice(8, 9))
    lines = opened(made(world, tmp_path, "acme"))
    for values in ({"head": "x"}, {"certificate": "x"}, {"after": (OTHER,)}, {"start": 1}):
        changed = lines.copy()
        change(Stretch, 1, **values)(changed)

        found, _ = checked(written(changed), salt_id(world, "acme"))

        assert isinstance(found, MalformedError), values


def test_an_empty_ledger_has_no_surroundings(tmp_path: Path) -> None:
    world = World()
    Writer(world).born()
    tick(world, 4000)
    Writer(world).beat(epoch=1)
    tick(world)
    lines = opened(made(world, tmp_path, "acme"))
    changes: list[dict[str, object]] = [{"before": (OTHER,)}, {"after": (OTHER,)}, {"until": ""}]
    for values in changes:
        changed = lines.copy()
        change(Stretch, 0, **values)(changed)

        found, _ = checked(written(changed), salt_id(world, "acme"))

        assert isinstance(found, ProofError), values


def test_where_nothing_more_can_be_shown_the_rest_is_a_gap(tmp_path: Path) -> None:
    world = World()
    broken(world, slice(8, 9))

    data = made(world, tmp_path, "acme")

    found = proven(data, salt_id(world, "acme"))
    assert found.code == 4
    assert records_in(data) == ["0", "1", "2"]
    assert "segments 3 to the last" in found.gaps[0]


def test_a_birth_behind_a_gap_begins_anew(tmp_path: Path) -> None:
    world = World()
    node = Writer(world)
    node.born()
    sealed = [node.seal({"id": f"{n}"}) for n in range(6)]
    node.lose(*sealed[2:4])
    node.close()
    node.born()
    node.seal("6")
    tick(world, 4000)
    node.beat(checkpoint=node.checkpoint())
    tick(world)

    data = made(world, tmp_path, "acme")

    found = proven(data, salt_id(world, "acme"))
    assert found.code == 4
    assert records_in(data)[-1] == "6"


@pytest.mark.parametrize("elsewhere", [slice(0, 1), slice(9, 10)])
def test_a_gap_elsewhere_in_the_ledger_explains_nothing(tmp_path: Path, elsewhere: slice) -> None:
    world = World()
    node = broken(world, slice(4, 5))
    lines = opened(made(world, tmp_path, "acme"))
    at = next(n for n, line in enumerate(lines) if isinstance(line, Stretch) and line.gaps)
    start = elsewhere.start
    other = World()
    twin = broken(other, elsewhere)
    assert twin.node == node.node
    note, _ = other.stores["a"].objects[layout.gap_key(node.node, start, start + 1)]
    change(Stretch, 1, gaps=(note.decode(),))(lines)
    assert isinstance(lines[at], Stretch)

    error, claims = checked(written(lines), salt_id(world, "acme"))

    assert isinstance(error, MismatchError) and "elsewhere" in str(error)
    assert "declared gaps" in claims[-1]


def test_a_gap_of_another_ledger_explains_nothing(tmp_path: Path) -> None:
    world = World()
    broken(world, slice(4, 5))
    lines = opened(made(world, tmp_path, "acme"))
    other = Writer(world, 9)
    other.born()
    other.declare(*[other.seal(f"{n}") for n in range(7)][4:5])
    (foreign,) = [
        data
        for key, (data, _) in world.stores["a"].objects.items()
        if f"ev/gap/{other.node}" in key
    ]
    at = next(n for n, line in enumerate(lines) if isinstance(line, Stretch) and line.gaps)
    stretch = lines[at]
    assert isinstance(stretch, Stretch)
    lines[at] = replace(stretch, gaps=(foreign.decode(),))

    error, _ = checked(written(lines), salt_id(world, "acme"))

    assert isinstance(error, MismatchError)


# -- tampering -------------------------------------------------------------------------------------

Change = Callable[[list[Line]], None]


def of_kind(lines: list[Line], kind: type, n: int = 0) -> int:
    return [at for at, line in enumerate(lines) if type(line) is kind][n]


def change(kind: type, n: int = 0, **values: object) -> Change:
    """Set fields of the nth line of a kind."""

    def changing(lines: list[Line]) -> None:
        at = of_kind(lines, kind, n)
        lines[at] = replace(lines[at], **values)  # type: ignore[type-var]

    return changing


def shown(lines: list[Line], holds: Callable[[Shown], object], n: int = 0) -> tuple[int, Shown]:
    """The nth line of a segment like that, and where it is."""
    found = [(at, line) for at, line in enumerate(lines) if isinstance(line, Shown) and holds(line)]
    return found[n]


def drop_record(lines: list[Line]) -> None:
    at, line = shown(lines, lambda each: each.records > 1)
    lines[at] = replace(line, records=line.records - 1)
    del lines[at + 1]


def drop_all_records(lines: list[Line]) -> None:
    at, line = shown(lines, lambda each: each.records)
    lines[at : at + line.records + 1] = [replace(line, records=0)]


def swap_records(lines: list[Line]) -> None:
    at, _ = shown(lines, lambda each: each.records > 1)
    lines[at + 1], lines[at + 2] = lines[at + 2], lines[at + 1]


def move_record(lines: list[Line]) -> None:
    at, line = shown(lines, lambda each: each.records > 1)
    later, other = shown(lines, lambda each: each.records > 1, 1)
    lines[at], lines[later] = (
        replace(line, records=line.records - 1),
        replace(other, records=other.records + 1),
    )
    lines.insert(later, lines.pop(at + 1))


def double_record(lines: list[Line]) -> None:
    at, line = shown(lines, lambda each: each.records)
    lines[at] = replace(line, records=line.records + 1)
    lines.insert(at + 1, lines[at + 1])


def edit_record(lines: list[Line]) -> None:
    at, _ = shown(lines, lambda each: each.records)
    record = lines[at + 1]
    assert isinstance(record, bytes)
    lines[at + 1] = record.replace(b'"a"', b'"b"', 1)


def only_name(lines: list[Line]) -> None:
    at, line = shown(lines, lambda each: each.records)
    lines[at : at + line.records + 1] = [Named(line.segment)]


def only_name_absent(lines: list[Line]) -> None:
    at, line = shown(lines, lambda each: each.beside)
    lines[at] = Named(line.segment)


def take_neighbour(which: int) -> Change:
    def changing(lines: list[Line]) -> None:
        at, line = shown(lines, lambda each: len(each.beside) == 2)
        lines[at] = replace(line, beside=line.beside[which : which + 1], leaf=line.leaf + which)

    return changing


def forge_neighbour(lines: list[Line]) -> None:
    at, line = shown(lines, lambda each: each.beside)
    lines[at] = replace(line, beside=("0" * 64 + line.beside[0][64:], *line.beside[1:]))


def deny(lines: list[Line]) -> None:
    """The tenant's own leaf as if it were another's."""
    at, line = shown(lines, lambda each: each.records)
    own = [json.loads(each) for each in lines[at + 1 : at + 1 + line.records]]  # type: ignore[arg-type]
    assert own
    records = [each[:-1] for each in lines[at + 1 : at + 1 + line.records]]  # type: ignore[index]
    head = lines[0]
    assert isinstance(head, Head)
    index = int(line.segment[:10], 16)
    node = head.nodes[0]
    tag, blind = (each(head.salt, node, index) for each in (tenants.tag, tenants.blind))
    leaf = tenants.tenant_leaf(tag, blind, len(records), merkle.root(merkle.leaf_hashes(records)))  # type: ignore[arg-type]
    lines[at : at + line.records + 1] = [replace(line, beside=(leaf.decode(),), records=0)]


def drop_last_segment(lines: list[Line]) -> None:
    at = of_kind(lines, Stretch, 0)
    stretch = lines[at]
    assert isinstance(stretch, Stretch)
    lines[at] = replace(stretch, end=stretch.end - 1)
    last, line = [
        (n, each)
        for n, each in enumerate(lines[: of_kind(lines, Stretch, 1)])
        if isinstance(each, Shown)
    ][-1]
    del lines[last : last + 1 + line.records]


def drop_first_segment(lines: list[Line]) -> None:
    at = of_kind(lines, Stretch, 0)
    stretch, line = lines[at], lines[at + 1]
    assert isinstance(stretch, Stretch) and isinstance(line, Shown)
    leaf = merkle.leaf_hash(line.segment.encode())
    lines[at] = replace(stretch, start=1, before=(leaf,))
    del lines[at + 1 : at + 2 + line.records]


def drop_node(lines: list[Line]) -> None:
    del lines[of_kind(lines, Stretch, 1) :]


def swap_nodes(lines: list[Line]) -> None:
    at = of_kind(lines, Stretch, 1)
    lines[1:] = [*lines[at:], *lines[1:at]]


def swap_certificates(lines: list[Line]) -> None:
    first, second = (of_kind(lines, Stretch, n) for n in (0, 1))
    one, other = lines[first], lines[second]
    assert isinstance(one, Stretch) and isinstance(other, Stretch)
    lines[first] = replace(one, certificate=other.certificate)


def until_of_another(lines: list[Line]) -> None:
    first, second = (of_kind(lines, Stretch, n) for n in (0, 1))
    one, other = lines[first], lines[second]
    assert isinstance(one, Stretch) and isinstance(other, Stretch)
    lines[first], lines[second] = replace(one, until=other.until), replace(other, until=one.until)


def repeat_segment(lines: list[Line]) -> None:
    at, line = shown(lines, lambda each: each.beside)
    lines.insert(at, line)


def show_node_twice(lines: list[Line]) -> None:
    head, second = lines[0], of_kind(lines, Stretch, 1)
    assert isinstance(head, Head)
    lines[0] = replace(head, nodes=(head.nodes[0], head.nodes[0], head.nodes[1]))
    lines[second:second] = lines[1:second]


def show_no_node(lines: list[Line]) -> None:
    change(Head, nodes=())(lines)
    del lines[1:]


OTHER = b"\x05" * 32
TAMPERINGS: dict[str, Change] = {
    "a record less": drop_record,
    "no record at all": drop_all_records,
    "records in another order": swap_records,
    "a record in another segment": move_record,
    "a record twice": double_record,
    "another record": edit_record,
    "a segment with records only named": only_name,
    "a segment without the tenant only named": only_name_absent,
    "its left neighbour taken away": take_neighbour(1),
    "its right neighbour taken away": take_neighbour(0),
    "a forged neighbour": forge_neighbour,
    "its own leaf passed for another's": deny,
    "the last segment left out": drop_last_segment,
    "the first segment left out": drop_first_segment,
    "a segment twice": repeat_segment,
    "a node's part left out": drop_node,
    "nodes in another order": swap_nodes,
    "another node's certificate": swap_certificates,
    "bounded by another node's word": until_of_another,
    "bounded by nothing": change(Stretch, 1, until=""),
    "no head": change(Stretch, 0, head=""),
    "another salt": change(Head, salt=OTHER),
    "another tenant": change(Head, tenant="b"),
    "a time without length": change(Head, to_us=START_US),
    "a wider time behind": change(Head, to_us=2**56 - 1, complete_through_us=2**56),
    "no time that there is": change(Head, to_us=2**60, complete_through_us=2**60),
    "later than all is known": change(Head, complete_through_us=START_US + 1),
    "a node twice": lambda lines: change(Head, nodes=(lines[0].nodes[0],) * 2)(lines),  # type: ignore[union-attr]
    "a node's part twice": show_node_twice,
    "no node at all": show_no_node,
    "no node": change(Head, nodes=()),
    "another leaf's place": change(Shown, 0, leaf=7),
    "another surrounding": change(Shown, 0, before=(OTHER,)),
    "surroundings where there are none": change(Stretch, 0, before=(OTHER,)),
    "more behind the last name": change(Stretch, 0, after=(OTHER,)),
    "more surrounding": change(Shown, 0, after=(OTHER,) * 3),
    "hashes beside records": change(Shown, 1, hashes=(OTHER,)),
    "hashes beside leaves": lambda lines: change(
        Shown,
        [x for x in lines if isinstance(x, Shown)].index(shown(lines, lambda x: x.beside)[1]),
        hashes=(OTHER,),
    )(lines),
    "something behind the end": lambda lines: lines.append(Named("x")),
    "an empty line": lambda lines: lines.insert(1, b"\n"),
    "another start": change(Stretch, 0, start=1),
    "another end": change(Stretch, 0, end=7),
    "an end beyond the head": change(Stretch, 0, end=2**40),
    "a gap without a note": change(Stretch, 1, gaps=("x",)),
    "nothing shown, and no gap": change(Stretch, 0, end=0),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_changed_certificate_is_never_proven(world: World, good: bytes, name: str) -> None:
    lines = opened(good)

    TAMPERINGS[name](lines)

    changed = written(lines)
    assert changed != good
    for known in (salt_id(world, "acme"), None):
        found, _ = checked(changed, known)
        if known is None and isinstance(found, Proven):
            assert found.code == 3  # absence by a salt that may be anybody's
        else:
            assert isinstance(found, MismatchError | MalformedError | SignatureError), found


def test_without_the_salt_id_absence_is_only_stated(world: World, cache: Path) -> None:
    lines = opened(made(world, cache, "acme"))
    whole, _ = checked(written(lines), None)
    head = lines[0]
    assert isinstance(head, Head)

    other, claims = checked(written(lines), salt_id(world, "b"))

    assert isinstance(whole, Proven)
    assert whole.code == 3 and whole.facts()["of them without the tenant"] is None
    assert "salt id tells" in whole.reason
    assert any("nothing in" in each for each in whole.stated)
    assert isinstance(other, MismatchError) and "salt" in claims[-1]


def test_where_the_tenant_is_in_every_segment_no_salt_id_is_needed(tmp_path: Path) -> None:
    world = World()
    node = Writer(world)
    node.born()
    for n in range(4):
        node.seal({"id": f"{n}", "tenant": "acme"}, {"id": f"{n}", "tenant": "b"})
    tick(world, 4000)
    node.beat(checkpoint=node.checkpoint())
    tick(world)

    assert proven(made(world, tmp_path, "acme"), None).events == 4


def test_a_word_that_is_too_old_or_of_an_epoch_before_bounds_nothing(
    world: World, cache: Path, good: bytes
) -> None:
    lines = opened(good)
    (other,) = [node for node in (Writer(world, 7), Writer(world, 8)) if _is_second(node, lines)]
    other.epoch, other.end = 1, _end_of(lines)
    keep = dict(world.stores["a"].objects)
    for promise_us, size, epoch in (
        (END_US - 2, 5, 1),
        (END_US, 4, 1),
        (END_US, 6, 1),
        (END_US, 5, 0),
    ):
        other.beat(promise_us, size, epoch=epoch, regions=("a",))
        word = world.stores["a"].objects[f"ctl/hb/{other.node}.note"][0].decode()
        change(Stretch, _second(lines), until=word)(lines)

        error, claims = checked(written(lines), salt_id(world, "acme"))

        assert isinstance(error, MismatchError), (promise_us, size, epoch)
        assert "nothing more" in claims[-1]
    world.stores["a"].objects.clear()
    world.stores["a"].objects.update(keep)


def _second(lines: list[Line]) -> int:
    """Which of the stretches is that of the living node: it has five segments."""
    stretches = [line for line in lines if isinstance(line, Stretch)]
    return next(n for n, stretch in enumerate(stretches) if stretch.end == 5)


def _is_second(node: Writer, lines: list[Line]) -> bool:
    head = lines[0]
    assert isinstance(head, Head)
    return head.nodes[_second(lines)] == node.node


def _end_of(lines: list[Line]) -> ledgers.LedgerEnd:
    return ledgers.LedgerEnd(5, 5, 1, merkle.CompactRange(5, (OTHER, OTHER)))


def test_a_cut_certificate_is_never_proven(world: World, good: bytes) -> None:
    known = salt_id(world, "acme")
    ends = [n + 1 for n, byte in enumerate(good) if byte == 10][:-1]

    for cut in (*ends, *(end - 7 for end in ends)):
        found, _ = checked(good[:cut], known)
        assert isinstance(found, ProofError), cut


def test_no_byte_can_be_changed_but_what_is_only_stated(world: World, good: bytes) -> None:
    """Whatever is still proven is what was proven: but for the time asked for, which is checked by
    itself, and for what the first line states."""
    known, draw = salt_id(world, "acme"), random.Random(3)
    facts = _told(proven(good, known))
    first = good.index(b"\n")
    stated = (good.index(b'"from_us"'), good.index(b'"nodes"'))
    places = [*range(0, stated[0], 3), *range(stated[1], first + 1)]
    places += draw.sample(range(first + 1, len(good)), 250)

    for place in places:
        changed = bytearray(good)
        changed[place] ^= 1 << draw.randrange(8)
        found, _ = checked(bytes(changed), known)

        assert isinstance(found, ProofError) or _told(found) == facts, place
    assert facts


def _told(found: Proven) -> dict[str, object]:
    return found.facts()


def test_a_certificate_of_less_is_one_of_less(world: World, good: bytes) -> None:
    lines = opened(good)
    change(Head, from_us=minute(1))(lines)

    found, _ = checked(written(lines), salt_id(world, "acme"))

    assert isinstance(found, Proven)
    assert "08:01:00" in str(found.facts()["received"])


def test_every_microsecond_of_the_time_must_be_shown(tmp_path: Path) -> None:
    world = World()
    node = Writer(world)
    node.born()
    names = []
    for n in range(5):
        names.append(node.seal({"id": f"{n}", "tenant": "acme"}).name)
        tick(world, 60)
    tick(world, 4000)
    node.beat(checkpoint=node.checkpoint())
    tick(world)
    first, third = names[1].sealed_us, names[3].sealed_us
    lines = opened(made(world, tmp_path, "acme", first + 1, third + 1))
    known = salt_id(world, "acme")
    assert [type(line) for line in lines[2:]] == [Named, Shown, bytes, Shown, bytes]

    for values in ({"from_us": first}, {"to_us": third + 2}, {"to_us": third + 3}):
        changed = lines.copy()
        change(Head, **values)(changed)
        assert isinstance(checked(written(changed), known)[0], ProofError), values
    exact = opened(made(world, tmp_path, "acme", first, third + 1))
    assert [type(line) for line in exact[2:6]] == [Named, Shown, bytes, Shown]
    own = exact[3]
    assert isinstance(own, Shown)
    error, _ = checked(written([*exact[:3], Named(own.segment), *exact[5:]]), known)
    assert isinstance(error, MismatchError) and "only named" in str(error)
    later = opened(made(world, tmp_path, "acme", first + 1, third + 2))
    assert [type(line) for line in later[2:]] == [Named, *[Shown, bytes] * 3]
    last = later[-2]
    assert isinstance(last, Shown)
    error, _ = checked(written([*later[:-2], Named(last.segment)]), known)
    assert isinstance(error, MismatchError) and "only named" in str(error)


def test_a_wider_time_is_not_proven_by_what_was_shown_of_a_narrower(
    world: World, cache: Path
) -> None:
    lines = opened(made(world, cache, "acme", minute(4.5), minute(5.5)))
    wider: list[dict[str, int]] = [{"from_us": minute(0)}, {"to_us": END_US}]

    for values in wider:
        changed = lines.copy()
        change(Head, **values)(changed)
        found, _ = checked(written(changed), salt_id(world, "acme"))

        assert isinstance(found, MismatchError), values


def test_another_trails_certificate_is_refuted(good: bytes, world: World) -> None:
    found, claims = checked(good, salt_id(world, "acme"), "0" * 32)

    assert isinstance(found, MismatchError)
    assert "admitted" in claims[-1]
    assert TRAIL.trail not in claims[-1]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 11, 16, 21])
def test_any_neighbouring_leaves_and_what_surrounds_them_give_the_root(size: int) -> None:
    leaves = merkle.leaf_hashes([b"%d" % n for n in range(size)])
    for start in range(size):
        for end in range(start + 1, size + 1):
            before, after = paths.before(leaves, start), paths.after(leaves, end)
            found = merkle.CompactRange(start, before)
            for leaf in leaves[start:end]:
                found = found.append(leaf)

            assert found.root_within(size, after) == merkle.root(leaves)
            assert after == paths.after(leaves[start:], end - start, start)
            if end == start + 1:
                path = paths.inclusion_path(leaves, start)
                assert sorted((*before, *after)) == sorted(path)
            for wrong in ((*after, OTHER), after[:-1]) if after else ((OTHER,),):
                with pytest.raises(MalformedError):
                    found.root_within(size, wrong)


# -- of all tenants --------------------------------------------------------------------------------


@pytest.mark.parametrize("records", [True, False])
def test_a_certificate_of_all_has_every_event_of_every_tenant(
    world: World, tmp_path: Path, records: bool
) -> None:
    data = made(world, tmp_path, None, records=records)

    found = proven(data, None)

    every = [id for tenant in TENANTS for id in _expected(tenant)]
    assert sorted(records_in(data)) == (sorted(every) if records else [])
    assert (found.code, found.records + found.hashes) == (0, len(every))


WHOLE: list[Callable[[Whole], Whole]] = [
    lambda line: replace(line, hashes=(bytes(32), *line.hashes[1:])),
    lambda line: replace(line, hashes=(*line.hashes[1:], line.hashes[0])),
    lambda line: replace(line, hashes=line.hashes[1:]),
    lambda line: replace(line, hashes=(*line.hashes, bytes(32))),
    lambda line: replace(line, counts=(line.counts[0] - 1, *line.counts[1:])),
    lambda line: replace(line, counts=(0, *line.counts[1:])),
    lambda line: replace(line, blinds=(bytes(32), *line.blinds[1:])),
    lambda line: replace(line, tags=("0" * 64, *line.tags[1:])),
    lambda line: replace(line, tags=line.tags[1:], blinds=line.blinds[1:]),
    lambda line: replace(
        line,
        tags=line.tags[1:],
        blinds=line.blinds[1:],
        counts=line.counts[1:],
        hashes=line.hashes[line.counts[0] :],
    ),
    lambda line: replace(line, records=len(line.hashes)),
]


@pytest.mark.parametrize("change", WHOLE)
def test_whatever_is_changed_in_a_certificate_of_all_it_no_longer_holds(
    world: World, tmp_path: Path, change: Callable[[Whole], Whole]
) -> None:
    lines = opened(made(world, tmp_path, None, records=False))
    at = next(n for n, line in enumerate(lines) if isinstance(line, Whole) and len(line.tags) > 1)
    line = lines[at]
    assert isinstance(line, Whole)

    found, _ = checked(written([*lines[:at], change(line), *lines[at + 1 :]]), None)

    assert isinstance(found, ProofError)


def test_a_segment_in_question_is_shown_whole_or_refuted(world: World, tmp_path: Path) -> None:
    lines = opened(made(world, tmp_path, None, records=False))
    named = [Named(line.segment) if isinstance(line, Whole) else line for line in lines]

    found, _ = checked(written(named), None)

    assert isinstance(found, MismatchError)
