"""`holdfast region`: the stores that the trail is kept in."""

import asyncio
import contextlib
import os
import re
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Annotated, Any

from typer import Argument, Option

from holdfast.cli import printer
from holdfast.cli.declaring import confirm, with_trail_key
from holdfast.cli.exits import GOOD, UNREACHED
from holdfast.cli.options import Place
from holdfast.cli.place import read_trail_key, settings_of, trail_key_of
from holdfast.cli.source import rejected
from holdfast.errors import HoldfastError, UnavailableError
from holdfast.keep.keeper import Keeper
from holdfast.keep.late import why_not_to_accept
from holdfast.keep.repair import Finding
from holdfast.ports import Host
from holdfast.proof import ProofError
from holdfast.proof.statements import Birth, verify_birth
from holdfast.regions import Region, Regions, layout
from holdfast.regions.cookie import read_cookie
from holdfast.regions.joining import Joined, add_region, replace_region
from holdfast.regions.kinds import Cookie
from holdfast.regions.port import Listing, Present
from holdfast.regions.signing import SigningKey
from holdfast.regions.trailkey import KEY_FILE, TrailKey
from holdfast.regions.whole import why_not_whole, why_superseded
from holdfast.settings import Settings
from holdfast.write.identity import speak_for_trail

READS_AT_ONCE = 8
_SURE = ("ok", "")

Join = Callable[[Regions, TrailKey], Coroutine[Any, Any, Joined]]


@dataclass(frozen=True)
class Seen:
    """A region as this machine sees it.

    state: "ok" when its store showed the region's own cookie; "filling" when it did, but came later
    and nobody found it whole yet; "superseded" when it did, and another took its place since; else
    "unverified". why: why not "ok". store: the store's uuid; "" until it is known.
    """

    region: str
    url: str
    state: str
    store: str
    why: str


@dataclass(frozen=True)
class SeenTrail:
    """A trail's regions. trail: its id, "" where no region shows it."""

    trail: str
    name: str
    quorum: int
    needed_to_read: int
    regions: tuple[Seen, ...]


