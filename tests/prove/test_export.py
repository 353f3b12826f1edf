"""An export has each record that was asked for, in one order, and goes on where it was cut off."""

import asyncio
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from holdfast.errors import RejectedError
from holdfast.model import Query
from holdfast.proof import MismatchError, export, merkle, names
from holdfast.proof.export import Proven
from holdfast.prove.export import NOTHING, Asked, Had
from holdfast.prove.prover import Prover
from holdfast.prove.stretches import Span
from holdfast.regions import signing
from holdfast.regions.signing import SigningKey
from holdfast.serve.files import FILES
from holdfast.times import parse_time
from holdfast.write.identity import speak_for_trail
from tests.proof.proofs import drained
from tests.prove.certificates import END_US, made, salt_id
from tests.prove.test_certificate import TENANTS, _expected, broken, trail
from tests.read.trails import SECOND_US, START_US, TRAIL, World, Writer, tick

HOUR = Span(START_US, END_US)


@dataclass(frozen=True)
class Exported:
    """A file, in the pieces in which it came, and its receipt."""

    pieces: Sequence[bytes]
    receipt: bytes

    @property
    def file(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def ids(self) -> list[str]:
        return [json.loads(line)["id"] for line in self.file.splitlines()]


def exported(
    world: World,
    cache: Path,
    query: Query | None = None,
    span: Span = HOUR,
    *,
    kind: str = "ndjson",
    had: Had = NOTHING,
) -> Exported:
    async def main() -> Exported:
        reader, regions = world.reader(cache), world.regions()
        await regions.verify()
        signer = speak_for_trail(TRAIL.trail, TRAIL.signing, world.host)
        try:
            await reader.pass_once()
            exporter = Prover(reader, regions, world.host, 1.0, lambda: signer).exporter
            asked = Asked(span, query or Query(), kind)
            pieces = [piece async for piece in exporter.file(asked, FILES[kind], had)]
            return Exported(pieces, await exporter.receipt(asked, FILES[kind]))
        finally:
            await reader.stop()

    return asyncio.run(main())


def checked(
    of: Exported, proof: bytes | None = None, salt: str | None = None, file: bytes | None = None
) -> Proven:
    content = io.BytesIO(of.file if file is None else file)
    beside = None if proof is None else io.BytesIO(proof)
    return drained(export.check(of.receipt, content, TRAIL.trail, beside, salt))


def signed_anew(of: Exported, file: bytes) -> Exported:
    """By an exporter that lies: the receipt of another file under the trail's own key."""
    lines = file.splitlines()
    said = checked(of).said
    changed = export.Export(
        **vars(said)
        | {
            "sha256": hashlib.sha256(file).digest(),
            "bytes": len(file),
            "events": len(lines),
            "root": merkle.root(merkle.leaf_hashes(lines)),
        }
    )
    key = SigningKey(names.ledger_origin(TRAIL.trail, TRAIL.trail), TRAIL.signing.private)
    receipt = signing.write(changed, names.trail_origin(TRAIL.trail), key)
    return Exported((file,), receipt)


@pytest.fixture(scope="module")
def world() -> World:
    world = World()
    trail(world)
    return world


def test_all_records_of_a_time_are_in_the_order_of_the_ledgers(
    world: World, tmp_path: Path
) -> None:
    found = exported(world, tmp_path)

    assert sorted(found.ids) == sorted(id for tenant in TENANTS for id in _expected(tenant))
    said = checked(found).said
    assert said.events == len(found.ids)
    assert said.complete == "provable"
    assert [(one.start, one.end) for one in said.ledger] in ([(0, 8), (0, 5)], [(0, 5), (0, 8)])


def test_a_certificate_of_all_proves_that_none_is_left_out(world: World, tmp_path: Path) -> None:
    found = exported(world, tmp_path)
    proof = made(world, tmp_path, None)
    lines = found.file.splitlines(keepends=True)

    assert checked(found, proof).complete == "proven by the certificate"

    for at in range(0, len(lines), 5):
        without = signed_anew(found, b"".join(lines[:at] + lines[at + 1 :]))
        checked(without)  # the signer's word holds
        with pytest.raises(MismatchError, match="not in the file there"):
            checked(without, proof)
    swapped = signed_anew(found, b"".join([*lines[2:], *lines[:2]]))
    with pytest.raises(MismatchError):
        checked(swapped, proof)
    with pytest.raises(MismatchError, match="does not have there"):
        checked(signed_anew(found, found.file + lines[-1]), proof)


def test_hashes_alone_prove_it_but_for_the_first_and_last_segments(
    world: World, tmp_path: Path
) -> None:
    found = exported(world, tmp_path)
    proof = made(world, tmp_path, None, records=False)
    lines = found.file.splitlines(keepends=True)

    whole = checked(found, proof)
    first = checked(signed_anew(found, b"".join(lines[1:])), proof)

    assert not any("further records" in stated for stated in whole.stated)
    assert any("that 1 further records there" in stated for stated in first.stated)
    middle = len(lines) // 4
    with pytest.raises(MismatchError, match="not in the file there"):
        checked(signed_anew(found, b"".join(lines[:middle] + lines[middle + 1 :])), proof)


def test_a_tenants_certificate_proves_its_export(world: World, tmp_path: Path) -> None:
    found = exported(world, tmp_path, Query(tenant="b"))
    proof, salt = made(world, tmp_path, "b", records=False), salt_id(world, "b")

    assert sorted(found.ids) == sorted(_expected("b"))
    assert checked(found, proof, salt).code == 0
    unknown = checked(found, proof)  # that it has nothing elsewhere, only its salt tells
    assert (unknown.code, unknown.complete) == (3, "the signer's word alone")
    with pytest.raises(MismatchError, match="another time or tenant"):
        checked(found, made(world, tmp_path, "acme"), salt_id(world, "acme"))


def test_the_set_is_exact_at_both_ends(tmp_path: Path) -> None:
    world = World()
    node = Writer(world)
    node.born()
    for n in range(6):
        node.seal(f"{n}")
        tick(world, 60)
    node.beat(checkpoint=node.checkpoint())
    tick(world)
    times = [json.loads(line)["received"] for line in _until_now(world, tmp_path).file.splitlines()]
    second, fourth = parse_time(times[1]), parse_time(times[3])

    both = exported(world, tmp_path, span=Span(second, fourth))
    neither = exported(world, tmp_path, span=Span(second + 1, fourth + 1))

    assert (both.ids, neither.ids) == (["1", "2"], ["2", "3"])
    for found, span in ((both, (second, fourth)), (neither, (second + 1, fourth + 1))):
        assert checked(found, made(world, tmp_path, None, *span)).code == 0
        assert checked(found, made(world, tmp_path, None, *span, records=False)).code == 0


def _until_now(world: World, cache: Path) -> Exported:
    return exported(world, cache, span=Span(START_US, START_US + 350 * SECOND_US))


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (Query(id="0/1/b/0"), ["0/1/b/0"]),
        (Query(tenant="b", id="0/1/b/0"), ["0/1/b/0"]),
        (Query(tenant="acme", id="0/1/b/0"), []),
        (Query(tenant="nobody"), []),
        (Query(action="never.*"), []),
    ],
)
def test_filters_are_those_of_a_search(
    world: World, tmp_path: Path, query: Query, wanted: list[str]
) -> None:
    found = exported(world, tmp_path, query)

    assert found.ids == wanted
    assert checked(found).said.events == len(wanted)


