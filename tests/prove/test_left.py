"""Over a time of which rules let something go, what is left is proven to be all that is left."""

import asyncio
import dataclasses
import functools
import io
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.archive.rules import Rule
from holdfast.model import Query
from holdfast.proof import (
    MalformedError,
    MismatchError,
    ProofError,
    SignatureError,
    export,
    merkle,
    names,
    tenants,
)
from holdfast.proof.certificate import Head, HeadOfLeft, Shown
from holdfast.proof.floors import Floor, ProvableFloor, Tree, verify_floor
from holdfast.proof.left import Gone, Left, Stated, WholeLeft
from holdfast.prove.export import Asked
from holdfast.prove.prover import Prover
from holdfast.prove.stretches import Span
from holdfast.regions import kinds, signing
from holdfast.regions.signing import SigningKey
from holdfast.regions.units import DAY_US, HOUR_US
from holdfast.serve.files import FILES
from tests.archive.days import FIRST_US, archivist, person
from tests.proof.proofs import drained
from tests.prove.certificates import Line, checked, opened, proven, records_in, written
from tests.read.trails import TRAIL, World, Writer
from tests.retention.years import Years

DEBUG = Rule("debug", actions=("debug.*",), max=2)
NOISE = Rule("noise", actions=("noise",), max=1)
SPAN = (FIRST_US, FIRST_US + DAY_US)
EVENTS = [  # of each of three segments
    ("a", "pay"),
    ("a", "debug.x"),
    ("b", "debug.x"),
    ("a", "noise"),
    ("c", "debug.y"),
    ("c", "noise"),
    ("a", "debug.y"),
    ("a", "pay"),
    ("d", "pay"),
]
TENANTS = {"a": "acme", "b": "blå", "c": "c", "d": "dörte"}
GONE = {"acme": 9, "blå": 3, "c": 6, "dörte": 0, "nobody": 0, None: 18}
KEPT = {"acme": 6, "blå": 0, "c": 0, "dörte": 3, "nobody": 0, None: 9}
Of = tuple[str | None, bool]


def _trail(world: World) -> None:
    world.now_us = FIRST_US + HOUR_US
    writer = Writer(world)
    writer.born()
    for number in range(3):
        world.now_us += HOUR_US
        events: list[dict[str, object]] = [
            {"id": f"{number}-{n}", "action": action, "tenant": TENANTS[whose]}
            for n, (whose, action) in enumerate(EVENTS)
        ]
        writer.seal(*events)
    world.now_us = FIRST_US + 4 * DAY_US
    writer.beat()
    writer.close()


async def _made(folder: Path) -> tuple[dict[Of, bytes], tuple[bytes, bytes]]:
    world = World()
    _trail(world)
    keeper = await archivist(world, folder / "keeper", DEBUG, NOISE)
    await keeper.archive(DAY_US)
    found = Years(world, keeper)
    await found.sweep()
    await found.retention(DEBUG, NOISE).expire()
    reader = world.reader(folder / "cache")
    await reader.open()
    await reader.pass_once()
    regions = world.regions()
    regions.tag_key = kinds.verify_cookie(TRAIL.cookie("a"), TRAIL.trail).statement.tag_key
    prover = Prover(reader, regions, world.host, 1.0, lambda: person(world))
    made = {
        (tenant, records): b"".join(
            [piece async for piece in prover.certifier.certificate(tenant, *SPAN, records)]
        )
        for tenant in KEPT
        for records in (True, False)
    }
    asked = Asked(Span(*SPAN), Query(tenant="acme"), "ndjson")
    file = b"".join([piece async for piece in prover.exporter.file(asked, FILES["ndjson"])])
    return made, (file, await prover.exporter.receipt(asked, FILES["ndjson"]))


