"""A small trail with fixed keys, so that everything signed in it has fixed bytes."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from holdfast.proof import ledger, merkle, names
from holdfast.proof.export import Export, Ledger, LetGo, Listed, Missing
from holdfast.proof.floors import Floor, ProvableFloor, Tree
from holdfast.proof.ledger import EMPTY_END, LedgerEnd
from holdfast.proof.note import Checkpoint
from holdfast.proof.statements import (
    Birth,
    Certificate,
    Closed,
    Gap,
    Heartbeat,
    RegionState,
    Statement,
)
from holdfast.regions import signing
from holdfast.regions.kinds import Archive, Cookie, Fence, Receipt, Retired, Vote, Whole
from holdfast.regions.retained import Hold, Release
from holdfast.regions.signing import SigningKey
from holdfast.write.seal import Encoded, encode

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
FROZEN = VECTORS / "holdfast"

TRAIL_SEED, NODE_SEED, CLOSER_SEED = (bytes([n]) * 32 for n in (1, 2, 3))
TAG_KEY = bytes(range(32))
STARTED_US = 1_795_514_400_000_000  # 2026-11-24T10:00:00Z
OF_THE_TRAIL = (
    "region",
    "certificate",
    "whole",
    "archive",
    "floor",
    "floor-2",
    "hold",
    "release",
    "export",
)  # kinds whose origin is the trail itself
LET_GO = (LetGo(7, "class a: max 30 days"),)
STORES = tuple((region, f"{n:032x}") for n, region in enumerate(("eu-1", "local", "us.2"), 1))


def named_key(origin: str, seed: bytes) -> SigningKey:
    return SigningKey.generate(origin, seed)


def public_of(seed: bytes) -> bytes:
    return SigningKey.generate("any", seed).public


TRAIL = names.trail_id(public_of(TRAIL_SEED))
NODE = names.node_id(public_of(NODE_SEED))
CLOSER = names.node_id(public_of(CLOSER_SEED))
TRAIL_KEY = named_key(names.trail_origin(TRAIL), TRAIL_SEED)
NODE_KEY = named_key(names.ledger_origin(TRAIL, NODE), NODE_SEED)
CLOSER_KEY = named_key(names.ledger_origin(TRAIL, CLOSER), CLOSER_SEED)
ORIGIN = NODE_KEY.name


def certificate_of(key: SigningKey, certified_us: int = STARTED_US - 1) -> bytes:
    statement = Certificate(
        trail_key=TRAIL_KEY.public,
        node=names.node_id(key.public),
        node_key=key.public,
        certified_us=certified_us,
    )
    return signing.write(statement, TRAIL_KEY.name, TRAIL_KEY)


def record(action: str, tenant: str = "", size: int = 0) -> bytes:
    """A record as the server stores them, about as long as `size` says."""
    of_tenant = f'"tenant":"{tenant}",' if tenant else ""
    return (
        f'{{"id":"{action}-{size}",{of_tenant}"action":"{action}","reason":"{"r" * size}",'
        f'"received":"2026-11-24T10:00:00.000001Z","principal":"test"}}'
    ).encode()


GROUPS = {
    "": [record("holdfast.start")],
    "acme": [record("user.login", "acme", n) for n in range(5)],
    "blå": [record("user.login", "blå"), record("user.logout", "blå")],
}


def seal(
    end: LedgerEnd = EMPTY_END, groups: dict[str, list[bytes]] = GROUPS, epoch: int = 1
) -> Encoded:
    """One segment more, sealed 50 ms after the one before."""
    sealed_us = (end.sealed_us or STARTED_US) + 50_000
    return encode(NODE_KEY, TAG_KEY, end, epoch, sealed_us, groups)


def ledger_of(count: int) -> tuple[list[Encoded], list[LedgerEnd]]:
    """That many segments, and where the ledger stands before the first and after each."""
    sealed: list[Encoded] = []
    ends = [EMPTY_END]
    for _ in range(count):
        sealed.append(seal(ends[-1]))
        ends.append(ledger.extend(ends[-1], sealed[-1].name))
    return sealed, ends


@dataclass(frozen=True)
class Sample:
    """A statement and what it takes to sign it."""

    statement: Statement
    origin: str
    key: SigningKey

    @property
    def data(self) -> bytes:
        return signing.write(self.statement, self.origin, self.key)


def fixed_end(size: int = 7) -> LedgerEnd:
    """The end of a ledger whose names are made up: it depends on no compressor."""
    end = EMPTY_END
    for name in fixed_names(size):
        end = ledger.extend(end, name)
    return end


def fixed_names(count: int) -> list[names.SegmentName]:
    return [
        names.SegmentName(
            index=n,
            epoch=1 + n // 4,
            first=10 * n,
            count=10,
            tenants=1 + n,
            sealed_us=STARTED_US + n,
            root=bytes([n]) * 32,
            sha256=bytes([128 + n]) * 32,
        )
        for n in range(count)
    ]


def checkpoint(end: LedgerEnd) -> bytes:
    return signing.sign(Checkpoint(ORIGIN, end.size, end.root).text, NODE_KEY)


def exported() -> bytes:
    """The file that the receipt among the samples is of."""
    return b"".join(record + b"\n" for record in GROUPS["acme"])


def receipt_of(file: bytes) -> Export:
    """What a receipt says of such a file of lines, received in the first second of `acme`'s."""
    end, lines = fixed_end(), file.splitlines()
    listed = tuple(Listed(region, STARTED_US + 20, STARTED_US + 30) for region, _ in STORES)
    return Export(
        kind="ndjson",
        sha256=hashlib.sha256(file).digest(),
        bytes=len(file),
        events=len(lines),
        root=merkle.root(merkle.leaf_hashes(lines)),
        from_us=STARTED_US,
        to_us=STARTED_US + 10,
        complete_through_us=STARTED_US + 14,
        filter=(("tenant", "acme"),),
        complete="provable",
        ledger=(Ledger(NODE, 5, 7, end.size, end.root),),
        gap=(Missing(NODE, 3, 5),),
        let_go=(),
        region=listed,
        by=CLOSER,
        exported_us=STARTED_US + 15,
        certificate=certificate_of(CLOSER_KEY),
    )


