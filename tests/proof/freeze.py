"""What `tests/vectors/holdfast` holds, made from the samples.

`python -m tests.proof.freeze` writes the files that are not there yet; a frozen one is never
written again. A segment's compressed bytes may differ between versions of zstd: they are made once.
"""

import json
from collections.abc import Callable

from holdfast.archive import lines as evidence
from holdfast.proof import ledger, merkle, objects, tenants
from holdfast.proof.certificate import Head, HeadOfAll, Named, Stretch
from holdfast.proof.ledger import LedgerEnd
from holdfast.proof.names import SegmentName
from holdfast.proof.statements import Closed, Heartbeat
from holdfast.prove import paths
from holdfast.prove.certificate import shown, whole
from holdfast.prove.event import Standing, prove_event
from holdfast.read.contents import Stored
from holdfast.regions import segment, signing
from tests.proof import samples
from tests.prove import lefts

SEGMENT_FILE = "segment.ndjson.zst"
MOMENT = "2026-11-24T10:00:00.000001Z"
SEALED_AFTER = samples.fixed_end(7)


def frozen_files(name: SegmentName, data: bytes) -> dict[str, bytes]:
    """All files but the segment's bytes, given those and its name."""
    files = {f"{kind}.note": sample.data for kind, sample in samples.samples().items()}
    files["export.ndjson"] = samples.exported()
    files["checkpoint.note"] = samples.checkpoint(SEALED_AFTER)
    files["keys.json"] = _json(_keys())
    files["ledger.json"] = _json(_ledger())
    files["segment.json"] = _json(_segment(name))
    files["archived.ndjson"] = b"".join(archived(name, data))
    files["remains.ndjson"] = b"".join(remains(name))
    files["gone.json"] = _json(_gone(name))
    end = ledger.extend(SEALED_AFTER, name)
    closed = Closed(
        2, end, samples.CLOSER, "lost", end.sealed_us, samples.certificate_of(samples.CLOSER_KEY)
    )
    closed_note = signing.write(closed, samples.ORIGIN, samples.CLOSER_KEY)
    files["event.proof"] = _proof(name, data, samples.checkpoint(end))
    files["event-closed.proof"] = _proof(name, data, closed_note)
    for tenant, file in (("acme", "present.certificate"), ("nobody", "absent.certificate")):
        salt = segment.tenant_salt(samples.TAG_KEY, tenant)
        opened = shown(Stored(name, data), samples.NODE, samples.TAG_KEY, salt, False)
        files[file] = _certificate(name, end, opened, lambda *of: Head(tenant, salt, *of))  # noqa: B023
    opened = whole(Stored(name, data), samples.NODE, samples.TAG_KEY, False)
    files["all.certificate"] = _certificate(name, end, opened, HeadOfAll)
    for of, file in (("acme", "left"), ("", "gone"), (None, "all-left")):
        files[f"{file}.certificate"] = lefts.certificate(name, data, of, False)
    return files


def archived(name: SegmentName, data: bytes) -> list[bytes]:
    """The evidence of a unit that has that segment alone, before it is compressed."""
    leaves = tuple(str(each["leaf"]) for each in _tenants(name))
    trailer = segment.trailer_note(data).decode()
    facts = evidence.Part("b" * 64, name.count, MOMENT, MOMENT, tuple(sorted(samples.GROUPS)))
    return [
        objects.form(evidence.Head("2026-11-24", 1)),
        objects.form(facts),
        objects.form(evidence.Archived(samples.NODE, name.text, trailer, leaves)),
    ]


def _gone(name: SegmentName) -> object:
    """The tree over what went, by `remains`."""
    leaves = [each.leaf for each in lefts.went(name)]
    root = merkle.root(merkle.leaf_hashes(leaves))
    return {"leaves": [leaf.decode() for leaf in leaves], "root": root.hex()}


def remains(name: SegmentName) -> list[bytes]:
    """What stays of that unit when one record of a tenant goes, and all that another has."""
    rows, at = [], 0
    for tenant in _tenants(name):
        count = len(samples.GROUPS[str(tenant["tenant"])])
        rows += [(at, at + count)] if not tenant["tenant"] else []
        rows += [(at + 3, at + 4)] if tenant["tenant"] == "acme" else []
        at += count
    gone = merkle.leaf_hash(samples.GROUPS["acme"][3])
    return [
        objects.form(evidence.Remains("2026-11-24", "debug")),
        objects.form(evidence.Gone(samples.NODE, name.index, tuple(sorted(rows)), (gone,))),
    ]


