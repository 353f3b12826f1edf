"""Whatever is changed, moved or taken away is named at the exact place; positions are drawn."""

import random

import pytest

from tests.verify.stores import Objects, grave, keys_of, verified, written

NOTES = ("birth", "fence", "vote", "closed", "checkpoint", "heartbeat", "cookie")
DRAWS = 8


def change_a_byte(objects: Objects, kind: str, draw: random.Random) -> tuple[str, str]:
    region = draw.choice("abc")
    key = draw.choice(keys_of(objects, kind, region))
    data = bytearray(objects[region][key])
    data[draw.randrange(len(data))] ^= draw.randrange(1, 256)
    objects[region][key] = bytes(data)
    return region, key


@pytest.mark.parametrize("kind", NOTES)
def test_any_byte_of_a_note_that_is_changed_is_named_where_it_lies(kind: str) -> None:
    draw = random.Random(kind)
    for _ in range(DRAWS):
        objects = written()
        region, key = change_a_byte(objects, kind, draw)

        report = verified(objects)

        assert report.verdict == "refuted"
        assert [(f.kind, f.region, f.key) for f in grave(report)] == [("corrupt", region, key)]


@pytest.mark.parametrize("kind", NOTES)
def test_two_notes_under_each_others_keys_are_both_named(kind: str) -> None:
    draw = random.Random(kind)
    objects = written()
    if kind == "cookie":
        swapped = [("a", "ev/region.note"), ("b", "ev/region.note")]
    else:
        region = draw.choice("abc")
        swapped = [(region, key) for key in draw.sample(keys_of(objects, kind, region), 2)]
    (one, first), (two, second) = swapped
    held = objects[one][first], objects[two][second]
    objects[two][second], objects[one][first] = held

    report = verified(objects)

    if kind == "cookie":  # two stores of the settings are mixed up: nothing is known
        assert report.verdict == "unchecked"
    else:
        assert report.verdict == "refuted"
        assert {(f.kind, f.region, f.key) for f in grave(report)} == {
            ("corrupt", *place) for place in swapped
        }


@pytest.mark.parametrize("seed", range(DRAWS))
def test_a_segment_that_one_region_lacks_is_under_replicated_and_nowhere_is_a_hole(
    seed: int,
) -> None:
    draw, objects = random.Random(seed), written()
    key = draw.choice(keys_of(objects, "segment"))
    index = int(key.split("/")[4][:10], 16)
    region = draw.choice("abc")
    del objects[region][key]

    one = verified(objects)
    for other in set("abc") - {region}:
        del objects[other][key]
    none = verified(objects)

    assert one.verdict == "good"
    assert [(f.kind, f.region, f.key) for f in one.findings] == [("under_replicated", region, key)]
    assert none.verdict == "incomplete"
    (missing,) = grave(none)
    assert missing.kind in ("hole", "cut_tail")
    assert (missing.node, missing.start, missing.end) == (key.split("/")[2], index, index + 1)
