"""What is told of a segment's events without reading them again is what their records say."""

import asyncio

from holdfast.proof import names
from holdfast.proof.ledger import EMPTY_END
from holdfast.read.decode import contents_of
from holdfast.regions.signing import SigningKey
from holdfast.write import seal
from holdfast.write.admit import admit, finish
from holdfast.write.batch import Batch, Taken
from holdfast.write.record import times_of

KEY = SigningKey.generate(names.ledger_origin("0" * 32, "1" * 32), b"k" * 32)
RECEIVED_US = 1_700_000_000_000_000
REQUESTS = (
    b'{"action":"a","tenant":"t\\u0061","id":"1","time":"2026-01-01T00:00:00+02:00"}',
    b'{"action":"a"}\n{"tenant":"t","action":"a","id":"2"}\n{"tenant":"ta","action":"a"}',
    '{"tenant":"é","action":"b","time":"2026-01-01t00:00:00.5z"}'.encode(),
)


def taken(body: bytes, received_us: int) -> Taken:
    admitted = admit(body, "application/x-ndjson")
    records, ids = finish(admitted, received_us, "somebody", bytes)
    return Taken(
        tenants=admitted.tenants,
        records=records,
        ids=ids,
        times=times_of(admitted, received_us),
        size_bytes=0,
        received_us=received_us,
        taken_at=0.0,
        outcome=asyncio.get_running_loop().create_future(),
    )


async def batch_of(*bodies: bytes) -> Batch:
    batch = Batch()
    for number, body in enumerate(bodies):
        batch.add(taken(body, RECEIVED_US + number))
    return batch


def test_the_contents_of_a_batch_are_what_the_sealed_records_say() -> None:
    batch = asyncio.run(batch_of(*REQUESTS))

    grouped = batch.by_tenant()
    encoded = seal.encode(KEY, bytes(32), EMPTY_END, 1, RECEIVED_US + 9, grouped.records())
    contents = grouped.contents(encoded.tenants, tuple(map(len, encoded.records)))

    assert contents == contents_of(encoded.records)
    assert len(encoded.records) == 5