def list_regions(
    place: Place,
    json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> int:
    """Look at each region's cookie, from this machine. Exit 3: not all of them show it."""
    seen = look(settings_of(place.data, place.config))
    if json:
        printer.machine_object(asdict(seen))
    else:
        _print(seen)
    return GOOD if all(region.state == "ok" for region in seen.regions) else UNREACHED


def look(settings: Settings) -> SeenTrail:
    """Read every region's cookie once, and judge it by the trail whose key is here, if one is."""
    from holdfast.wiring import real_regions

    with real_regions(settings) as regions:
        with contextlib.suppress(HoldfastError, OSError):  # the doctor says what is wrong with it
            regions.trail = read_trail_key(settings.data_path / KEY_FILE).trail
        doubts = asyncio.run(_verify(regions))
        return SeenTrail(
            trail=regions.trail,
            name=regions.trail_name,
            quorum=regions.quorum,
            needed_to_read=regions.needed,
            regions=tuple(
                Seen(
                    region=region.id,
                    url=region.url,
                    state=doubts.get(region.id, _SURE)[0] if region.store_uuid else "unverified",
                    store=region.store_uuid or region.named_uuid,
                    why=region.why_unverified or doubts.get(region.id, _SURE)[1],
                )
                for region in regions
            ),
        )


async def _verify(regions: Regions) -> dict[str, tuple[str, str]]:
    """Read all cookies; (state, why) of those stores of the trail that are not relied on."""
    verified = await regions.verify()
    births = await _read_births(verified, regions.trail)
    doubts = {}
    for region in verified:
        cookie = await read_cookie(region, regions.trail)
        if isinstance(cookie, Cookie):
            if why := why_superseded(region.id, cookie, births):
                doubts[region.id] = ("superseded", why)
            elif why := await why_not_whole(region, cookie, regions.trail):
                doubts[region.id] = ("filling", why)
    return doubts


async def _read_births(regions: Iterable[Region], trail: str) -> list[Birth]:
    """The births that any of them shows, each read once."""
    found: dict[str, Birth] = {}
    for region in regions:
        listing = await region.list(layout.NODES_PREFIX)
        keys = [each.key for each in listing] if isinstance(listing, Listing) else []
        births = (key for key in keys if key.endswith("/birth.note") and key not in found)
        while some := list(islice(births, READS_AT_ONCE)):
            answers = await asyncio.gather(*(region.read(key) for key in some))
            for key, answer in zip(some, answers, strict=True):
                if isinstance(answer, Present):
                    with contextlib.suppress(ProofError):  # `verify` names it
                        found[key] = verify_birth(answer.data, trail).statement
    return list(found.values())


def add(
    id: Annotated[str, Argument(metavar="ID", help="The region, as the settings name it.")],
    place: Place,
    json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> int:
    """Make the store of a new region. Run it where the trail's key is.

    The settings name the region already, and the set as it was before under [[earlier]].
    """
    settings = settings_of(place.data, place.config)
    joined = _join(settings, lambda regions, key: add_region(regions, id, key, os.urandom))
    return _tell(settings, id, joined, json)


def replace(
    id: Annotated[str, Argument(metavar="ID", help="The region.")],
    place: Place,
    store: Annotated[
        str, Option(metavar="UUID", help="The store that is gone, where no birth names it.")
    ] = "",
    json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> int:
    """Make a new store for a region whose store is gone for good. Run it where the trail's key is.

    Servers go on meanwhile, and fill it.
    """
    settings = settings_of(place.data, place.config)
    if store and not re.fullmatch("[0-9a-f]{32}", store):
        raise rejected("--store", "must be 32 hex digits, as `region list` shows a store")
    joined = _join(
        settings, lambda regions, key: replace_region(regions, id, key, os.urandom, store)
    )
    return _tell(settings, id, joined, json)


def accept(
    id: Annotated[str, Argument(metavar="ID", help="The region.")],
    place: Place,
    yes: Annotated[bool, Option("--yes", help="Do not ask.")] = False,
    json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> int:
    """Rely on a new store as it is, where too few others are left to compare it with.

    For a trail that lost more stores for good than it had to spare. Copies into it all that is
    left; refuses while a region does not answer, or enough others show all that was written.
    """

    async def work(regions: Regions, key: SigningKey, host: Host) -> tuple[str, Finding]:
        if id not in regions.by_id:
            raise rejected("ID", f"{id} is no region of the settings")
        if why := await why_not_to_accept(regions, id):
            raise rejected("ID", why)
        store = regions.by_id[id].store_uuid
        confirm(_acceptance(regions, id, store), yes)
        person = speak_for_trail(regions.trail, key, host)
        report = await Keeper(regions, host, identity=lambda: person).reconcile(
            whole=True, accepted=id
        )
        told = (f for f in report.findings if f.key == layout.WHOLE_KEY and f.region == id)
        return store, next(told)

    store, found = with_trail_key(place, work)
    if found.kind != "found-whole":
        raise UnavailableError(f"{id} is not accepted: {found.reason}")
    if json:
        printer.machine_object({"region": id, "store": store, "why": found.reason})
        return GOOD
    printer.line(printer.safe(f"region {id} is accepted: {found.reason}"))
    return GOOD


def _acceptance(regions: Regions, id: str, store: str) -> Iterator[str]:
    yield f"ACCEPT the store {store} of region {id} as it will be after this"
    yield f"  repair, though fewer than {regions.needed} others show all that was written"
    yield "Events that were acknowledged may be lost. Where a node is known to have written more"
    yield "than is found, `complete_through` waits for `holdfast gap declare`. What only the lost"
    yield "stores knew of is missed by nobody: no answer will tell that it was there."


def _join(settings: Settings, join: Join) -> Joined:
    from holdfast.wiring import real_regions

    key = trail_key_of(settings)
    with real_regions(settings) as regions:
        return asyncio.run(join(regions, key))


def _tell(settings: Settings, id: str, joined: Joined, json: bool) -> int:
    url = settings.regions[id].url
    if json:
        printer.machine_object({"region": id, "url": url, **asdict(joined)})
        return GOOD
    place = f" in the place of {joined.replaces}" if joined.replaces else ""
    begun = "is now" if joined.is_new else "has been made before:"
    printer.line(printer.safe(f"region {id} {begun} store {joined.store}{place}, at {url}"))
    printer.line(
        "servers, or `holdfast reconcile`, fill it; readers rely on it once that is done "
        "(`holdfast region list` says so)"
    )
    return GOOD


def _print(seen: SeenTrail) -> None:
    name = f" ({printer.safe(seen.name)})" if seen.name else ""
    printer.line(f"trail {seen.trail or 'unknown: no region shows its cookie'}{name}")
    printer.line(
        f"{seen.quorum} regions must hold an event before it is acknowledged; any "
        f"{seen.needed_to_read} of those that are written to show everything that was"
    )
    head = ("region", "state", "store", "url", "why")
    rows = [
        (each.region, each.state, each.store or "-", printer.safe(each.url), printer.safe(each.why))
        for each in seen.regions
    ]
    printer.table(head, rows)
