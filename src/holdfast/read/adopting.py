"""Units of the archive, from the regions to this machine: which to adopt, and their files."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from holdfast.errors import UnavailableError
from holdfast.model import NodeId
from holdfast.ports import Host
from holdfast.read import evidence
from holdfast.read.archive import SUFFIX, Piece, Unit, plan_adoption, spans_of
from holdfast.read.archives import Archives
from holdfast.read.fetch import Fetcher
from holdfast.read.fold import index_fold
from holdfast.read.holdings import Holdings
from holdfast.read.index import path_of
from holdfast.read.segments import SourceError
from holdfast.regions import layout, units
from holdfast.regions.kinds import Archive

log = logging.getLogger("holdfast.read")

NAMES_KEPT_MAX = 1 << 18  # in memory: some 60 MB

Names = dict[NodeId, tuple[str, ...]]


class Adopting:
    """See the module."""

    def __init__(
        self, holdings: Holdings, archives: Archives, fetcher: Callable[[], Fetcher], host: Host
    ) -> None:
        self._holdings = holdings
        self._archives = archives
        self._fetcher = fetcher
        self._host = host
        self._names: dict[str, Names] = {}  # by the hash of the evidence, last used last

    async def adopt(self) -> tuple[Unit, ...]:
        """Adopt what can be adopted now, in order; which units that were."""
        done: list[Unit] = []
        for day in plan_adoption(self._archives.units(), self._holdings.adopted):
            found = [await self._unit_of(archive) for archive in day]
            several = [unit for unit in found if unit is not None]
            if len(several) < len(day) or not await self._holdings.adopt(several):
                break
            done += several
        return tuple(done)

    async def index(self) -> None:
        """Let the index of ids know the events of units that it does not know yet."""
        for name in sorted(self._holdings.unindexed):
            unit = self._holdings.adopted.units[name]
            if await self.bring(unit):
                try:
                    await self._holdings.index_unit(unit)
                except SourceError as error:
                    log.warning("%s", error)

    async def bring(self, unit: Unit) -> bool:
        """Have all parts of a unit here, with their indexes; whether they are."""
        for piece in unit.pieces:
            if not await self._bring(unit, piece):
                return False
        return True

    async def heal(self, path: str) -> bool:
        """A file that searches read is gone or damaged: get it again, if it is the archive's.

        Returns:
            Whether it is.
        Raises:
            UnavailableError: no region has a good copy now.
        """
        file = Path(path)
        if file.parent != self._holdings.parts_folder:
            return False
        await self._host.offload(_discard, file)
        for unit in [*self._holdings.adopted.units.values()]:
            for piece in unit.pieces:
                if piece.sha256 == file.stem and not await self._bring(unit, piece):
                    raise UnavailableError(f"part {piece.key} cannot be read now")
            if unit.evidence == file.stem:
                await self.evidence_of(unit)
        return True

    async def names(self, node: NodeId, start: int, end: int) -> list[str]:
        """The names of a ledger's segments [start, end) that are in adopted units, in order.

        Raises:
            UnavailableError: no region has a good copy of their evidence now.
            SourceError: what lies here is of no use.
        """
        found: list[str] = []
        for unit, _ in [*self._holdings.adopted.within(node, start, end)]:
            names = (await self._names_in(unit)).get(node, ())
            found += [name for name in names if start <= int(name[:10], 16) < end]
        return found

    async def evidence_of(self, unit: Unit) -> str:
        """Where its evidence lies here. Raises UnavailableError: no region has a good copy now."""
        path = await self._evidence(unit.evidence_key, unit.evidence)
        if path is None:
            raise UnavailableError(f"the evidence {unit.evidence_key} cannot be read now")
        return path

    async def _names_in(self, unit: Unit) -> Names:
        known = self._names.pop(unit.evidence, None)
        if known is None:
            path = await self.evidence_of(unit)
            known = await self._host.offload(evidence.names_in, path)
        self._names[unit.evidence] = known
        while sum(map(_count, self._names.values())) > NAMES_KEPT_MAX and len(self._names) > 1:
            del self._names[next(iter(self._names))]
        return known

    async def _unit_of(self, archive: Archive) -> Unit | None:
        """A unit as its evidence describes it; None: no region gives that now."""
        day = units.day_of(archive.unit)
        path = await self._evidence(
            layout.archived_key(day, "", archive.evidence), archive.evidence
        )
        if path is None:
            return None
        try:
            said = {each.sha256: each for each in await self._host.offload(evidence.parts_in, path)}
            pieces = [
                Piece(
                    *(layout.archived_key(day, retention, sha256), sha256, rows),
                    *said[sha256].times_us,
                    said[sha256].tenants,
                )
                for retention, sha256, _, rows in archive.parts
            ]
        except (SourceError, ValueError, KeyError) as error:
            log.error("the evidence of %s is of no use: %s", archive.unit, error)
            return None
        spans = spans_of(archive)
        return Unit(archive.unit, archive.generation, archive.evidence, spans, tuple(pieces))

    async def _evidence(self, key: str, sha256: str) -> str | None:
        path = self._holdings.parts_folder / f"{sha256}{evidence.SUFFIX}"
        return str(path) if await self._fetch(key, sha256, path) else None

    async def _bring(self, unit: Unit, piece: Piece) -> bool:
        path = self._holdings.parts_folder / f"{piece.sha256}{SUFFIX}"
        if not await self._fetch(piece.key, piece.sha256, path):
            return False
        if not await self._host.offload(path_of(str(path)).exists):
            source = piece.source(str(path.parent), unit.spans)
            await asyncio.wrap_future(self._host.background.submit(index_fold, source))
        return True

    async def _fetch(self, key: str, sha256: str, path: Path) -> bool:
        """Have a file here, from whichever region has it; whether it is."""
        if await self._host.offload(path.exists):
            return True
        holders = self._archives.holders(key)
        data = await self._fetcher().fetch_object(key, bytes.fromhex(sha256), holders)
        if data is None:
            return False
        await self._host.offload(_write, path, data)
        return True


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


def _discard(file: Path) -> None:
    """Files that belong together have one stem: a part and its index."""
    for each in file.parent.glob(f"{file.stem}.*"):
        each.unlink(missing_ok=True)


def _count(names: Names) -> int:
    return sum(map(len, names.values()))
