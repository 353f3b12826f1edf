"""What listings and notes alone tell."""

import dataclasses

import pytest

from holdfast.errors import RejectedError
from holdfast.proof import names, note, statements
from holdfast.proof.statements import Birth, Closed, Heartbeat
from holdfast.regions import kinds as signed
from holdfast.regions import layout, signing
from holdfast.regions.layout import EpochKey
from holdfast.regions.whole import why_superseded
from holdfast.verify.expect import Kept, parse_kept
from holdfast.verify.findings import Report
from holdfast.verify.run import Question
from tests.read.trails import World as WrittenWorld
from tests.read.trails import Writer
from tests.verify.stores import grave, keys_of, kinds, objects_of, verified, written
from tests.write.world import TRAIL


def small(seed: int = 7, count: int = 6, word: str = "e") -> tuple[WrittenWorld, Writer]:
    """A ledger of one epoch, promised in full, and a world that it lies in."""
    world = WrittenWorld()
    writer = Writer(world, seed)
    writer.born()
    for number in range(count):
        writer.seal(f"{word}-{number}")
    writer.beat()
    return world, writer


def keys_found(report: Report) -> list[tuple[str, str, str]]:
    return [(each.kind, each.region, each.key) for each in report.findings]


def checkpoint(writer: Writer) -> bytes:
    """The node's word on where its ledger stands."""
    point = note.Checkpoint(writer.origin, writer.end.size, writer.end.root)
    return signing.sign(point.text, writer.key)


def kept(writer: Writer) -> Kept:
    return Kept(writer.origin, checkpoint(writer).decode(), "a test")


def expecting(*notes: Kept) -> Question:
    return Question(expected=notes)


def test_what_real_nodes_wrote_is_good_and_counted() -> None:
    objects = written()

    report = verified(objects)

    assert report.verdict == "good"
    assert report.findings == ()
    named = [names.SegmentName.parse(k.split("/")[4][:189]) for k in keys_of(objects, "segment")]
    assert report.nodes == 2
    assert report.segments == len(named) and report.pending == 0
    assert report.events == sum(name.count for name in named)
    assert [region.objects for region in report.regions] == [len(objects[id]) for id in "abc"]


@pytest.mark.parametrize("lost", ["a", "b", "c"])
def test_two_regions_of_three_are_enough_and_one_is_not(lost: str) -> None:
    objects = written()
    others = tuple(id for id in "abc" if id != lost)

    assert verified(objects, Question(regions=others)).verdict == "good"
    assert verified(objects, Question(regions=(lost,))).verdict == "unchecked"


def test_a_region_that_is_wiped_is_told_and_is_grave_only_where_it_was_named() -> None:
    objects = written()
    objects["b"].clear()

    unnamed, named = verified(objects), verified(objects, Question(regions=("a", "b", "c")))

    assert (unnamed.verdict, kinds(unnamed)) == ("good", [("unused", "b")])
    assert (named.verdict, kinds(named)) == ("unchecked", [("unreadable", "b")])


def test_a_region_that_nobody_named_is_refused() -> None:
    with pytest.raises(RejectedError, match="no region x"):
        verified(written(), Question(regions=("x",)))


def test_neighbouring_segments_that_one_region_lacks_are_one_finding() -> None:
    world, writer = small()
    gone = world.keys("b", "ev/seg/")[1:4]
    for key in gone:
        world.remove(key, ("b",))

    report = verified(objects_of(world.stores))

    (finding,) = report.findings
    assert report.verdict == "good"
    assert (finding.kind, finding.region, finding.node) == ("under_replicated", "b", writer.node)
    assert (finding.start, finding.end, finding.key) == (1, 4, gone[0])


def test_segments_beyond_every_promise_are_pending_and_never_missing() -> None:
    world, writer = small()
    for number in range(3):
        writer.seal(f"late-{number}", regions="b")
    world.remove(world.keys("b", "ev/seg/")[7], ("b",))

    report = verified(objects_of(world.stores))

    assert (report.verdict, report.segments, report.pending) == ("good", 6, 2)
    assert report.findings == ()


def test_a_cut_tail_that_nothing_stored_covers_shows_by_a_note_that_was_kept() -> None:
    world, writer = small()
    note_kept = kept(writer)
    world.remove(layout.heartbeat_key(writer.node))
    for key in world.keys("a", "ev/seg/")[4:]:
        world.remove(key)

    without, with_it = (
        verified(objects_of(world.stores)),
        verified(objects_of(world.stores), expecting(note_kept)),
    )

    assert without.verdict == "good"
    assert with_it.verdict == "incomplete"
    (finding,) = with_it.findings
    assert (finding.kind, finding.node) == ("cut_tail", writer.node)
    assert (finding.start, finding.end) == (4, 6)


