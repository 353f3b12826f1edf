"""Vectors that others published (tests/vectors/README.md) must come out as they say."""

import base64
import json
from typing import Any

import pytest

from holdfast.proof import MalformedError, ProofError, SignatureError, merkle, note
from holdfast.proof.fields import STRING
from holdfast.proof.note import VerifierKey
from holdfast.prove import paths
from holdfast.regions.signing import SigningKey
from tests.proof import naive
from tests.proof.samples import VECTORS

LOG = VECTORS / "tlog_tiles" / "tessera_testdata_log"
Case = dict[str, Any]


def load(path: str) -> list[Case]:
    found: list[Case] = json.loads((VECTORS / path).read_text(encoding="utf-8"))
    return found


def by_name(case: Case) -> str:
    return str(case["case"])


def decoded(case: Case, key: str) -> bytes:
    return base64.b64decode(case[key] or "")


def hashes(values: list[str] | None) -> list[bytes]:
    return [base64.b64decode(value) for value in values or []]


@pytest.mark.parametrize("case", load("merkle/inclusion.json"), ids=by_name)
def test_an_inclusion_proof_holds_exactly_if_it_is_published_as_good(case: Case) -> None:
    leaf, path = decoded(case, "leafHash"), hashes(case["proof"])

    try:
        root = merkle.root_from_inclusion(leaf, case["leafIdx"], case["treeSize"], path)
    except MalformedError:
        root = b""

    assert (root == decoded(case, "root")) is not case["wantErr"]


@pytest.mark.parametrize("case", load("merkle/consistency.json"), ids=by_name)
def test_a_consistency_proof_holds_exactly_if_it_is_published_as_good(case: Case) -> None:
    old = case["size1"], decoded(case, "root1")
    new = case["size2"], decoded(case, "root2")

    try:
        merkle.verify_consistency(*old, *new, hashes(case["proof"]))
        held = True
    except ProofError:
        held = False

    assert held is not case["wantErr"]


def test_the_reference_tree_of_rfc_6962_has_its_published_hashes() -> None:
    tree = json.loads((VECTORS / "merkle/rfc6962_reference_tree.json").read_text(encoding="utf-8"))
    leaves = [bytes.fromhex(leaf) for leaf in tree["leaf_inputs_hex"]]

    hashed = merkle.leaf_hashes(leaves)
    roots = [merkle.root(hashed[:size]).hex() for size in range(9)]

    assert [leaf.hex() for leaf in hashed] == tree["node_hashes_by_level_hex"][0]
    assert roots == tree["root_hashes_by_size_hex"]
    assert roots == [naive.tree(leaves[:size]).hex() for size in range(9)]


@pytest.mark.parametrize("case", load("note/note_open.json"), ids=by_name)
def test_a_note_opens_as_published(case: Case) -> None:
    data = decoded(case, "note_b64")
    keys = [VerifierKey.parse(text) for text in case["verifier_keys"]]
    raised = {"malformed": MalformedError, "unverified": SignatureError}

    if case["want"] == "ok":
        found = note.verify(data, keys)

        assert [signature.name for signature in found.signatures] == case["verified"]
        assert data.startswith(found.text.encode() + b"\n")
    else:
        with pytest.raises(raised.get(case["want"], SignatureError)):
            note.verify(data, keys)


@pytest.mark.parametrize("case", load("note/vkeys.json"), ids=lambda case: case["vkey"][:30])
def test_a_verifier_key_is_read_as_published(case: Case) -> None:
    if case["want"] == "ok":
        assert VerifierKey.parse(case["vkey"]).text == case["vkey"]
    else:
        with pytest.raises(MalformedError):
            VerifierKey.parse(case["vkey"])