@pytest.mark.parametrize("kind", FILES)
def test_whoever_was_cut_off_is_given_the_rest(world: World, tmp_path: Path, kind: str) -> None:
    whole = exported(world, tmp_path, kind=kind)
    size = len(whole.file)

    for cut in {1, size // 3, size - 1, size}:
        had = Had(cut, hashlib.sha256(whole.file[:cut]).digest())
        rest = exported(world, tmp_path, kind=kind, had=had)

        assert whole.file[:cut] + rest.file == whole.file
        assert checked(rest, file=whole.file).said.bytes == size


def test_what_is_no_beginning_of_the_file_is_refused(world: World, tmp_path: Path) -> None:
    whole = exported(world, tmp_path).file

    for had in (Had(5, bytes(32)), Had(len(whole) + 1, hashlib.sha256(whole + b"x").digest())):
        with pytest.raises(RejectedError, match="no beginning of this file"):
            exported(world, tmp_path, had=had)


def test_where_segments_are_large_few_are_read_at_a_time(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_ease = exported(world, tmp_path)
    monkeypatch.setattr("holdfast.prove.walk.BATCH_BYTES", 1)

    in_straits = exported(world, tmp_path)

    assert in_straits.file == at_ease.file
    assert checked(in_straits, made(world, tmp_path, None)).code == 0


def test_a_time_that_is_not_whole_yet_is_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(RejectedError, match="everything is known through"):
        exported(world, tmp_path, span=Span(START_US, END_US * 2))


def test_a_declared_gap_is_named_and_the_rest_is_there(tmp_path: Path) -> None:
    world = World()
    broken(world, slice(4, 5))

    found = exported(world, tmp_path)

    said = checked(found)
    assert [(gap.start, gap.end) for gap in said.said.gap] == [(4, 5)]
    assert said.code == 4
    assert found.ids == ["0", "1", "2", "8", "9", "10", "11"]
    assert checked(found, made(world, tmp_path, None)).code == 4
