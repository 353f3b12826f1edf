"""All regions together: their quorum, and who they say that they are."""

import asyncio

import pytest

from holdfast.errors import RejectedError
from holdfast.proof import names
from holdfast.proof.ledger import EMPTY_END
from holdfast.proof.statements import Birth, Certificate
from holdfast.regions import Region, Regions, layout, signing
from holdfast.regions.port import Unknown
from holdfast.regions.signing import SigningKey
from holdfast.regions.trailkey import TrailKey
from tests.regions.worlds import MemoryWorld

KEY = TrailKey(bytes(range(32)), "main")
OTHER = TrailKey(bytes(32), "other")
IDS = ("a", "b", "c")


def store_of(region: str) -> str:
    return region.encode().hex() * 16


def worlds() -> dict[str, MemoryWorld]:
    made = {}
    for id in IDS:
        made[id] = MemoryWorld()
        made[id].objects[layout.REGION_KEY] = (KEY.cookie(id, store_of(id)), 1)
    return made


def regions_of(stores: dict[str, MemoryWorld], trail: str = KEY.trail) -> Regions:
    return Regions([Region(id, store) for id, store in stores.items()], 2, trail)


def birth(seed: int, stores: dict[str, str], trail_key: TrailKey = KEY) -> tuple[str, bytes]:
    """A birth's key and bytes, of the node with that seed."""
    public = SigningKey.generate("node", bytes([seed]) * 32).public
    node = names.node_id(public)
    origin = names.ledger_origin(trail_key.trail, node)
    certificate = signing.write(
        Certificate(trail_key.signing.public, node, public, 1),
        names.trail_origin(trail_key.trail),
        trail_key.signing,
    )
    statement = Birth(
        trail_key=trail_key.signing.public,
        node_key=public,
        certificate=certificate,
        epoch=1,
        instance="00" * 16,
        started_us=1,
        quorum=2,
        regions=tuple(sorted(stores.items())),
        base=EMPTY_END,
    )
    signed = signing.write(statement, origin, SigningKey.generate(origin, bytes([seed]) * 32))
    return layout.birth_key(node, 1), signed


def test_regions_know_their_quorum_and_how_many_show_everything() -> None:
    regions = Regions([Region(name, MemoryWorld()) for name in "cab"], quorum=2)

    assert [region.id for region in regions] == ["a", "b", "c"] and len(regions) == 3
    assert (regions.quorum, regions.needed) == (2, 2)
    assert regions.by_id["b"].id == "b"


@pytest.mark.parametrize(("count", "quorum"), [(3, 1), (3, 4), (2, 1), (4, 2), (1, 0), (0, 0)])
def test_a_quorum_that_is_no_majority_is_refused(count: int, quorum: int) -> None:
    regions = [Region(str(number), MemoryWorld()) for number in range(count)]

    with pytest.raises(ValueError, match="majority"):
        Regions(regions, quorum)


def test_two_regions_of_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="same id"):
        Regions([Region("a", MemoryWorld()), Region("a", MemoryWorld())], 2)


@pytest.mark.parametrize("trail", [KEY.trail, ""])
def test_verified_regions_know_their_stores_and_their_trail(trail: str) -> None:
    regions = regions_of(worlds(), trail)

    verified = asyncio.run(regions.verify())

    assert [region.id for region in verified] == ["a", "b", "c"]
    assert regions.stores == tuple((id, store_of(id)) for id in IDS)
    assert (regions.trail, regions.trail_key) == (KEY.trail, KEY.signing.public)
    assert regions.trail_name == "main" and len(regions.tag_key) == 32


def test_one_readable_region_is_enough_to_know_the_trail() -> None:
    stores = worlds()
    stores["a"].failing = Unknown("connection refused")
    del stores["c"].objects[layout.REGION_KEY]
    regions = regions_of(stores, "")

    verified = asyncio.run(regions.verify())

    assert [region.id for region in verified] == ["b"]
    assert regions.trail == KEY.trail and len(regions.tag_key) == 32
    assert regions.by_id["a"].why_unverified == "connection refused"
    assert "no cookie" in regions.by_id["c"].why_unverified
    assert regions.stores == (("b", store_of("b")),)


def test_a_region_that_is_away_is_named_as_the_last_birth_names_it() -> None:
    stores = worlds()
    stores["c"].failing = Unknown("connection refused")
    named = {id: store_of(id) for id in IDS}
    births = [
        birth(1, {**named, "c": "11" * 16}),
        birth(2, named),  # written last
        birth(3, {**named, "c": "33" * 16}, OTHER),
    ]
    for written_us, (key, data) in zip((5, 7, 9), births, strict=True):
        stores["b"].objects[key] = (data, written_us)
    stores["b"].objects["ev/node/foreign"] = (b"", 10)
    regions = regions_of(stores)

    asyncio.run(regions.verify())

    assert regions.stores == tuple(named.items())
    assert regions.by_id["c"].store_uuid == ""


def test_a_region_that_went_away_is_named_as_it_was_seen_last() -> None:
    stores = worlds()
    regions = regions_of(stores)
    asyncio.run(regions.verify())
    stores["c"].failing = Unknown("connection refused")

    verified = asyncio.run(regions.verify())

    assert [region.id for region in verified] == ["a", "b"]
    assert regions.stores == tuple((id, store_of(id)) for id in IDS)


