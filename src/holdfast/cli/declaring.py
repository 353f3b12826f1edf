"""What a person states under the trail's key: shown, confirmed, and only then stored."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

from holdfast.cli import printer
from holdfast.cli.options import Place
from holdfast.cli.place import settings_of, trail_key_of
from holdfast.cli.source import rejected
from holdfast.ports import Host
from holdfast.regions import Regions
from holdfast.regions.signing import SigningKey

Result = TypeVar("Result")
Work = Callable[[Regions, SigningKey, Host], Awaitable[Result]]


def with_trail_key(place: Place, work: Work[Result]) -> Result:
    """Run work that may sign for the trail, over its regions.

    Raises:
        RejectedError: the trail's key is not here, or the regions do not belong to it.
    """
    from holdfast.wiring import real_host, real_regions

    settings = settings_of(place.data, place.config)
    key = trail_key_of(settings)

    async def run(host: Host, regions: Regions) -> Result:
        regions.trail = key.trail
        await regions.verify()
        regions.refuse_mix_ups()
        return await work(regions, key.signing, host)

    with real_host() as host, real_regions(settings) as regions:
        return asyncio.run(run(host, regions))


def confirm(lines: Iterable[str], yes: bool) -> None:
    """Show what will be stated, and have a person agree; raises RejectedError where none does."""
    for line in lines:
        printer.note(printer.safe(line))
    if not yes and not printer.confirmed("It cannot be taken back."):
        raise rejected("--yes", "nobody confirmed it: nothing is stated")


def say_where(told: Mapping[str, str]) -> None:
    """Where a statement lies, and where it does not yet."""
    stored = [id for id, why in told.items() if not why]
    printer.note(f"stated: it lies in {', '.join(stored)}")
    for id, why in told.items():
        if why:
            printer.note(printer.safe(f"not in {id} yet ({why}); repair will bring it there"))
