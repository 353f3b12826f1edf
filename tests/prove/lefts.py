"""A certificate over the frozen segment, of which a floor let two records go."""

from holdfast.proof import ledger, merkle, objects, tenants, units
from holdfast.proof.certificate import HeadOfAllLeft, HeadOfLeft, Named, Stretch
from holdfast.proof.floors import ProvableFloor, Tree, Went
from holdfast.proof.left import Gone, Stated
from holdfast.proof.names import SegmentName
from holdfast.proof.statements import Heartbeat
from holdfast.prove import paths
from holdfast.prove.left import Of, left
from holdfast.read.contents import Archived, LetGo
from holdfast.regions import segment, signing
from tests.proof import samples

UNIT, RETENTION = "2026-11-24", "debug"
GONE = {"": (0,), "acme": (3,)}  # of whom, which records


def _whose(name: SegmentName) -> list[tuple[str, str]]:
    """The tenants of the segment, by their tags."""
    salts = {of: segment.tenant_salt(samples.TAG_KEY, of) for of in samples.GROUPS}
    return sorted((tenants.tag(salt, samples.NODE, name.index), of) for of, salt in salts.items())


def went(name: SegmentName) -> list[Went]:
    return [
        Went(tag, len(samples.GROUPS[of]), tuple((at, at + 1) for at in GONE[of]))
        for tag, of in _whose(name)
        if of in GONE
    ]


def floor(name: SegmentName) -> bytes:
    leaves = merkle.leaf_hashes([each.leaf for each in went(name)])
    said = ProvableFloor(
        unit=UNIT,
        retention=RETENTION,
        rule="class debug: actions 'debug.*', min 30, max 90 days",
        min=30,
        max=90,
        rows=2,
        earliest_us=samples.STARTED_US,
        latest_us=samples.STARTED_US,
        by=samples.CLOSER,
        floored_us=units.end_us(UNIT) + 90 * units.DAY_US,
        certificate=samples.certificate_of(samples.CLOSER_KEY),
        remains="d" * 64,
        parts=(("b" * 64, 4096, 2),),
        gone=Tree(len(leaves), merkle.root(leaves)),
    )
    return signing.write(said, samples.TRAIL_KEY.name, samples.CLOSER_KEY)


def held(name: SegmentName, data: bytes) -> Archived:
    """What is left of the segment."""
    hashes: dict[int, bytes | None] = {}
    lines, leaves, at = b"", [], 0
    for tag, of in _whose(name):
        records, gone = samples.GROUPS[of], GONE.get(of, ())
        salt = segment.tenant_salt(samples.TAG_KEY, of)
        root = merkle.root(merkle.leaf_hashes(records))
        blind = tenants.blind(salt, samples.NODE, name.index)
        leaves.append(tenants.tenant_leaf(tag, blind, len(records), root).decode())
        for number, record in enumerate(records):
            if number not in gone:
                lines += record + b"\n"
            else:
                hashes[at + number] = merkle.leaf_hash(record) if len(records) > len(gone) else None
        at += len(records)
    return Archived(name, segment.trailer_note(data), lines, LetGo(hashes, tuple(leaves)))


def certificate(name: SegmentName, data: bytes, tenant: str | None, records: bool) -> bytes:
    """Of a tenant that the floor let something go of, or of all."""
    salt = None if tenant is None else segment.tenant_salt(samples.TAG_KEY, tenant)
    fixed = samples.fixed_names(name.index)
    end = ledger.extend(samples.fixed_end(name.index), name)
    until = end.sealed_us + 1
    of = (
        *(fixed[-1].sealed_us + 1, until, until),
        *(("local 2026-11-24T10:00:09Z 2026-11-24T10:00:10Z",), (samples.NODE,)),
    )
    head = HeadOfAllLeft(*of) if tenant is None or salt is None else HeadOfLeft(tenant, salt, *of)
    names = merkle.leaf_hashes([each.text.encode() for each in (*fixed, name)])
    beat = Heartbeat(2, 9, until, until, end.size, samples.checkpoint(end), ())
    stretch = Stretch(
        *((), samples.certificate_of(samples.NODE_KEY).decode(), samples.checkpoint(end).decode()),
        *(name.index - 1, name.index + 1),
        *(paths.before(names, name.index - 1), paths.after(names, name.index + 1)),
        signing.write(beat, samples.ORIGIN, samples.NODE_KEY).decode(),
    )
    pieces = left(
        held(name, data),
        Of(samples.NODE, samples.TAG_KEY, salt, records),
        [_gone(name, None if salt is None else tenants.tag(salt, samples.NODE, name.index))],
    )
    lines = [
        piece if isinstance(piece, bytes) else objects.form(Stated(floor(name).decode()))
        for piece in pieces
    ]
    return b"".join(
        [objects.form(head), objects.form(stretch), objects.form(Named(fixed[-1].text)), *lines]
    )


def _gone(name: SegmentName, tag: str | None) -> Gone:
    every = went(name)
    leaves = merkle.leaf_hashes([each.leaf for each in every])
    own = [at for at, each in enumerate(every) if tag in (None, each.tag)]
    around = paths.before(leaves, own[0]), paths.after(leaves, own[-1] + 1)
    shown = tuple(every[at].leaf.decode() for at in own)
    return Gone(UNIT, RETENTION, own[0], *around, shown, ())
