"""Who a store is, and what a look may conclude."""

import asyncio
from collections.abc import Callable

import pytest

from holdfast.proof import names
from holdfast.regions import layout
from holdfast.regions.cookie import (
    LOOK_SECONDS_MAX,
    Fenced,
    Foreign,
    Free,
    Newcomer,
    look,
    read_cookie,
)
from holdfast.regions.kinds import Cookie
from holdfast.regions.port import Absent, Present, Unknown
from holdfast.regions.region import Region
from holdfast.regions.trailkey import TrailKey
from tests.regions.worlds import MemoryWorld, VirtualTime, run_with_time

KEY = TrailKey(bytes(range(32)), "main")
OTHER = TrailKey(bytes(32), "other")
NODE = "0a" * 16
STORE, NEW_STORE = "01" * 16, "02" * 16
FENCE = layout.fence_key(NODE, 3)


def world(cookie: bytes | None = None, fence: bytes | None = None) -> MemoryWorld:
    made = MemoryWorld()
    for key, data in ((layout.REGION_KEY, cookie), (FENCE, fence)):
        if data is not None:
            made.objects[key] = (data, 1)
    return made


def ask(store: MemoryWorld, trail: str = KEY.trail) -> object:
    return asyncio.run(read_cookie(Region("a", store), trail))


def look_at(store: MemoryWorld, named: str = STORE) -> Free | Fenced | Newcomer | Unknown:
    return asyncio.run(look(Region("a", store), KEY.trail, NODE, 3, named))


def test_a_cookie_says_which_region_of_which_trail_a_store_is() -> None:
    cookie = ask(world(KEY.cookie("a", STORE, NEW_STORE)))

    assert isinstance(cookie, Cookie)
    assert (cookie.region, cookie.store, cookie.replaces) == ("a", STORE, NEW_STORE)
    assert cookie.trail_name == "main" and names.trail_id(cookie.trail_key) == KEY.trail


def test_any_trail_will_do_for_who_wants_to_learn_it() -> None:
    assert isinstance(ask(world(OTHER.cookie("a", STORE)), ""), Cookie)


def test_another_trails_or_regions_cookie_is_foreign() -> None:
    of_trail, of_region = ask(world(OTHER.cookie("a", STORE))), ask(world(KEY.cookie("b", STORE)))

    assert isinstance(of_trail, Foreign) and OTHER.trail in of_trail.reason
    assert isinstance(of_region, Foreign) and "region b" in of_region.reason


def test_no_cookie_is_absent_and_an_unreadable_store_unknown() -> None:
    broken = world()
    broken.failing = Unknown("reset")

    assert ask(world()) == Absent()
    assert ask(broken) == Unknown("reset")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda cookie: b"",
        lambda cookie: cookie[:-3],
        lambda cookie: cookie.replace(b"main", b"mean"),
        lambda cookie: cookie.replace(b"holdfast-region/1", b"holdfast-region/2"),
        lambda cookie: b"\xff" + cookie,
    ],
)
def test_a_corrupt_cookie_is_unknown(spoil: Callable[[bytes], bytes]) -> None:
    answer = ask(world(spoil(KEY.cookie("a", STORE))))

    assert isinstance(answer, Unknown) and "corrupt" in answer.reason


def test_a_look_is_free_where_no_fence_is_and_the_store_is_the_one_named() -> None:
    assert look_at(world(KEY.cookie("a", STORE))) == Free()


def test_any_fence_fences() -> None:
    assert look_at(world(KEY.cookie("a", STORE), b"whatever it says")) == Fenced(
        b"whatever it says"
    )
    assert isinstance(look_at(world(None, b"another store's fence, for all one knows")), Unknown)


@pytest.mark.parametrize(
    "cookie",
    [
        None,
        b"corrupt",
        KEY.cookie("a", NEW_STORE),
        KEY.cookie("b", STORE),
        OTHER.cookie("a", STORE),
    ],
    ids=["gone", "corrupt", "replaced", "of another region", "of another trail"],
)
def test_a_look_at_another_store_is_unknown(cookie: bytes | None) -> None:
    assert isinstance(look_at(world(cookie)), Unknown)


