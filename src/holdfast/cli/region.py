"""`holdfast region`: the stores that the trail is kept in."""

import asyncio
import contextlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from typer import Option

from holdfast.cli import printer
from holdfast.cli.exits import GOOD, UNREACHED
from holdfast.cli.options import Place
from holdfast.cli.place import settings_of
from holdfast.errors import HoldfastError
from holdfast.regions.disk import PosixDisk
from holdfast.regions.trailkey import FILE_BYTES_MAX, KEY_FILE, TrailKey, parse_trail_key
from holdfast.settings import Settings


@dataclass(frozen=True)
class Seen:
    """A region as this machine sees it.

    state: "ok" when its store showed the region's own cookie, else "unverified"; why: then, why
    not.
    store: the store's uuid; "" until it is known.
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
        asyncio.run(regions.verify())
        return SeenTrail(
            trail=regions.trail,
            name=regions.trail_name,
            quorum=regions.quorum,
            needed_to_read=regions.needed,
            regions=tuple(
                Seen(
                    region=region.id,
                    url=region.url,
                    state="ok" if region.store_uuid else "unverified",
                    store=region.store_uuid or region.named_uuid,
                    why=region.why_unverified,
                )
                for region in regions
            ),
        )


def read_trail_key(path: Path) -> TrailKey:
    """The trail's key, as the server reads it.

    Raises:
        RejectedError: damaged. OSError: not there, or not to be read.
    """
    disk = PosixDisk()
    root = disk.open_root(path.parent)
    try:
        return parse_trail_key(disk.read(root, path.name, FILE_BYTES_MAX)[0], str(path))
    finally:
        disk.close(root)


def _print(seen: SeenTrail) -> None:
    name = f" ({printer.safe(seen.name)})" if seen.name else ""
    printer.line(f"trail {seen.trail or 'unknown: no region shows its cookie'}{name}")
    printer.line(
        f"{seen.quorum} of {len(seen.regions)} regions must hold an event before it is "
        f"acknowledged; any {seen.needed_to_read} of them show everything that was"
    )
    head = ("region", "state", "store", "url", "why")
    rows = [
        (each.region, each.state, each.store or "-", printer.safe(each.url), printer.safe(each.why))
        for each in seen.regions
    ]
    printer.table(head, rows)
