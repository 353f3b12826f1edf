"""What was restored when, over a restart: one small file beside the cache.

It may be deleted at any time: then all days begin to wait anew. A file that cannot be read, or of
another trail, says nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from holdfast.regions.port import RegionId
from holdfast.restore.choice import Known, Tried

FILE: Final = "restores-1.json"
DAYS_MAX: Final = 4000  # of a region: eleven years
WHY_CHARS_MAX: Final = 300


class Kept(Struct, frozen=True):
    """since_us: when the first restore was tried. places: by region and day."""

    trail: str = ""
    since_us: int = 0
    places: dict[RegionId, dict[str, Tried]] = {}


def read(folder: Path, trail: str) -> Kept:
    """What was kept of this trail."""
    try:
        kept = msgspec.json.decode((folder / FILE).read_bytes(), type=Kept)
    except (OSError, msgspec.MsgspecError):
        return Kept(trail)
    return kept if kept.trail == trail else Kept(trail)


def write(folder: Path, kept: Kept) -> None:
    """Keep it. Raises OSError. A crash leaves the file of before, or none that can be read."""
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"{FILE}.new"
    new.write_bytes(msgspec.json.encode(kept))
    new.replace(folder / FILE)


def fitted(known: Known, regions: Sequence[RegionId]) -> dict[RegionId, dict[str, Tried]]:
    """What is worth keeping: of regions that there are, the newest days. Pure."""
    return {id: dict(sorted(known[id].items())[-DAYS_MAX:]) for id in regions if id in known}
