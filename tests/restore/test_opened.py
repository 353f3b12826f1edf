"""What was brought back is held against what was signed, by its bytes and by its place."""

from pathlib import Path

import pytest
from msgspec import structs

from holdfast.archive.make import Held
from holdfast.errors import CorruptError
from holdfast.proof import merkle
from holdfast.prove import paths
from holdfast.restore.opened import Around, Run, Spool, check_ledger, open_spool
from tests.read.trails import TRAIL, World, Writer


def spooled(folder: Path, count: int = 5) -> Spool:
    """A node's segments in a file, as its trail has them."""
    world = World()
    writer = Writer(world)
    writer.born()
    sealed = [writer.seal(f"e{number}") for number in range(count)]
    path = folder / "spool"
    path.write_bytes(b"".join(each.data for each in sealed))
    held = tuple(Held(writer.node, each.name.text, 0, len(each.data)) for each in sealed)
    return Spool(writer.node, writer.key.public, TRAIL.trail, world.tag_key, str(path), held)


def around(run: Run, all_names: tuple[str, ...], start: int, end: int) -> Around:
    leaves = [merkle.leaf_hash(name.encode()) for name in all_names]
    after = paths.after(leaves, end)
    return Around(paths.before(leaves, start), after, len(leaves), merkle.root(leaves))


def part_of(run: Run, start: int, end: int) -> Run:
    return Run(run.node, run.names[start:end], run.roots[start:end])


def test_segments_make_up_runs_that_stand_where_their_node_signed(tmp_path: Path) -> None:
    (run,) = open_spool(spooled(tmp_path))

    assert (run.start, run.end, run.events, run.epoch) == (0, 5, 5, 1)
    for start, end in ((0, 5), (1, 3), (2, 5), (4, 5)):
        check_ledger(part_of(run, start, end), around(run, run.names, start, end))


def test_a_gap_parts_two_runs(tmp_path: Path) -> None:
    spool = spooled(tmp_path)
    data = Path(spool.path).read_bytes()
    size = [each.size_bytes for each in spool.held]
    Path(spool.path).write_bytes(data[: sum(size[:2])] + data[sum(size[:3]) :])

    runs = open_spool(structs.replace(spool, held=(*spool.held[:2], *spool.held[3:])))

    assert [(run.start, run.end) for run in runs] == [(0, 2), (3, 5)]


def test_another_root_before_a_segment_or_of_the_whole_is_refused(tmp_path: Path) -> None:
    (run,) = open_spool(spooled(tmp_path))
    part, told = part_of(run, 1, 4), around(run, run.names, 1, 4)
    lie = bytes(32)

    for wrong in (
        (structs.replace(part, roots=(part.roots[0], lie, part.roots[2])), told),
        (part, structs.replace(told, root=lie)),
        (part, structs.replace(told, before=(lie,))),
        (part, structs.replace(told, after=())),
        (structs.replace(part, names=(*part.names[:2], run.names[4])), told),
    ):
        with pytest.raises(CorruptError, match="do not fit"):
            check_ledger(*wrong)


@pytest.mark.parametrize("at", [10, -5])
def test_bytes_that_are_others_are_refused_by_name(at: int, tmp_path: Path) -> None:
    spool = spooled(tmp_path)
    data = bytearray(Path(spool.path).read_bytes())
    data[at] ^= 1
    Path(spool.path).write_bytes(data)

    with pytest.raises(CorruptError, match=f"segment {0 if at > 0 else 4} of node"):
        open_spool(spool)


def test_another_node_s_key_signed_none_of_it(tmp_path: Path) -> None:
    with pytest.raises(CorruptError, match="segment 0"):
        open_spool(structs.replace(spooled(tmp_path), node_key=TRAIL.signing.public))
