"""Every hour, this node's ledger takes in the newest checkpoints of all others.

Whoever keeps one note of one node from then on holds something over every ledger that this node
saw before it: to change any of them, all later notes of this one would have to be changed as well.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence

import msgspec

from holdfast.errors import HoldfastError
from holdfast.model import NodeId
from holdfast.proof import names
from holdfast.read.checkpoints import Checkpoints, Look
from holdfast.write.admit import MEDIA_TYPE_JSON, admit
from holdfast.write.node import Node

log = logging.getLogger("holdfast.keep")

ACTION = "holdfast.ledgers.seen"
LEDGERS_MAX = 500  # in one event, which may have 1 MiB: an origin and a note have some 600 bytes
FIRST_SECONDS = 60.0
RETRY_SECONDS = 60.0

Ledger = dict[str, str]  # origin, note


class Seen:
    """Tells what is new since it last did."""

    def __init__(self, checkpoints: Checkpoints, node: Node) -> None:
        self._checkpoints = checkpoints
        self._node = node
        self._told: dict[NodeId, int] = {}
        self._conflicts: set[NodeId] = set()

    async def tell_forever(self, interval_seconds: float) -> None:
        """Tell an interval, and once soon after the start."""
        await asyncio.sleep(min(FIRST_SECONDS, interval_seconds))
        while True:
            try:
                await self.tell()
            except HoldfastError as error:
                log.warning("what was seen of other ledgers is not written yet: %s", error)
                await asyncio.sleep(min(RETRY_SECONDS, interval_seconds))
            except Exception:
                # Whatever it is, the next time comes; nothing waits for this.
                log.exception("what was seen of other ledgers was not written")
                await asyncio.sleep(interval_seconds)
            else:
                await asyncio.sleep(interval_seconds)

    async def tell(self) -> int:
        """Write the other nodes' checkpoints that are newer than those written before; how many.

        Raises:
            HoldfastError: they are not known to be written.
        """
        look = await self._checkpoints.look()
        trail, own = names.parse_ledger_origin(self._node.identity.key.name)
        fresh = [node for node in look.newest if node != own and self._is_new(look, node)]
        ledgers = [
            each for node in fresh for each in _notes(look, node, names.ledger_origin(trail, node))
        ]
        for start in range(0, len(ledgers), LEDGERS_MAX):
            await self._write(own, ledgers[start : start + LEDGERS_MAX])
        self._told |= {node: look.newest[node].checkpoint.size for node in fresh}
        self._conflicts |= look.conflicts.keys() & set(fresh)
        return len(ledgers)

    def _is_new(self, look: Look, node: NodeId) -> bool:
        is_larger = look.newest[node].checkpoint.size > self._told.get(node, 0)
        return is_larger or (node in look.conflicts and node not in self._conflicts)

    async def _write(self, own: NodeId, ledgers: Sequence[Ledger]) -> None:
        event = {
            "action": ACTION,
            "actor": {"type": "node", "id": own},
            "attributes": {"ledgers": ledgers},
        }
        admitted = admit(msgspec.json.encode(event), MEDIA_TYPE_JSON, own=True)
        await self._node.take(admitted, f"node:{own}").outcome


def _notes(look: Look, node: NodeId, origin: str) -> Iterator[Ledger]:
    """A node's newest checkpoint, and both of those that it contradicts itself with."""
    told = {look.newest[node].note, *look.conflicts.get(node, ())}
    for each in sorted(told):
        yield {"origin": origin, "note": each.decode()}