def test_a_store_that_took_the_named_ones_place_is_a_newcomer_and_never_counts() -> None:
    store = world(KEY.cookie("a", NEW_STORE, STORE))

    seen = look_at(store)

    assert isinstance(seen, Newcomer)
    assert (seen.cookie.store, seen.cookie.replaces) == (NEW_STORE, STORE)
    assert isinstance(look_at(store, named="03" * 16), Newcomer)  # two were replaced since
    assert isinstance(look_at(world(KEY.cookie("a", NEW_STORE))), Unknown)


def test_where_the_birth_names_no_store_any_of_the_region_is_a_newcomer() -> None:
    assert isinstance(look_at(world(KEY.cookie("a", STORE)), named=""), Newcomer)
    assert isinstance(look_at(world(KEY.cookie("b", STORE)), named=""), Unknown)


def test_a_look_that_cannot_read_the_fence_is_unknown() -> None:
    class Blind(MemoryWorld):
        async def read(self, key: str) -> Present | Absent | Unknown:
            return Unknown("reset") if key == FENCE else await super().read(key)

    blind = Blind()
    blind.objects[layout.REGION_KEY] = (KEY.cookie("a", STORE), 1)

    assert look_at(blind) == Unknown("reset")


def test_a_look_that_failed_without_a_word_is_not_free() -> None:
    silent = world(KEY.cookie("a", STORE))
    silent.failing = Unknown("")
    region = Region("a", silent)

    assert asyncio.run(look(region, KEY.trail, NODE, 3, STORE)) == Unknown("")
    assert region.why_unverified


def test_a_region_is_told_what_each_look_found() -> None:
    async def story() -> list[str]:
        store = world(KEY.cookie("a", STORE))
        region = Region("a", store)
        told = []

        async def look_once() -> None:
            await look(region, KEY.trail, NODE, 3, STORE)
            told.append(region.why_unverified)

        await look_once()
        del store.objects[layout.REGION_KEY]
        await look_once()
        store.objects[layout.REGION_KEY] = (KEY.cookie("b", STORE), 1)
        await look_once()
        store.failing = Unknown("reset")
        await look_once()
        store.failing = None
        store.objects[layout.REGION_KEY] = (KEY.cookie("a", STORE), 1)
        await look_once()
        return told

    assert asyncio.run(story()) == [
        "",
        "its cookie is gone",
        "its store is that of the region b",
        "reset",
        "",
    ]


@pytest.mark.parametrize("reads_before", [0, 1, 2, 3])
def test_a_fenced_store_that_is_replaced_during_the_look_is_never_free(reads_before: int) -> None:
    """Why a cookie is read after the fence: it says whose fence it was that is not there."""

    class Replaced(MemoryWorld):
        async def read(self, key: str) -> Present | Absent | Unknown:
            if sum(call == "read" for call, _ in self.log) == reads_before:
                self.objects = {layout.REGION_KEY: (KEY.cookie("a", NEW_STORE, STORE), 2)}
            return await super().read(key)

    store = Replaced()
    store.objects = world(KEY.cookie("a", STORE), b"a fence").objects

    assert not isinstance(look_at(store), Free)


@pytest.mark.parametrize("reads_before", [0, 1, 2, 3])
def test_a_fenced_store_that_comes_back_during_the_look_is_never_free(reads_before: int) -> None:
    """Why a cookie is read before the fence too: a disk that is mounted again shows both."""

    class Back(MemoryWorld):
        async def read(self, key: str) -> Present | Absent | Unknown:
            if sum(call == "read" for call, _ in self.log) == reads_before:
                self.objects = world(KEY.cookie("a", STORE), b"a fence").objects
            return await super().read(key)

    assert not isinstance(look_at(Back()), Free)


def test_a_look_that_took_too_long_is_not_free() -> None:
    """A store that is away for a while must not be able to go and come back within it."""

    async def story(time: VirtualTime) -> None:
        store = world(KEY.cookie("a", STORE))
        read = store.read

        async def slow(key: str) -> Present | Absent | Unknown:
            await asyncio.sleep(LOOK_SECONDS_MAX / 3 + 0.1)
            return await read(key)

        store.read = slow  # type: ignore[method-assign]
        assert isinstance(await look(Region("a", store), KEY.trail, NODE, 3, STORE), Unknown)

    run_with_time(story)
