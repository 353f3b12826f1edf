"""The frozen bytes of docs/FORMAT.md, section 14, and the tables of that document."""

import base64
import dataclasses
import io
import json
import re
from pathlib import Path

import pytest

from holdfast.proof import export, ledger, merkle, names, note, statements, tenants
from holdfast.proof.names import SegmentName
from holdfast.regions import segment, signing
from tests.proof import freeze, naive, samples
from tests.proof.proofs import checked, drained
from tests.proof.samples import FROZEN, NODE_KEY, ORIGIN, TAG_KEY
from tests.prove.certificates import proven

SEGMENT = (FROZEN / freeze.SEGMENT_FILE).read_bytes()
FACTS = json.loads((FROZEN / "segment.json").read_text(encoding="utf-8"))
NAME = SegmentName.parse(FACTS["name"])
FILES = freeze.frozen_files(NAME, SEGMENT)
FORMAT = (Path(__file__).resolve().parents[2] / "docs" / "FORMAT.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", FILES)
def test_what_is_written_today_is_what_was_frozen(file: str) -> None:
    assert FILES[file] == (FROZEN / file).read_bytes()


def test_nothing_else_is_frozen() -> None:
    assert {path.name for path in FROZEN.iterdir()} == {*FILES, freeze.SEGMENT_FILE}


@pytest.mark.parametrize("kind", samples.samples())
def test_the_second_implementation_reads_the_frozen_statements(kind: str) -> None:
    sample = samples.samples()[kind]
    data = (FROZEN / f"{kind}.note").read_bytes()

    parts = naive.note_parts(data)
    assert parts is not None
    read = naive.statement(parts[0])

    assert naive.is_signed(data, sample.key.name, sample.key.public)
    assert not isinstance(read, str)
    assert read[:2] == (sample.statement.KIND, sample.origin)


def test_the_frozen_checkpoint_is_read_by_both() -> None:
    data = (FROZEN / "checkpoint.note").read_bytes()
    names_ = [name.text.encode() for name in samples.fixed_names(7)]

    found = note.verify_checkpoint(data, NODE_KEY.verifier)

    assert (found.origin, found.size, found.root) == (ORIGIN, 7, naive.tree(names_))
    assert naive.is_signed(data, ORIGIN, NODE_KEY.public)


def test_the_frozen_segment_opens() -> None:
    opened = segment.verify(SEGMENT, NAME, NODE_KEY.public, ORIGIN)
    segment.verify_tenants(opened, TAG_KEY, samples.NODE)

    stored = [record.encode() for tenant in FACTS["tenants"] for record in tenant["records"]]
    assert list(opened.records) == stored
    assert opened.trailer.root_before.hex() == FACTS["root_before"]
    assert ledger.extend(freeze.SEALED_AFTER, NAME).root.hex() == FACTS["ledger_root"]
    fault = naive.segment_fault(SEGMENT, NAME.text, NODE_KEY.public, ORIGIN, TAG_KEY)
    assert fault == ""


def test_the_frozen_evidence_gives_the_root_in_the_segment_s_name() -> None:
    told = (FROZEN / "archived.ndjson").read_bytes().splitlines()

    head, part, line = map(json.loads, told)

    assert head == {"format": "holdfast-archived/1", "unit": "2026-11-24", "generation": 1}
    assert (part["line"], part["rows"], part["tenants"]) == ("part", 8, ["", "acme", "blå"])
    assert (line["line"], line["node"], line["segment"]) == ("segment", samples.NODE, NAME.text)
    assert line["trailer"].encode() == SEGMENT[-segment.trailer_bytes(SEGMENT) + 8 : -4]
    assert line["leaves"] == [tenant["leaf"] for tenant in FACTS["tenants"]]
    assert naive.tree([leaf.encode() for leaf in line["leaves"]]) == NAME.root


def test_the_frozen_remains_give_the_tenants_leaves_with_what_is_left() -> None:
    head, gone = map(json.loads, (FROZEN / "remains.ndjson").read_bytes().splitlines())
    records = [record.encode() for tenant in FACTS["tenants"] for record in tenant["records"]]
    leaves = [naive.sha(b"\0" + record) for record in records]
    out = [line for start, end in gone["rows"] for line in range(start, end)]
    acme = [n for n, record in enumerate(records) if b'"acme"' in record]

    assert head == {"format": "holdfast-remains/1", "unit": "2026-11-24", "retention": "debug"}
    assert (gone["node"], gone["segment"]) == (samples.NODE, NAME.index)
    assert [len(set(out) - set(acme)), len(set(out) & set(acme))] == [1, 1]
    [split] = set(out) & set(acme)
    assert [base64.b64decode(text) for text in gone["hashes"]] == [leaves[split]]


def test_the_frozen_tree_of_what_went_follows_from_the_frozen_remains() -> None:
    gone = json.loads((FROZEN / "remains.ndjson").read_bytes().splitlines()[1])
    frozen = json.loads((FROZEN / "gone.json").read_bytes())

    leaves = naive.gone_leaves([(t["tag"], len(t["records"])) for t in FACTS["tenants"]], gone)

    assert frozen["leaves"] == leaves
    assert frozen["root"] == naive.tree([leaf.encode() for leaf in leaves]).hex()


def test_a_segment_sealed_today_differs_from_the_frozen_one_in_its_frame_at_most() -> None:
    frame = SEGMENT[: -segment.trailer_bytes(SEGMENT)]

    sealed = samples.seal(freeze.SEALED_AFTER, epoch=2)
    trailer = segment.read_trailer(sealed.data).statement

    assert sealed.name.unhashed == NAME.unhashed
    assert b"".join(record + b"\n" for record in sealed.records) == naive.frame_content(frame)
    same = dataclasses.replace(trailer, frame=naive.sha(frame))
    assert signing.write(same, ORIGIN, NODE_KEY) == SEGMENT[len(frame) + 8 : -4]