def _floor(closer: bytes) -> dict[str, Any]:
    return {
        "unit": "2026-11-24t10",
        "retention": "debug",
        "rule": "class debug: actions 'debug.*', min 30, max 90 days",
        "min": 30,
        "max": 90,
        "rows": 12,
        "earliest_us": STARTED_US - 20,
        "latest_us": STARTED_US - 10,
        "by": CLOSER,
        "floored_us": STARTED_US + 15,
        "certificate": closer,
        "remains": "d" * 64,
        "parts": (("b" * 64, 4096, 7), ("c" * 64, 1024, 5)),
    }


def samples() -> dict[str, Sample]:
    """One of each kind but the trailer, by the name of its frozen file."""
    end = fixed_end()
    stores, trail_key = STORES, TRAIL_KEY.public
    certificate = certificate_of(NODE_KEY)
    closer = certificate_of(CLOSER_KEY)
    states = tuple(RegionState(region, "ok", 0, 0) for region, _ in stores[:2])
    found = {
        "region": (
            Cookie(trail_key, 'Tür "1"\n', "local", stores[1][1], TAG_KEY, "f" * 32),
            TRAIL_KEY,
        ),
        "certificate": (
            Certificate(trail_key, NODE, NODE_KEY.public, STARTED_US - 1),
            TRAIL_KEY,
        ),
        "birth": (
            Birth(
                *(trail_key, NODE_KEY.public, certificate, 2, "0f" * 16, STARTED_US + 9),
                *(2, stores, end),
            ),
            NODE_KEY,
        ),
        "fence": (Fence(2, CLOSER, STARTED_US + 10, closer), CLOSER_KEY),
        "close": (Vote(2, end), CLOSER_KEY),
        "closed": (
            Closed(2, end, CLOSER, "no sign of life for 10 min", STARTED_US + 11, closer),
            CLOSER_KEY,
        ),
        "heartbeat": (
            Heartbeat(
                *(2, 41, STARTED_US + 8, STARTED_US + 7, 7, checkpoint(end)),
                (*states, RegionState(stores[2][0], "time-out", 3, 4096)),
            ),
            NODE_KEY,
        ),
        "gap": (
            Gap(
                *(trail_key, 3, 5, 30, 50, STARTED_US + 2, STARTED_US + 4, stores[:2], ("us.2",)),
                *("Åsa", "both machines burnt", STARTED_US + 12),
            ),
            TRAIL_KEY,
        ),
        "retired": (
            Retired(trail_key, 2, end, "Åsa", "the machine was stolen", STARTED_US + 13),
            TRAIL_KEY,
        ),
        "export": (replace(receipt_of(exported()), complete="stated", let_go=LET_GO), CLOSER_KEY),
        "receipt": (Receipt(fixed_names(7)[6].text, stores[:2]), NODE_KEY),
        "archive": (
            Archive(
                *("2026-11-24t10", 1, *stores[0], CLOSER, STARTED_US + 14, closer, "a" * 64),
                parts=(("default", "b" * 64, 4096, 30), ("default", "c" * 64, 1024, 10)),
                ledgers=((NODE, 0, 5, 0, 50),),
                gaps=((NODE, 2, 3),),
            ),
            CLOSER_KEY,
        ),
        "floor": (Floor(**_floor(closer)), CLOSER_KEY),
        "floor-2": (ProvableFloor(**_floor(closer), gone=Tree(5, b"\x05" * 32)), CLOSER_KEY),
        "hold": (
            Hold(
                *("7" * 32, "acme", "ålis", STARTED_US - 5, STARTED_US + 5, 'case "12/7"', "Åsa"),
                *(CLOSER, STARTED_US + 16, closer),
            ),
            CLOSER_KEY,
        ),
        "release": (
            Release("7" * 32, "the case is closed", "Åsa", CLOSER, STARTED_US + 17, closer),
            CLOSER_KEY,
        ),
        "whole": (Whole("e" * 32, CLOSER, STARTED_US + 12, closer, stores[1:]), CLOSER_KEY),
    }
    return {
        name: Sample(statement, TRAIL_KEY.name if name in OF_THE_TRAIL else ORIGIN, key)
        for name, (statement, key) in found.items()
    }


def _below(base: type[Statement]) -> list[type[Statement]]:
    return [base, *(kind for each in base.__subclasses__() for kind in _below(each))]


KINDS = [kind for kind in _below(Statement) if hasattr(kind, "KIND")]
