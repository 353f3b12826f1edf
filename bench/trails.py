"""Trails made without waiting for their hours to pass: by the code that seals, into directories.

What is written is what nodes at a constant rate would have left. Regions share the bytes of a
segment by hard links, so that a trail of a million objects costs one copy of them.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from holdfast.proof import ledger, names, tenants
from holdfast.proof.ledger import EMPTY_END, LedgerEnd
from holdfast.proof.note import Checkpoint
from holdfast.proof.statements import Birth, Certificate, Heartbeat
from holdfast.regions import kinds, layout, segment, signing
from holdfast.regions.signing import SigningKey
from holdfast.regions.trailkey import TrailKey
from holdfast.write import seal

NODE_BYTES = 32


class Trail:
    """The regions of a trail, founded. roots: by id; quorum: more than half of them."""

    def __init__(self, folder: Path, regions: Sequence[str] = ("a", "b", "c")) -> None:
        self.roots = {id: folder / id for id in regions}
        self.quorum = len(regions) // 2 + 1
        self._key = TrailKey(bytes(range(NODE_BYTES)), "bench")
        cookies = {id: self._key.cookie(id) for id in regions}
        for id, root in self.roots.items():
            put([root], layout.REGION_KEY, cookies[id])
        told = [kinds.verify_cookie(cookie, self.id).statement for cookie in cookies.values()]
        self.tag_key = told[0].tag_key
        self.stores = tuple((each.region, each.store) for each in told)

    @property
    def id(self) -> str:
        return self._key.trail

    def keep_key(self, path: Path) -> None:
        """Lay the trail's key where a program looks for it."""
        path.write_text(self._key.text())

    def salt_id(self, tenant: str) -> str:
        """What a tenant is told of its salt."""
        return tenants.salt_id(segment.tenant_salt(self.tag_key, tenant))

    def certify(self, public: bytes, start_us: int) -> Birth:
        """The birth of a new node's first epoch."""
        signer = self._key.signing
        certificate = Certificate(signer.public, names.node_id(public), public, start_us)
        note = signing.write(certificate, signer.name, signer)
        return Birth(
            trail_key=signer.public,
            node_key=public,
            certificate=note,
            epoch=1,
            instance="1" * 32,
            started_us=start_us,
            quorum=self.quorum,
            regions=self.stores,
            base=EMPTY_END,
        )


class Ledger:
    """A node's ledger, in its first epoch. holders: the regions that have it, all by default."""

    def __init__(
        self,
        trail: Trail,
        number: int,
        start_us: int,
        holders: Sequence[str] = (),
        end: LedgerEnd = EMPTY_END,
    ) -> None:
        """number: tells nodes apart. end: where an earlier object of the same number ended."""
        self.end = end
        self._trail = trail
        self._roots = [trail.roots[id] for id in holders or trail.roots]
        seed = number.to_bytes(NODE_BYTES, "big")
        public = SigningKey.generate("unnamed", seed).public
        self.node = names.node_id(public)
        self._key = SigningKey.generate(names.ledger_origin(trail.id, self.node), seed)
        self._beats = 0
        self._shard = ""  # whose directories are there
        if not end.size:
            birth = signing.write(trail.certify(public, start_us), self._key.name, self._key)
            put(self._roots, layout.birth_key(self.node, 1), birth)

    def segment(self, sealed_us: int, groups: Mapping[str, list[bytes]]) -> int:
        """Seal these records and put them into every region; their bytes."""
        encoded = seal.encode(self._key, self._trail.tag_key, self.end, 1, sealed_us, groups)
        self.end = ledger.extend(self.end, encoded.name)
        key = layout.segment_key(self.node, encoded.name)
        if (shard := key.rpartition("/")[0]) != self._shard:
            self._shard = shard
            for root in self._roots:
                (root / shard).mkdir(parents=True, exist_ok=True)
        first, *others = (f"{root}/{key}" for root in self._roots)
        with open(first, "wb") as file:  # noqa: PTH123, a Path costs more than the file
            file.write(encoded.data)
        for other in others:
            os.link(first, other)
        return len(encoded.data)

    def beat(self, now_us: int) -> None:
        """A heartbeat: all that was sealed is promised, with its checkpoint."""
        self._beats += 1
        text = Checkpoint(self._key.name, self.end.size, self.end.root).text
        note = signing.sign(text, self._key)
        said = Heartbeat(1, self._beats, now_us, now_us, self.end.size, note, ())
        data = signing.write(said, self._key.name, self._key)
        put(self._roots, layout.heartbeat_key(self.node), data)


def put(roots: Sequence[Path], key: str, data: bytes) -> None:
    """Write an object, without any fsync: what is measured is how it is read."""
    for root in roots:
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