def test_the_frozen_proof_of_an_event_leads_to_the_frozen_root() -> None:
    proof = FACTS["proof_of_acme_3"]
    acme = next(tenant for tenant in FACTS["tenants"] if tenant["tenant"] == "acme")

    def climb(leaf: bytes, step: str, size: int) -> bytes:
        path = [bytes.fromhex(each) for each in proof[step]["path"]]
        index = proof[step]["index"]
        found = merkle.root_from_inclusion(merkle.leaf_hash(leaf), index, size, path)
        assert found == naive.root_by_path(naive.sha(b"\0" + leaf), index, size, path)
        return found

    tenant_root = climb(acme["records"][3].encode(), "record", len(acme["records"]))
    root = climb(acme["leaf"].encode(), "tenant", NAME.tenants)
    ledger_root = climb(NAME.text.encode(), "segment", NAME.index + 1)

    assert tenant_root.hex() == acme["root"]
    assert root == NAME.root
    assert ledger_root.hex() == FACTS["ledger_root"]


def test_the_frozen_ledger_is_that_of_the_second_implementation() -> None:
    facts = json.loads((FROZEN / "ledger.json").read_text(encoding="utf-8"))
    leaves = [name.encode() for name in facts["names"]]

    assert facts["roots"] == [naive.tree(leaves[:size]).hex() for size in range(8)]
    assert facts["end"]["range"] == [each.hex() for each in naive.perfect_subtrees(leaves)]


def test_the_frozen_ids_follow_from_the_frozen_keys() -> None:
    facts = json.loads((FROZEN / "keys.json").read_text(encoding="utf-8"))

    for key in facts["keys"].values():
        verifier = note.VerifierKey.parse(key["vkey"])
        assert names.node_id(verifier.public) == naive.sha(verifier.public).hex()[:32] == key["id"]
        assert verifier.name == key["origin"]


def documented_lines(kind: str) -> list[str]:
    """The first column of a kind's table in FORMAT.md."""
    section = FORMAT.split(f"\n### {kind}\n")[1].split("\n##")[0]
    return re.findall(r"^\| (\w+(?: [?*])?) \|", section, re.MULTILINE)[1:]


@pytest.mark.parametrize("kind", samples.KINDS)
def test_each_kinds_table_is_the_documents(kind: type[statements.Statement]) -> None:
    naive_table = [
        key if count == "1" else f"{key} {count}" for key, count, _ in naive.TABLES[kind.KIND]
    ]
    text = {sample.statement.KIND: sample.data for sample in samples.samples().values()}
    data = text.get(kind.KIND, SEGMENT[-segment.trailer_bytes(SEGMENT) + 8 : -4])

    written = [line.split(" ")[0] for line in data.decode().split("\n\n")[0].split("\n")[2:]]

    assert documented_lines(kind.KIND) == naive_table
    assert list(dict.fromkeys(written)) == [line.split(" ")[0] for line in naive_table]


def test_the_document_names_every_kind_and_no_other() -> None:
    kinds = re.findall(r"^### (\S+)$", FORMAT, re.MULTILINE)

    assert sorted(kinds) == sorted(kind.KIND for kind in samples.KINDS)


@pytest.mark.parametrize("file", ["event.proof", "event-closed.proof"])
def test_a_frozen_proof_holds(file: str) -> None:
    found, _ = checked((FROZEN / file).read_bytes(), samples.TRAIL)

    assert not isinstance(found, Exception), found
    assert found.proof.record_path == tuple(
        bytes.fromhex(each) for each in FACTS["proof_of_acme_3"]["record"]["path"]
    )


@pytest.mark.parametrize(("file", "tenant"), [("present", "acme"), ("absent", "nobody")])
def test_the_frozen_certificates_are_proven(file: str, tenant: str) -> None:
    salt_id = tenants.salt_id(segment.tenant_salt(TAG_KEY, tenant))

    found = proven((FROZEN / f"{file}.certificate").read_bytes(), salt_id, samples.TRAIL)

    assert (found.hashes, found.absent) == ((5, 0) if tenant == "acme" else (0, 1))
    assert found.segments == 1


def test_the_frozen_certificate_of_all_is_proven() -> None:
    found = proven((FROZEN / "all.certificate").read_bytes(), None, samples.TRAIL)

    assert (found.hashes, found.segments, found.code) == (8, 1, 0)


@pytest.mark.parametrize(
    ("file", "tenant", "left", "gone"),
    [("left", "acme", 4, 1), ("gone", "", 0, 1), ("all-left", None, 6, 2)],
)
def test_the_frozen_certificates_of_what_is_left_are_proven(
    file: str, tenant: str | None, left: int, gone: int
) -> None:
    salt_id = None if tenant is None else tenants.salt_id(segment.tenant_salt(TAG_KEY, tenant))

    found = proven((FROZEN / f"{file}.certificate").read_bytes(), salt_id, samples.TRAIL)

    assert (found.hashes, found.segments, found.code) == (left, 1, 0)
    assert [(floor.retention, count) for floor, count in found.let_go] == [("debug", gone)]


def test_the_frozen_receipt_is_of_the_frozen_file() -> None:
    file = io.BytesIO((FROZEN / "export.ndjson").read_bytes())
    receipt = (FROZEN / "export.note").read_bytes()

    found = drained(export.check(receipt, file, samples.TRAIL, None, None))

    assert (found.said.events, found.code) == (5, 4)