@pytest.mark.parametrize("case", load("checkpoints/sigstore_rekor.json"), ids=by_name)
def test_a_real_checkpoint_and_its_inclusion_proof_are_judged_as_published(case: Case) -> None:
    leaf = merkle.leaf_hash(decoded(case, "leaf_b64"))
    path = hashes(case["proof_b64"])
    root = merkle.root_from_inclusion(leaf, case["leaf_index"], case["tree_size"], path)
    checked = case["checked"]

    assert (root == decoded(case, "root_hash_b64")) is checked["inclusion_proof_valid"]
    try:
        head = note.parse_checkpoint(note.parse(case["checkpoint"].encode()).text)
    except MalformedError:
        assert "missing-size" in case["case"]
        return
    assert head.origin == case["origin"]
    assert (head.size == case["tree_size"]) is checked["checkpoint_size_equals_proof_size"]
    assert (head.root == decoded(case, "root_hash_b64")) is (
        checked["checkpoint_root_equals_proof_root"]
    )


def signed_by(algorithm: str) -> list[Case]:
    """Real checkpoints with that kind of signature. The format has Ed25519 alone."""
    every = load("checkpoints/sigstore_rekor.json")
    return [case for case in every if case["signature_algorithm"].startswith(algorithm)]


@pytest.mark.parametrize("case", signed_by("ECDSA"), ids=by_name)
def test_a_signature_of_another_kind_is_never_taken_for_one_of_ours(case: Case) -> None:
    checkpoint = case["checkpoint"].encode()
    name = note.parse(checkpoint).signatures[0].name
    key = SigningKey.generate(name, bytes(32)).verifier

    with pytest.raises(SignatureError):
        note.verify(checkpoint, [key])


@pytest.mark.parametrize("case", signed_by("Ed25519"), ids=by_name)
def test_the_signature_of_a_real_checkpoint_is_judged_as_published(case: Case) -> None:
    key = VerifierKey(case["origin"], decoded(case, "log_spki_b64")[-32:])

    try:
        note.verify(case["checkpoint"].encode(), [key])
        held = True
    except ProofError:
        held = False

    assert held is case["checked"]["log_signature_valid"]


@pytest.mark.parametrize("size", range(16))
def test_a_tiled_log_has_at_every_size_the_root_that_it_signed(size: int) -> None:
    key = VerifierKey.parse((LOG / "log_key.vkey").read_text(encoding="utf-8").strip())
    leaves = _tile(size)

    signed = note.verify_checkpoint((LOG / f"checkpoint.{size}").read_bytes(), key)

    assert (signed.size, signed.root) == (size, merkle.root(leaves))
    assert leaves == merkle.leaf_hashes(_entries(size))


@pytest.mark.parametrize("old", range(16))
def test_a_tiled_log_only_grew(old: int) -> None:
    leaves = _tile(15)

    for size in range(old, 16):
        path = paths.consistency_path(leaves[:size], old)
        roots = merkle.root(leaves[:old]), merkle.root(leaves[:size])
        merkle.verify_consistency(old, roots[0], size, roots[1], path)


def _tile(size: int) -> list[bytes]:
    if not size:
        return []
    tile = (LOG / "tile/0/000.p" / str(size)).read_bytes()
    return [tile[at : at + 32] for at in range(0, len(tile), 32)]


def _entries(size: int) -> list[bytes]:
    """tlog-tiles: each entry after its length in 2 bytes, big-endian."""
    bundle = (LOG / "tile/entries/000.p" / str(size)).read_bytes() if size else b""
    entries = []
    while bundle:
        end = 2 + int.from_bytes(bundle[:2], "big")
        entries.append(bundle[2:end])
        bundle = bundle[end:]
    return entries


@pytest.mark.parametrize("file", ["structures.json", "values.json"])
def test_a_string_is_written_as_rfc_8785_has_it(file: str) -> None:
    given = json.loads((VECTORS / "jcs" / "input" / file).read_bytes())
    canonical = (VECTORS / "jcs" / "output" / file).read_text(encoding="utf-8")

    written = [STRING.write(text) for text in _strings(given)]

    assert written
    assert [text for text in written if text not in canonical] == []
    assert [STRING.read(text) for text in written] == list(_strings(given))


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in _strings(part)]
    return [text for each in value for text in _strings(each)] if isinstance(value, list) else []
