"""What a node wrote beyond its retirement is named, whoever signed it."""

import pytest

from holdfast.proof.ledger import LedgerEnd
from holdfast.regions import kinds, layout, signing
from holdfast.verify.run import Question
from tests.read.trails import START_US, TRAIL, World, Writer
from tests.verify.stores import grave, objects_of, verified


def state(world: World, writer: Writer, epoch: int, end: LedgerEnd) -> None:
    retired = kinds.Retired(TRAIL.signing.public, epoch, end, "operator", "stolen", START_US)
    data = signing.write(retired, writer.origin, TRAIL.signing)
    world.put(layout.retired_key(writer.node, epoch), data)


def closed(world: World, count: int) -> Writer:
    """A node whose only epoch was closed with so many segments."""
    writer = Writer(world)
    writer.born()
    for number in range(count):
        writer.seal(f"e-{number}")
    writer.close()
    return writer


@pytest.mark.parametrize("depth", ["names", "bytes"])
def test_a_ledger_that_ends_where_its_node_was_retired_is_good(depth: str) -> None:
    world = World()
    writer = closed(world, 3)
    state(world, writer, 1, writer.end)

    report = verified(objects_of(world.stores), Question(depth=depth))  # type: ignore[arg-type]

    assert (report.verdict, report.findings) == ("good", ())


def test_segments_of_a_later_epoch_under_a_stolen_key_are_named() -> None:
    world = World()
    writer = closed(world, 3)
    state(world, writer, 1, writer.end)
    writer.born()
    writer.seal("forged-1")
    writer.seal("forged-2")
    writer.beat()

    report = verified(objects_of(world.stores))

    (finding,) = grave(report)
    assert report.verdict == "refuted"
    assert (finding.kind, finding.start, finding.end) == ("retired", 3, 5)
    assert "retired by operator (stolen), with 3 segments" in finding.reason


def test_segments_that_were_said_to_be_forged_afterwards_are_named() -> None:
    world = World()
    writer = Writer(world)
    writer.born()
    writer.seal("good")
    legitimate = writer.end
    writer.seal("forged")
    writer.close()
    state(world, writer, 1, legitimate)

    (finding,) = grave(verified(objects_of(world.stores)))

    assert (finding.kind, finding.start, finding.end) == ("retired", 1, 2)


def test_of_two_retirements_that_of_the_later_epoch_counts() -> None:
    world = World()
    writer = closed(world, 2)
    state(world, writer, 1, writer.end)
    writer.born()
    writer.seal("acknowledged meanwhile")
    writer.close()
    state(world, writer, 2, writer.end)

    report = verified(objects_of(world.stores))

    assert (report.verdict, report.findings) == ("good", ())


def test_a_ledger_with_another_root_than_the_retirement_signed_was_rewritten() -> None:
    world, other = World(), World()
    writer = closed(world, 2)
    other.now_us += 5
    state(world, writer, 1, closed(other, 2).end)

    report = verified(objects_of(world.stores))

    assert {finding.kind for finding in grave(report)} == {"rewritten"}


def test_a_retirement_that_the_trail_did_not_sign_is_corrupt_and_proves_nothing() -> None:
    world = World()
    writer = closed(world, 2)
    retired = kinds.Retired(TRAIL.signing.public, 1, writer.end, "x", "y", START_US)
    data = signing.write(retired, writer.origin, writer.key)
    world.put(layout.retired_key(writer.node, 1), data)

    report = verified(objects_of(world.stores))

    assert {finding.kind for finding in grave(report)} == {"corrupt"}