def test_no_store_is_ever_named_twice() -> None:
    stores = worlds()
    stores["c"].failing = Unknown("connection refused")
    regions = regions_of(stores)
    regions.by_id["c"].named_uuid = store_of("a")

    asyncio.run(regions.verify())

    assert [id for id, _ in regions.stores] == ["a", "b"]


async def _begin_to_write(regions: Regions) -> None:
    await regions.verify()
    regions.refuse_mix_ups()


def problems(stores: dict[str, MemoryWorld], trail: str = KEY.trail) -> str:
    """What is told to whoever would write."""
    with pytest.raises(RejectedError) as caught:
        asyncio.run(_begin_to_write(regions_of(stores, trail)))
    assert caught.value.kind == "regions-mixed-up"
    return str(caught.value)


def reading(
    stores: dict[str, MemoryWorld], trail: str = KEY.trail
) -> tuple[list[str], dict[str, str]]:
    """The regions that are right for whoever reads, and why each of the others is not."""
    regions = regions_of(stores, trail)
    right = asyncio.run(regions.verify())
    return [region.id for region in right], {
        region.id: region.why_unverified for region in regions if region.why_unverified
    }


def test_regions_that_are_not_mixed_up_may_be_written() -> None:
    asyncio.run(_begin_to_write(regions_of(worlds())))


def test_one_store_behind_two_regions_is_refused_by_both_names() -> None:
    stores = worlds()
    stores["b"] = stores["a"]

    assert "the regions a and b have one store" in problems(stores)


def test_one_store_behind_two_regions_is_read_once() -> None:
    stores = worlds()
    stores["b"] = stores["a"]

    assert reading(stores) == (["a", "c"], {"b": "its store is that of the region a"})


def test_two_cookies_of_one_store_are_read_as_one_region() -> None:
    stores = worlds()
    stores["c"].objects[layout.REGION_KEY] = (KEY.cookie("c", store_of("b")), 1)

    right, why = reading(stores)

    assert (right, why) == (["a", "b"], {"c": "it is the same store as b"})
    assert "the regions b and c have one store" in problems(stores)


def test_swapped_regions_are_refused() -> None:
    stores = worlds()
    stores["b"], stores["c"] = stores["c"], stores["b"]

    told = problems(stores)

    assert "regions.b: its store is that of the region c" in told
    assert "regions.c: its store is that of the region b" in told


@pytest.mark.parametrize("trail", [KEY.trail, ""])
def test_beside_swapped_regions_the_others_are_read(trail: str) -> None:
    stores = worlds()
    stores["b"], stores["c"] = stores["c"], stores["b"]

    right, why = reading(stores, trail)

    assert right == ["a"]
    assert why == {
        "b": "its store is that of the region c",
        "c": "its store is that of the region b",
    }


@pytest.mark.parametrize("trail", [KEY.trail, ""])
def test_another_trails_store_is_refused_by_both_ids(trail: str) -> None:
    stores = worlds()
    stores["b"].objects[layout.REGION_KEY] = (OTHER.cookie("b", store_of("b")), 1)

    told = problems(stores, trail)

    assert "b" in told and KEY.trail in told and OTHER.trail in told


@pytest.mark.parametrize("trail", [KEY.trail, ""])
def test_beside_another_trails_store_the_others_are_read(trail: str) -> None:
    stores = worlds()
    stores["a"].objects[layout.REGION_KEY] = (OTHER.cookie("a", store_of("a")), 1)

    right, why = reading(stores, trail)

    assert right == ["b", "c"]
    assert f"the trail {OTHER.trail} (other), not to {KEY.trail}" in why["a"]


def test_the_trail_whose_key_is_here_is_meant_even_where_most_are_of_another() -> None:
    stores = worlds()
    for id in ("a", "b"):
        stores[id].objects[layout.REGION_KEY] = (OTHER.cookie(id, store_of(id)), 1)

    assert reading(stores)[0] == ["c"]
    assert reading(stores, "")[0] == ["a", "b"]


def test_where_no_trail_has_most_regions_none_is_right_and_each_names_its_own() -> None:
    stores = worlds()
    stores["b"].objects[layout.REGION_KEY] = (OTHER.cookie("b", store_of("b")), 1)
    stores["c"].failing = Unknown("connection refused")
    regions = regions_of(stores, "")

    assert asyncio.run(regions.verify()) == ()
    assert regions.trail == ""
    assert KEY.trail in regions.by_id["a"].why_unverified
    assert OTHER.trail in regions.by_id["b"].why_unverified
    assert regions.by_id["c"].why_unverified == "connection refused"


def test_a_mix_up_that_was_mended_is_refused_no_more() -> None:
    stores = worlds()
    stores["b"].objects[layout.REGION_KEY] = (KEY.cookie("c", store_of("c")), 1)
    regions = regions_of(stores)
    with pytest.raises(RejectedError):
        asyncio.run(_begin_to_write(regions))

    stores["b"].objects[layout.REGION_KEY] = (KEY.cookie("b", store_of("b")), 1)

    asyncio.run(_begin_to_write(regions))
    assert regions.by_id["b"].store_uuid == store_of("b")