@functools.cache
def made() -> tuple[dict[Of, bytes], tuple[bytes, bytes]]:
    """Certificates of a day of which two classes were let go, by whose they are and whether with
    records; and an export of acme's, with its receipt."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_made(Path(folder)))


def certificates() -> dict[Of, bytes]:
    return made()[0]


def good(tenant: str | None = "acme", records: bool = True) -> bytes:
    return certificates()[tenant, records]


def known(data: bytes) -> str | None:
    """The salt id of whom it is of."""
    head = opened(data)[0]
    return tenants.salt_id(head.salt) if isinstance(head, Head) else None


@pytest.mark.parametrize("records", [True, False])
@pytest.mark.parametrize("tenant", KEPT)
def test_all_that_is_left_is_proven_and_what_went_is_named(
    tenant: str | None, records: bool
) -> None:
    data = good(tenant, records)

    found = proven(data, known(data))

    assert found.code == 0
    assert (found.records, found.hashes) == ((KEPT[tenant], 0) if records else (0, KEPT[tenant]))
    assert sum(count for _, count in found.let_go) == GONE[tenant]
    classes = {floor.retention for floor, _ in found.let_go}
    assert classes == {"acme": {"debug", "noise"}, "blå": {"debug"}}.get(
        str(tenant), {"debug", "noise"} if GONE[tenant] else set()
    )
    if GONE[tenant]:
        assert found.reason == (
            f"but for up to {GONE[tenant]} records that rules of retention let go"
        )
        assert any("by class debug: actions" in each for each in found.facts()["not shown"])  # type: ignore[attr-defined]
    assert len(records_in(data)) == (KEPT[tenant] if records else 0)


@pytest.mark.parametrize("records", [True, False])
def test_an_export_is_proven_to_have_all_that_is_left(records: bool) -> None:
    file, receipt = made()[1]
    proof, salt_id = good("acme", records), known(good("acme"))

    def check(file: bytes, proof: bytes) -> export.Proven:
        beside = io.BytesIO(proof)
        return drained(export.check(receipt, io.BytesIO(file), TRAIL.trail, beside, salt_id))

    found = check(file, proof)

    assert (found.code, found.said.complete, found.said.events) == (0, "stated", 6)
    assert found.complete.startswith("proven by the certificate, but for what rules let go")
    assert found.reason.startswith("but for up to 9 records")
    with pytest.raises(MismatchError, match="another time or tenant"):
        check(file, good("dörte", records))
    with pytest.raises(MismatchError):
        check(file, bent(good(), withhold))


def test_each_floor_is_shown_once_and_only_where_something_rests_on_it() -> None:
    of = {tenant: opened(good(tenant)) for tenant in KEPT}

    floors = {t: sum(isinstance(line, Stated) for line in lines) for t, lines in of.items()}

    assert floors == {"acme": 2, "blå": 1, "c": 2, "dörte": 0, "nobody": 0, None: 2}
    assert sum(isinstance(line, Gone) for line in of["acme"]) == 6


def test_a_certificate_shows_nothing_of_other_tenants() -> None:
    mine = {each for line in opened(good("acme")) if isinstance(line, Gone) for each in line.leaves}
    every = {each for line in opened(good(None)) if isinstance(line, Gone) for each in line.leaves}
    tags = {leaf.split(" ")[0] for leaf in every - mine}

    assert len(mine) == 6 and len(tags) == 6
    assert not any(tag.encode() in good("acme") for tag in tags)


# -- what must never be proven ---------------------------------------------------------------------


def lost(lines: list[Line], kind: type, n: int = 0) -> int:
    return [at for at, line in enumerate(lines) if type(line) is kind][n]


def change(kind: type, n: int = 0, **values: object) -> Callable[[list[Line]], None]:
    def changing(lines: list[Line]) -> None:
        at = lost(lines, kind, n)
        lines[at] = replace(lines[at], **values)  # type: ignore[type-var]

    return changing


SPEAKER = SigningKey(names.ledger_origin(TRAIL.trail, TRAIL.trail), TRAIL.signing.private)
STRANGER = SigningKey.generate(SPEAKER.name, bytes(32))


def restate(key: SigningKey = SPEAKER, **values: Any) -> Callable[[list[Line]], None]:
    """Have the first floor say something else, signed all the same by whom it should be."""

    def changing(lines: list[Line]) -> None:
        at = lost(lines, Stated)
        line = lines[at]
        assert isinstance(line, Stated)
        floor = verify_floor(line.note.encode(), TRAIL.trail).statement
        data = signing.write(replace(floor, **values), names.trail_origin(TRAIL.trail), key)
        lines[at] = Stated(data.decode())

    return changing


def downgrade(lines: list[Line]) -> None:
    """The floor as version 1 has it."""
    at = lost(lines, Stated)
    line = lines[at]
    assert isinstance(line, Stated)
    floor = verify_floor(line.note.encode(), TRAIL.trail).statement
    old = Floor(**{each.name: getattr(floor, each.name) for each in dataclasses.fields(Floor)})
    lines[at] = Stated(signing.write(old, names.trail_origin(TRAIL.trail), SPEAKER).decode())


def withhold(lines: list[Line]) -> None:
    """A record that is kept is not shown."""
    at = lost(lines, Left)
    line = lines[at]
    assert isinstance(line, Left)
    lines[at] = replace(line, records=line.records - 1)
    del lines[next(n for n, each in enumerate(lines) if isinstance(each, bytes))]


def pass_off(lines: list[Line]) -> None:
    """A record that is kept is said to have gone with the others."""
    withhold(lines)
    at = lost(lines, Gone)
    line = lines[at]
    assert isinstance(line, Gone)
    tag, count, *_ = line.leaves[0].split(" ")
    record = next(each for each in opened(good()) if isinstance(each, bytes))
    hashes = (merkle.leaf_hash(record[:-1]), *line.hashes)
    lines[at] = replace(line, leaves=(f"{tag} {count} 0-2 4-5",), hashes=hashes)


def hide_all(lines: list[Line]) -> None:
    """Nothing is said to be left where something is."""
    at = lost(lines, Left)
    line = lines[at]
    assert isinstance(line, Left)
    whole = next(each for each in opened(good(None)) if isinstance(each, WholeLeft))
    hidden = merkle.leaf_hash(whole.tags[0].encode())
    lines[at] = replace(line, records=0, hidden=(hidden,))
    del lines[at + 5 : at + 5 + line.records]


def as_if_nothing_went(lines: list[Line]) -> None:
    at = lost(lines, Left)
    line = lines[at]
    assert isinstance(line, Left)
    lines[at : at + 5] = [
        Shown(line.segment, line.leaf, line.before, line.after, (), (), line.records)
    ]


def as_version_1(lines: list[Line]) -> None:
    head = lines[0]
    assert isinstance(head, HeadOfLeft)
    lines[0] = Head(**{each.name: getattr(head, each.name) for each in dataclasses.fields(Head)})


def drop(kind: type, n: int = 0) -> Callable[[list[Line]], None]:
    def dropping(lines: list[Line]) -> None:
        del lines[lost(lines, kind, n)]

    return dropping


def swap_gone(lines: list[Line]) -> None:
    """Both floors of the first segment, with their lines, the other way round."""
    at = lost(lines, Left) + 1
    lines[at : at + 4] = [*lines[at + 2 : at + 4], *lines[at : at + 2]]


def early_floor(lines: list[Line]) -> None:
    """Both floors, in front of the first that something rests on."""
    first, second = lost(lines, Stated), lost(lines, Stated, 1)
    lines[first], lines[second] = lines[second], lines[first]


def repeat_floor(lines: list[Line]) -> None:
    lines.insert(lost(lines, Gone, 2), lines[lost(lines, Stated)])


def swap_segments(lines: list[Line]) -> None:
    """What a floor says of one segment is shown of another."""
    one, other = lost(lines, Gone, 0), lost(lines, Gone, 2)
    lines[one], lines[other] = lines[other], lines[one]


def few_rows(lines: list[Line]) -> None:
    """Each floor is of fewer records than are missing by it."""
    line = lines[lost(lines, Stated)]
    assert isinstance(line, Stated)
    floor = verify_floor(line.note.encode(), TRAIL.trail).statement
    assert isinstance(floor, ProvableFloor)
    restate(rows=floor.gone.size)(lines)


OTHER = bytes(32)
BAD: dict[str, tuple[Callable[[list[Line]], None], type[ProofError], str]] = {
    "a kept record that is not shown": (withhold, MismatchError, "did not go"),
    "a kept record passed off as let go": (pass_off, MismatchError, "let others go"),
    "a tenant said to have nothing left": (hide_all, MismatchError, "did not go"),
    "a missing leaf that no floor covers": (as_if_nothing_went, MismatchError, "something else"),
    "a file of version 1": (as_version_1, MalformedError, "segment"),
    "no floor": (drop(Stated), MalformedError, "is not here"),
    "a line fewer than is said": (drop(Gone, 1), MalformedError, "gone"),
    "floors in another order": (swap_gone, MalformedError, "in order"),
    "floors in another place": (early_floor, MalformedError, "in front of"),
    "a floor twice": (repeat_floor, MalformedError, "twice"),
    "what went of another segment": (swap_segments, MismatchError, "another tenant's"),
    "a floor of version 1": (downgrade, MalformedError, "which records"),
    "a floor over other leaves": (
        restate(gone=Tree(9, OTHER)),
        MismatchError,
        "let others go",
    ),
    "a floor over fewer leaves": (restate(gone=Tree(3, OTHER)), MalformedError, "does not fit"),
    "a floor before its time": (restate(min=4, max=9), MismatchError, "before 4 days"),
    "a floor of a day before": (
        restate(unit="2026-02-28"),
        MalformedError,
        "in front of",
    ),
    "a floor of another class": (restate(retention="x"), MalformedError, "in front of"),
    "a floor that a stranger signed": (restate(STRANGER), SignatureError, "known key"),
    "other hashes": (change(Gone, hashes=(OTHER, OTHER)), MismatchError, "something else"),
    "a hash fewer": (change(Gone, hashes=(OTHER,)), MalformedError, "want a hash"),
    "a hash more": (change(Gone, hashes=(OTHER,) * 3), MalformedError, "want a hash"),
    "no leaf": (change(Gone, leaves=()), MismatchError, "let others go"),
    "no floors": (change(Left, floors=0), MalformedError, "nothing went"),
    "hashes beside records": (change(Left, hashes=(OTHER,)), MalformedError, "more or less"),
    "a hidden leaf beside records": (change(Left, hidden=(OTHER,)), MismatchError, "did not go"),
    "another leaf of the segment": (change(Left, leaf=1), MalformedError, "hashes"),
}


def bent(data: bytes, how: Callable[[list[Line]], None]) -> bytes:
    lines = opened(data)
    how(lines)
    return written(lines)


@pytest.mark.parametrize("name", BAD)
def test_a_bent_certificate_is_never_proven(name: str) -> None:
    how, kind, why = BAD[name]

    found, _ = checked(bent(good(), how), known(good()))

    assert isinstance(found, kind), found
    assert why in str(found)


def of_whole(**values: Callable[[WholeLeft], object]) -> Callable[[list[Line]], None]:
    def changing(lines: list[Line]) -> None:
        at = lost(lines, WholeLeft)
        line = lines[at]
        assert isinstance(line, WholeLeft)
        lines[at] = replace(line, **{n: value(line) for n, value in values.items()})  # type: ignore[arg-type]

    return changing


WHOLE: dict[str, Callable[[list[Line]], None]] = {
    "another blind": of_whole(blinds=lambda line: (OTHER, *line.blinds[1:])),
    "a blind fewer": of_whole(blinds=lambda line: line.blinds[1:]),
    "another hidden leaf": of_whole(hidden=lambda line: (OTHER, *line.hidden[1:])),
    "hidden leaves in another order": of_whole(hidden=lambda line: line.hidden[::-1]),
    "a tenant hidden that has something left": of_whole(
        hidden=lambda line: (*line.hidden, line.blinds[0]), blinds=lambda line: line.blinds[1:]
    ),
    "other counts": of_whole(counts=lambda line: (line.counts[0] + 1, *line.counts[1:])),
    "a tag fewer": of_whole(tags=lambda line: line.tags[1:]),
    "a record fewer": of_whole(hashes=lambda line: line.hashes[1:]),
    "a record more": of_whole(hashes=lambda line: (*line.hashes, OTHER)),
    "no floors": of_whole(floors=lambda line: 0),
    "a floor of fewer records": few_rows,
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_bent_certificate_of_all_is_never_proven(name: str) -> None:
    found, _ = checked(bent(good(None, False), WHOLE[name]), None)

    assert isinstance(found, MalformedError | MismatchError), found


@pytest.mark.parametrize("of", [("acme", True), ("blå", False), (None, False)])
@given(st.data())
@settings(deadline=None)  # the first is of a trail that is made for it
def test_no_byte_can_be_changed_but_what_is_only_stated(of: Of, data: st.DataObject) -> None:
    whole, salt_id = certificates()[of], known(certificates()[of])
    head, nodes = whole.index(b"\n"), whole.index(b'"nodes"')
    # Where there is no record, that the salt is of whom it says is only stated, too.
    asked = whole.index(b'"tenant"' if of == ("blå", False) else b'"from_us"')
    place = data.draw(
        st.integers(0, asked - 1) | st.integers(nodes, head) | st.integers(head + 1, len(whole) - 1)
    )
    changed = bytearray(whole)
    changed[place] ^= data.draw(st.integers(1, 255))

    found, _ = checked(bytes(changed), salt_id)

    assert isinstance(found, ProofError) or found.facts() == facts_of(of)


@functools.cache
def facts_of(of: Of) -> dict[str, object]:
    return proven(certificates()[of], known(certificates()[of])).facts()
