"""Certificates made of trails that were written straight into regions, and their checking."""

import asyncio
import io
import json
from collections.abc import Sequence
from pathlib import Path

from holdfast.proof import certificate, ledger, objects, tenants
from holdfast.proof.certificate import Head, HeadOfAll, Named, Proven, Shown, Stretch, Whole
from holdfast.proof.errors import ProofError
from holdfast.proof.ledger import EMPTY_END
from holdfast.proof.left import Gone, Left, Stated, WholeLeft
from holdfast.proof.records import time_text
from holdfast.proof.statements import Heartbeat
from holdfast.prove.certificate import shown, whole
from holdfast.prove.prover import Prover
from holdfast.read.contents import Stored
from holdfast.regions import segment, signing
from tests.proof import samples
from tests.read.trails import START_US, TRAIL, World

END_US = START_US + 3_600_000_000


def salt_id(world: World, tenant: str) -> str:
    return tenants.salt_id(segment.tenant_salt(world.tag_key, tenant))


def made(
    world: World,
    cache: Path,
    tenant: str | None,
    from_us: int = START_US,
    to_us: int = END_US,
    records: bool = True,
) -> bytes:
    """A certificate, by a reader that has looked once."""

    async def main() -> bytes:
        reader = world.reader(cache)
        regions = world.regions()
        await regions.verify()
        try:
            await reader.pass_once()
            certifier = Prover(reader, regions, world.host, 1.0).certifier
            coming = certifier.certificate(tenant, from_us, to_us, records)
            return b"".join([piece async for piece in coming])
        finally:
            await reader.stop()

    return asyncio.run(main())


def checked(
    data: bytes, salt: str | None, trail: str = TRAIL.trail
) -> tuple[Proven | ProofError, list[str]]:
    """What a check ends with, and the claims that it made on the way."""
    claims: list[str] = []
    file = io.BytesIO(data)
    steps = certificate.check(file.readline(), file, trail, salt)
    try:
        while True:
            claims.append(next(steps))
    except StopIteration as end:
        proven: Proven = end.value
        return proven, claims
    except ProofError as error:
        return error, claims


def proven(data: bytes, salt: str | None, trail: str = TRAIL.trail) -> Proven:
    found, claims = checked(data, salt, trail)
    assert isinstance(found, Proven), (found, claims[-1])
    return found


def records_in(data: bytes) -> list[str]:
    """The ids of the records in a certificate, in its order."""
    lines = [json.loads(line) for line in data.splitlines()]
    return [line["id"] for line in lines if "line" not in line and "format" not in line]


Told = Head | HeadOfAll | Stretch | Named | Shown | Whole | Left | WholeLeft | Gone | Stated
Line = Told | bytes
KINDS: tuple[type[Told], ...] = (
    *(*certificate.HEADS, Stretch, Named, Shown, Whole),
    *(Left, WholeLeft, Gone, Stated),
)


def opened(data: bytes) -> list[Line]:
    """The lines of a certificate, but records as they are."""
    kinds: dict[tuple[str, str], type[Told]] = {kind.MARK: kind for kind in KINDS}
    found: list[Line] = []
    for line in data.splitlines(keepends=True):
        mark = next(iter(json.loads(line).items()))
        kind = kinds.get(mark)
        found.append(line if kind is None else objects.parse(line, kind))
    return found


def written(lines: Sequence[Line]) -> bytes:
    return b"".join(line if isinstance(line, bytes) else objects.form(line) for line in lines)


def small(tenant: str | None = "acme") -> bytes:
    """A certificate of the trail with fixed keys: four segments, in one of which is no `acme`; of
    all tenants for None."""
    end, sealed = EMPTY_END, []
    for n in range(4):
        time = time_text(samples.STARTED_US + 50_000 * (n + 1))
        groups = {
            each: [
                samples.record("x", each, k).replace(b"2026-11-24T10:00:00.000001Z", time.encode())
            ]
            for k, each in enumerate(("", "acme", "blå"))
            if n != 2 or each != "acme"
        }
        sealed.append(samples.seal(end, groups))
        end = ledger.extend(end, sealed[-1].name)
    until = end.sealed_us + 7
    beat = Heartbeat(1, 3, until, until, end.size, samples.checkpoint(end), ())
    salt = segment.tenant_salt(samples.TAG_KEY, tenant or "")
    of = (samples.STARTED_US, until, until, ("local",), (samples.NODE,))
    certified = samples.certificate_of(samples.NODE_KEY).decode()
    word = signing.write(beat, samples.ORIGIN, samples.NODE_KEY).decode()
    lines = [
        objects.form(HeadOfAll(*of) if tenant is None else Head(tenant, salt, *of)),
        objects.form(Stretch((), certified, samples.checkpoint(end).decode(), 0, 4, (), (), word)),
    ]
    for each in sealed:
        at = (Stored(each.name, each.data), samples.NODE, samples.TAG_KEY)
        lines += whole(*at, True) if tenant is None else shown(*at, salt, True)
    return b"".join(lines)