def _certificate(
    name: SegmentName, end: LedgerEnd, opened: list[bytes], head: Callable[..., Head | HeadOfAll]
) -> bytes:
    """That these are all of whom it is of in the segment, by hashes; bounded by the node's word."""
    until = end.sealed_us + 1
    held = samples.fixed_names(7)
    asked = head(
        *(held[-1].sealed_us + 1, until, until),
        *(("local 2026-11-24T10:00:09Z 2026-11-24T10:00:10Z",), (samples.NODE,)),
    )
    leaves = merkle.leaf_hashes([each.text.encode() for each in (*held, name)])
    note, own = samples.checkpoint(end), samples.certificate_of(samples.NODE_KEY).decode()
    beat = Heartbeat(2, 9, until, until, end.size, note, ())
    word = signing.write(beat, samples.ORIGIN, samples.NODE_KEY).decode()
    before, after = paths.before(leaves, 6), paths.after(leaves, 8)
    lines = [
        objects.form(asked),
        objects.form(Stretch((), own, note.decode(), 6, 8, before, after, word)),
        objects.form(Named(held[6].text)),
        *opened,
    ]
    return b"".join(lines)


def _proof(name: SegmentName, data: bytes, head: bytes) -> bytes:
    """Of the record that `segment.json` has paths for."""
    names = [*samples.fixed_names(7), name]
    leaves = merkle.leaf_hashes([each.text.encode() for each in names])
    path = paths.inclusion_path(leaves, name.index)
    key, own = samples.NODE_KEY.verifier, samples.certificate_of(samples.NODE_KEY).decode()
    standing = Standing(name.text, path, own, head.decode())
    opened = segment.verify(data, name, key.public, key.name)
    line = opened.records.index(samples.GROUPS["acme"][3])
    return objects.form(prove_event(Stored(name, data), key, samples.TAG_KEY, line, standing))


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n"


def _keys() -> object:
    keys = {
        "trail": (samples.TRAIL, samples.TRAIL_SEED, samples.TRAIL_KEY),
        "node": (samples.NODE, samples.NODE_SEED, samples.NODE_KEY),
        "closer": (samples.CLOSER, samples.CLOSER_SEED, samples.CLOSER_KEY),
    }
    return {
        "tag_key": samples.TAG_KEY.hex(),
        "keys": {
            who: {"id": id, "seed": seed.hex(), "origin": key.name, "vkey": key.vkey}
            for who, (id, seed, key) in keys.items()
        },
    }


def _ledger() -> object:
    names = samples.fixed_names(7)
    return {
        "names": [name.text for name in names],
        "roots": [samples.fixed_end(size).root.hex() for size in range(8)],
        "end": {
            "size": SEALED_AFTER.size,
            "first": SEALED_AFTER.first,
            "sealed_us": SEALED_AFTER.sealed_us,
            "range": [each.hex() for each in SEALED_AFTER.range.hashes],
        },
    }


def _segment(name: SegmentName) -> object:
    tenants = _tenants(name)
    leaves = [merkle.leaf_hash(str(each["leaf"]).encode()) for each in tenants]
    at = [each["tenant"] for each in tenants].index("acme")
    records = [merkle.leaf_hash(record) for record in samples.GROUPS["acme"]]
    ledger_leaves = [*samples.fixed_names(7), name]
    hashes = [merkle.leaf_hash(each.text.encode()) for each in ledger_leaves]
    end = ledger.extend(SEALED_AFTER, name)
    return {
        "name": name.text,
        "root_before": SEALED_AFTER.root.hex(),
        "ledger_root": end.root.hex(),
        "tenants": tenants,
        "proof_of_acme_3": {
            "record": {"index": 3, "path": _path(records, 3)},
            "tenant": {"index": at, "path": _path(leaves, at)},
            "segment": {"index": name.index, "path": _path(hashes, name.index)},
        },
    }


def _tenants(name: SegmentName) -> list[dict[str, object]]:
    found = [_tenant(tenant, records, name) for tenant, records in samples.GROUPS.items()]
    return sorted(found, key=lambda each: str(each["tag"]))


def _tenant(tenant: str, records: list[bytes], name: SegmentName) -> dict[str, object]:
    salt = segment.tenant_salt(samples.TAG_KEY, tenant)
    tag = tenants.tag(salt, samples.NODE, name.index)
    blind = tenants.blind(salt, samples.NODE, name.index)
    root = merkle.root(merkle.leaf_hashes(records))
    return {
        "tenant": tenant,
        "records": [record.decode() for record in records],
        "salt": salt.hex(),
        "salt_id": tenants.salt_id(salt),
        "tag": tag,
        "blind": blind.hex(),
        "root": root.hex(),
        "leaf": tenants.tenant_leaf(tag, blind, len(records), root).decode(),
    }


def _path(leaves: list[bytes], index: int) -> list[str]:
    return [each.hex() for each in paths.inclusion_path(leaves, index)]


def freeze() -> None:
    """Write what is not there yet."""
    samples.FROZEN.mkdir(parents=True, exist_ok=True)
    sealed = samples.seal(SEALED_AFTER, epoch=2)
    for file, data in {**frozen_files(sealed.name, sealed.data), SEGMENT_FILE: sealed.data}.items():
        if not (samples.FROZEN / file).exists():
            (samples.FROZEN / file).write_bytes(data)


if __name__ == "__main__":
    freeze()
