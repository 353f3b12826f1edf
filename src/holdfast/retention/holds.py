"""Legal holds: stated in W regions, and confirmed once no floor was found in R of them after that.

A deleter looks the other way round (`expire`): its floor lies in W before it looks for holds. So of
the two, one at least sees the other; where each does, the floor hides what is held, nothing of it
is deleted, and `all` names it from then on. What was let go before a hold cannot be held any more,
and is named; it may be deleted already, or soon.
"""

import asyncio
from collections.abc import Callable, Mapping

from msgspec import Struct

from holdfast.errors import Problem, RejectedError, UnavailableError
from holdfast.keep.declare import declare
from holdfast.ports import Host
from holdfast.proof import MalformedError, names
from holdfast.regions import Regions, layout, signing
from holdfast.regions.port import RegionId
from holdfast.regions.retained import Floor, Hold, Release, Retained, place_of
from holdfast.retention.chronicle import Chronicle
from holdfast.retention.look import Look
from holdfast.retention.plan import holding
from holdfast.write.identity import Identity

UNREAD = " (no copy of this hold verifies, and what it held is not known)"


class Wanted(Struct, frozen=True, kw_only=True):
    """A hold as a person wants it; as in `Hold`."""

    tenant: str
    reason: str
    author: str
    actor: str = ""
    from_us: int | None = None
    to_us: int | None = None


class Held(Struct, frozen=True):
    """A hold as it stands. late: what was let go before, of which it would hold some. stored: where
    it was just put: region -> "", else why not."""

    hold: Hold
    release: Release | None = None
    late: tuple[Floor, ...] = ()
    stored: Mapping[RegionId, str] = {}


class Holds:
    """See the module."""

    def __init__(
        self,
        regions: Regions,
        host: Host,
        identity: Callable[[], Identity | None],
        chronicle: Chronicle,
    ) -> None:
        """identity: in whose name statements are; None while there is nobody."""
        self._regions = regions
        self._host = host
        self._identity = identity
        self._chronicle = chronicle
        self._look = Look(regions)
        self._turn = asyncio.Lock()

    async def all(self) -> tuple[Held, ...]:
        """All holds, also those that are over, by when they were placed.

        Raises:
            UnavailableError: too few regions answer.
        """
        async with self._turn:
            await self._look.begin(archives=False)
            seen = self._look.retaining
            found = sorted(seen.holds.values(), key=lambda hold: (hold.placed_us, hold.hold))
            return tuple(
                [Held(one, seen.releases.get(one.hold), await self._late(one)) for one in found]
            )

    async def place(self, wanted: Wanted) -> Held:
        """State a hold, and find out what it comes too late for.

        Raises:
            RejectedError: it has no form in a statement.
            UnavailableError: too few regions took it; or took it, and do not answer any more, so
                that it stands, and what was let go before is not known.
        """
        identity = self._signer()
        hold = Hold(
            hold=self._host.random(16).hex(),
            tenant=wanted.tenant,
            actor=wanted.actor,
            from_us=wanted.from_us,
            to_us=wanted.to_us,
            reason=wanted.reason,
            author=wanted.author,
            by=identity.node,
            placed_us=self._host.now_us(),
            certificate=identity.certificate,
        )
        stored = await self._declare(hold, identity)
        async with self._turn:
            try:
                await self._look.begin(archives=False)
                self._refuse_unread()
                late = await self._late(hold)
            except UnavailableError as error:
                raise UnavailableError(
                    f"the hold {hold.hold} is placed, and whether something was let go before is "
                    f"not known: {error}. `holdfast hold list` will say"
                ) from error
            await self._chronicle.tell_of(self._look.retaining)
        return Held(hold, None, late, stored)

    async def release(self, id: str, reason: str, author: str) -> Held:
        """State that a hold is over; also one that nobody can read any more, which is said.

        Raises:
            RejectedError: there is no such hold, or the reason has no form in a statement.
            UnavailableError: too few regions answer, or took it.
        """
        identity = self._signer()
        await self._regions.verify()
        seen = await self._look.again()
        hold, release = seen.holds.get(id), seen.releases.get(id)
        if hold is None and release is None and id not in seen.unread:
            raise RejectedError("not-found", Problem(0, "hold", f"there is no hold {id}"))
        if hold is None:
            hold = _unread(id)
        if release is not None:
            return Held(hold, release)
        reason += UNREAD if id in seen.unread else ""
        release = Release(
            *(id, reason, author, identity.node, self._host.now_us(), identity.certificate)
        )
        stored = await self._declare(release, identity)
        await self._chronicle.tell_of(await self._look.again())
        return Held(hold, release, (), stored)

    def _refuse_unread(self) -> None:
        """For all that is known, a floor that nobody can read came before any hold."""
        for unit, retention in sorted(self._look.retaining.unread_floors):
            raise UnavailableError(f"no copy of the floor of {retention} of {unit} verifies")

    def _signer(self) -> Identity:
        identity = self._identity()
        if identity is None:
            raise UnavailableError("no node lives and no trail's key is here to sign holds")
        return identity

    async def _declare(self, said: Retained, identity: Identity) -> Mapping[RegionId, str]:
        await self._regions.verify()
        origin = names.trail_origin(self._regions.trail)
        try:
            data = signing.write(said, origin, identity.key)
        except MalformedError as error:
            raise RejectedError("malformed", Problem(0, "", str(error))) from None
        return await declare(self._regions, layout.retained_key(place_of(said)), data)

    async def _late(self, hold: Hold) -> tuple[Floor, ...]:
        """The floors below which lies what a hold would hold, or may."""
        late = []
        for (unit, _), floor in sorted(self._look.retaining.out.items()):
            within = (hold.to_us is None or floor.earliest_us < hold.to_us) and (
                hold.from_us is None or hold.from_us <= floor.latest_us
            )
            archives = list(self._look.having(unit).values()) if within else []
            facts = await self._look.facts(archives[0]) if archives else {}
            hashes = [sha256 for sha256, *_ in floor.parts]
            known = [sha256 for sha256 in hashes if sha256 in facts]  # all say the same of the rows
            if within and holding((hold,), known or hashes, facts):
                late.append(floor)
        return tuple(late)


def _unread(id: str) -> Hold:
    """A hold of which nothing is known but that it is."""
    return Hold(id, "", "", None, None, "", "", "", 0, b"")