def test_a_ledger_that_was_removed_wholly_shows_by_a_note_that_was_kept() -> None:
    world, writer = small()
    other = Writer(world, 8)
    other.born()
    other.seal("x")
    other.beat()
    for key in world.keys("a"):
        if writer.node in key:
            world.remove(key)

    report = verified(objects_of(world.stores), expecting(kept(writer), kept(other)))

    assert report.verdict == "incomplete"
    assert [(f.kind, f.node, f.start, f.end) for f in report.findings] == [
        ("cut_tail", writer.node, 0, 6)
    ]


def test_a_history_rewritten_with_the_nodes_own_key_shows_by_a_note_that_was_kept() -> None:
    _, once = small(count=4)
    world, writer = small(count=2)
    note_kept = Kept(once.origin, checkpoint(once).decode())
    for number in range(4):
        writer.seal(f"other-{number}")
    writer.beat()
    world.put(layout.checkpoint_key(writer.node, 6), checkpoint(writer))

    without, with_it = (
        verified(objects_of(world.stores)),
        verified(objects_of(world.stores), expecting(note_kept)),
    )

    assert without.verdict == "good"
    assert with_it.verdict == "refuted"
    (finding,) = with_it.findings
    assert (finding.kind, finding.node, finding.end) == ("rewritten", writer.node, 4)


def test_a_rewritten_history_is_narrowed_by_what_still_agrees() -> None:
    _, once = small(count=2)
    early = kept(once)
    once.seal("e-2")
    once.seal("e-3")
    late = kept(once)
    world, writer = small(count=2)
    for number in range(4):
        writer.seal(f"other-{number}")
    writer.beat()

    report = verified(objects_of(world.stores), expecting(early, late))

    (finding,) = report.findings
    assert (finding.kind, finding.start, finding.end) == ("rewritten", 2, 4)


def test_a_note_that_its_node_did_not_sign_or_of_another_trail_is_refused() -> None:
    world, writer = small()
    forged = Kept(writer.origin, checkpoint(writer).decode().replace("\n6\n", "\n5\n"))
    foreign = Kept(f"holdfast/{'0' * 32}/{writer.node}", checkpoint(writer).decode())

    for bad in (forged, foreign):
        with pytest.raises(RejectedError, match="--expect"):
            verified(objects_of(world.stores), expecting(bad))


def test_notes_are_read_as_ndjson_or_one_after_the_other() -> None:
    _, writer = small(count=2)
    one = checkpoint(writer)
    writer.seal("x")
    two = checkpoint(writer)

    plain = parse_kept(one + b"\n" + two, "f")

    assert [each.note.encode() for each in plain] == [one, two]
    assert {each.origin for each in plain} == {writer.origin}
    assert [each.where for each in plain] == ["f, line 1", "f, line 7"]


def test_two_segments_for_one_index_are_a_conflict_at_that_index() -> None:
    world, writer = small()
    twin = Writer(world, 7)
    twin.epoch, twin.end = 1, small(count=3)[1].end
    twin.store(twin.encode({"id": "twin"}), "c")

    report = verified(objects_of(world.stores))

    assert report.verdict == "refuted"
    finding = grave(report)[0]
    assert (finding.kind, finding.node, finding.start) == ("conflict", writer.node, 3)


def test_two_ends_of_one_epoch_are_a_conflict_at_the_note_that_says_so() -> None:
    world, writer = small()
    writer.close(regions="ab")
    _, shorter = small(count=4)
    writer.close(end=shorter.end, regions="c")

    report = verified(objects_of(world.stores))

    assert report.verdict == "refuted"
    assert {(f.kind, f.region, f.key) for f in report.findings if f.kind == "conflict"} == {
        ("conflict", region, layout.closed_key(writer.node, 1))
        for region in ("c", "")  # by its own note, and by the votes
    }


def test_a_promise_beyond_the_end_of_its_epoch_is_a_conflict() -> None:
    world, writer = small()
    writer.close()
    writer.beat(size=9)

    report = verified(objects_of(world.stores))

    assert report.verdict == "refuted"
    assert {f.key for f in report.findings if f.kind == "conflict"} == {
        layout.heartbeat_key(writer.node)
    }


def test_a_checkpoint_in_a_heartbeat_is_compared_as_well() -> None:
    world, writer = small()
    _, other = small(word="x")
    beat = Heartbeat(1, 9, 9, 9, 6, checkpoint(other), ())
    world.put(layout.heartbeat_key(writer.node), signing.write(beat, writer.origin, writer.key))

    report = verified(objects_of(world.stores))

    assert report.verdict == "refuted"
    assert {(f.kind, f.key) for f in report.findings} == {
        ("rewritten", layout.heartbeat_key(writer.node))
    }


