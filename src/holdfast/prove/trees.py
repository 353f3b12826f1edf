"""Inclusion paths in ledgers of any size, out of what is held of them.

A ledger's tree is a tree over the roots of its shards of 4096 names. Roots of whole shards stay in
memory, 32 bytes each, once what was made of them was found in something signed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from holdfast.errors import CorruptError, UnavailableError
from holdfast.model import NodeId
from holdfast.ports import Host
from holdfast.proof import merkle
from holdfast.prove import paths
from holdfast.regions.layout import SHARD_SEGMENTS

Names = Callable[[NodeId, int, int], Awaitable[Sequence[str]]]


class Trees:
    """The trees of all ledgers."""

    def __init__(self, names: Names, host: Host) -> None:
        """names: of (node, start, end): the names of its segments [start, end), in order."""
        self._names = names
        self._host = host
        self._shards: dict[NodeId, list[bytes]] = {}
        self._turn = asyncio.Lock()

    async def path(self, node: NodeId, index: int, size: int, root: bytes) -> tuple[bytes, ...]:
        """The path from segment `index` to the root of the ledger's first `size` segments.

        root: as signed.

        Raises:
            UnavailableError: not all of them are held.
            CorruptError: what is held has another root than was signed.
        """
        async with self._turn:
            roots = await self._roots(node, size, root)
            shard, at = divmod(index, SHARD_SEGMENTS)
            leaves = await self._leaves(node, shard, size)
            return (
                *paths.inclusion_path(leaves, at),
                *paths.inclusion_path(roots, shard),
            )

    async def around(
        self, node: NodeId, start: int, end: int, size: int, root: bytes
    ) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """What surrounds segments [start, end), end > 0, in the same tree: `before` and `after`, as
        a certificate of completeness has them. Errors as `path`."""
        async with self._turn:
            roots = await self._roots(node, size, root)
            shard, at = divmod(start, SHARD_SEGMENTS)
            before = paths.before(roots, shard)
            if at:
                before += paths.before(await self._leaves(node, shard, size), at)
            shard, at = divmod(end, SHARD_SEGMENTS)
            after: tuple[bytes, ...] = ()
            if at:
                after = paths.after(await self._leaves(node, shard, size), at)
                shard += 1
            return before, after + paths.after(roots, shard)

    async def _roots(self, node: NodeId, size: int, root: bytes) -> list[bytes]:
        """The roots of the shards that a ledger of that size has, the last perhaps not whole."""
        shards = self._shards.setdefault(node, [])
        whole, rest = divmod(size, SHARD_SEGMENTS)
        while len(shards) < whole:
            shards.append(merkle.root(await self._leaves(node, len(shards), size)))
        roots = shards[:whole]
        if rest:
            roots.append(merkle.root(await self._leaves(node, whole, size)))
        if merkle.root(roots) != root:
            del self._shards[node]
            raise CorruptError(f"the first {size} segments of node {node} have another root")
        return roots

    async def _leaves(self, node: NodeId, shard: int, size: int) -> list[bytes]:
        """The leaf hashes of a shard, as far as a ledger of that size has them."""
        start = shard * SHARD_SEGMENTS
        end = min(start + SHARD_SEGMENTS, size)
        names = await self._names(node, start, end)
        if [int(name[:10], 16) for name in names] != list(range(start, end)):
            raise UnavailableError(f"segments {start} to {end} of node {node} are not all held yet")
        return await self._host.offload(merkle.leaf_hashes, [name.encode() for name in names])