def test_a_gap_is_named_and_fills_the_hole_and_what_follows_is_verified_from_the_next_end() -> None:
    world = WrittenWorld()
    writer = Writer(world)
    writer.born()
    sealed = [writer.seal(f"e-{number}") for number in range(6)]
    writer.close()
    writer.born()
    writer.seal("later")
    writer.beat()
    world.put(layout.checkpoint_key(writer.node, 7), checkpoint(writer))
    writer.lose(*sealed[2:4])

    report = verified(objects_of(world.stores))

    assert report.verdict == "good"
    assert [(f.kind, f.start, f.end) for f in report.findings] == [("gap", 2, 4)]
    assert report.segments == 5


def test_what_lies_beside_a_gap_is_still_a_hole() -> None:
    world, writer = small()
    sealed = [writer.seal(f"f-{n}") for n in range(4)]
    writer.beat()
    writer.lose(*sealed[:2])
    world.remove(writer.key_of(sealed[2].name))

    report = verified(objects_of(world.stores))

    assert report.verdict == "incomplete"
    assert [(f.kind, f.start, f.end) for f in report.findings if f.kind != "unproven"] == [
        ("hole", 8, 9),
        ("gap", 6, 8),
    ]


def test_a_signed_root_behind_a_gap_is_said_to_be_unproven() -> None:
    world, writer = small()
    sealed = [writer.seal(f"f-{n}") for n in range(4)]
    world.put(layout.checkpoint_key(writer.node, 10), checkpoint(writer))
    writer.lose(sealed[0])

    report = verified(objects_of(world.stores))

    assert report.verdict == "good"
    assert ("unproven", 10) in [(f.kind, f.start) for f in report.findings]


def test_orphans_and_foreign_objects_are_named_and_harmless() -> None:
    world, writer = small()
    writer.close()
    orphan = writer.encode({"id": "beyond"})
    writer.store(orphan, "c")
    world.put("ev/seg/stray", b"", "b")
    world.put("ev/odd/thing", b"", "a")
    world.put(f"ev/seg/{writer.node}/0000000/0000.zst", b"", "a")

    report = verified(objects_of(world.stores))

    assert report.verdict == "good"
    assert {(f.kind, f.region, f.key) for f in report.findings} == {
        ("orphan", "c", writer.key_of(orphan.name)),
        ("foreign", "b", "ev/seg/stray"),
        ("foreign", "a", "ev/odd/"),
        ("foreign", "a", f"ev/seg/{writer.node}/0000000/0000.zst"),
    }


def test_a_segment_of_a_node_that_the_trail_never_admitted_is_named_where_it_lies() -> None:
    world, _ = small()
    stranger = Writer(world, 9)
    stranger.epoch = 1
    forged = stranger.seal("forged", regions="b")

    report = verified(objects_of(world.stores))

    assert report.verdict == "refuted"
    assert [(f.kind, f.region, f.key) for f in report.findings] == [
        ("uncertified", "b", stranger.key_of(forged.name))
    ]


def test_a_birth_that_is_gone_everywhere_is_missing() -> None:
    world = WrittenWorld()
    writer = Writer(world)
    for epoch in (1, 2, 3):
        writer.born()
        writer.seal(f"e-{epoch}")
        writer.close()
    world.remove(layout.birth_key(writer.node, 2))

    report = verified(objects_of(world.stores))

    assert report.verdict == "incomplete"
    assert [(f.kind, f.key) for f in report.findings] == [
        ("no_birth", layout.birth_key(writer.node, 2))
    ]


def test_an_epoch_that_began_meanwhile_is_pending_and_one_without_a_birth_is_not() -> None:
    world, writer = small()
    writer.close()
    writer.epoch += 1
    writer.seal("no birth")

    report = verified(objects_of(world.stores))

    assert report.verdict == "incomplete"
    assert report.pending == 1
    assert [(f.kind, f.key) for f in report.findings] == [
        ("no_birth", layout.birth_key(writer.node, 2))
    ]


def test_a_close_that_only_the_next_birth_repeats_is_named() -> None:
    objects = written()
    births = [layout.parse_key(key) for key in keys_of(objects, "birth")]
    later = next(each for each in births if isinstance(each, EpochKey) and each.epoch > 1)
    closed = layout.closed_key(later.node, later.epoch - 1)
    for held in objects.values():
        del held[closed]

    report = verified(objects)

    assert (report.verdict, keys_found(report)) == ("good", [("under_replicated", "", closed)])
    assert "that birth repeats what it said" in report.findings[0].reason


def test_a_fence_that_a_store_lost_is_named() -> None:
    objects = written()
    fence = keys_of(objects, "fence")[0]
    del objects["b"][fence]

    report = verified(objects)

    assert (report.verdict, keys_found(report)) == ("good", [("under_replicated", "b", fence)])


def test_votes_are_missed_where_too_few_are_left_to_have_decided() -> None:
    objects = written()
    vote = keys_of(objects, "vote")[0]
    del objects["a"][vote]

    one_lost, one_away = verified(objects), verified(objects, Question(regions=("a", "b")))
    del objects["b"][vote]
    two_lost = verified(objects)
    looked_at_two = verified(objects, Question(regions=("a", "b")))

    assert (one_lost.findings, one_away.findings) == ((), ())
    assert keys_found(two_lost) == [("under_replicated", "", vote)]
    assert "1 of them have a vote" in two_lost.findings[0].reason
    assert keys_found(looked_at_two) == [("under_replicated", "", vote)]


def test_votes_that_decide_otherwise_than_what_is_written_down_are_a_conflict() -> None:
    objects = written()
    vote = keys_of(objects, "vote")[-1]
    closed = vote.replace("close.note", "closed.note")
    _, writer = small(count=1)  # any node that the trail admits may close
    statement = statements.read(objects["a"][closed], Closed).statement
    origin = statements.read(objects["a"][closed], Closed).origin
    other = dataclasses.replace(
        statement, end=writer.end, by=writer.node, certificate=writer.certificate()
    )
    for region in "abc":
        objects[region][closed] = signing.write(other, origin, writer.key)

    report = verified(objects)

    assert report.verdict == "refuted"
    assert any(f.key == closed and f.reason.startswith("the votes decide") for f in grave(report))


def test_a_node_that_waits_for_its_first_epoch_is_no_stranger_and_one_that_promises_is() -> None:
    world, _ = small()
    waiting, stranger = Writer(world, 8), Writer(world, 9)
    waiting.beat()
    stranger.beat(epoch=1)

    report = verified(objects_of(world.stores))

    assert {(f.kind, f.key) for f in report.findings} == {
        ("uncertified", layout.heartbeat_key(stranger.node))
    }


def test_an_end_that_counts_other_events_than_its_segments_hold_is_a_conflict() -> None:
    world, writer = small()
    writer.close(end=dataclasses.replace(writer.end, first=writer.end.first + 1))

    report = verified(objects_of(world.stores))

    assert report.verdict == "refuted"
    assert {(f.kind, f.start) for f in report.findings} == {("conflict", 6)}


def test_a_store_whose_place_another_took_is_not_relied_on_though_its_cookie_is_right() -> None:
    world, writer = small()
    objects = objects_of(world.stores)
    first = statements.read(objects["a"][layout.birth_key(writer.node, 1)], Birth).statement
    after = dataclasses.replace(
        first,
        epoch=2,
        base=writer.end,
        started_us=first.started_us + 60_000_000,
        regions=(*first.regions[:2], ("c", "ff" * 16)),
    )
    birth = signing.write(after, writer.origin, writer.key)
    for region in "ab":
        objects[region][layout.birth_key(writer.node, 2)] = birth

    report = verified(objects, Question(regions=("a", "c")))

    assert [each.relied_on for each in report.regions] == [True, False]
    assert report.regions[1].state == f"an epoch began since with store {'ff' * 16} in its place"
    assert report.verdict == "unchecked"
    assert [each.relied_on for each in verified(objects).regions] == [True, True, False]


@pytest.mark.parametrize(
    ("replaces", "stores", "is_superseded"),
    [
        ("", ["me", "me"], False),
        ("", ["me", "other"], True),
        ("old", ["old", "me"], False),
        ("old", ["old", "old"], False),  # it came after all births
        ("old", ["older", "old", "me"], False),
        ("old", ["older", "me", "next"], True),
        ("old", ["older", "older"], False),  # replaced twice between two births
        ("", ["other"], True),
    ],
)
def test_the_births_tell_which_store_was_the_last(
    replaces: str, stores: list[str], is_superseded: bool
) -> None:
    world, writer = small(count=1)
    birth = statements.read(
        objects_of(world.stores)["a"][layout.birth_key(writer.node, 1)], Birth
    ).statement
    cookie = signed.verify_cookie(TRAIL.cookie("c"), TRAIL.trail).statement
    mine = dataclasses.replace(cookie, store="me", replaces=replaces)
    births = [
        dataclasses.replace(birth, started_us=1000 + at, regions=(("c", store),))
        for at, store in enumerate(stores)
    ]

    assert bool(why_superseded("c", mine, births)) == is_superseded
    assert why_superseded("a", mine, births) == ""
