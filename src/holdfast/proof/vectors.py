"""Vectors that others published, run through what checks our proofs.

A case passes if it is judged as its publishers judge it: what they call bad must be refused.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from holdfast.proof import merkle, note
from holdfast.proof.errors import MalformedError, ProofError, SignatureError
from holdfast.proof.note import VerifierKey

Case = dict[str, Any]
_WANTED = {"malformed": MalformedError, "unverified": SignatureError}


def run(folder: Path) -> Iterator[tuple[str, str]]:
    """Each case of each known file below a folder: its name, and why it failed, "" if it passed."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        judge = FILES.get("/".join(path.parts[-2:])) or FILES.get(path.name.rstrip("0123456789"))
        for at, case in enumerate(_cases(path) if judge else ()):
            title = case.get("case") or case.get("vkey") or at
            try:
                why = "" if judge and judge(case) else "it is not judged as published"
            except Exception as error:  # one odd case hides none of the others
                why = f"{type(error).__name__}: {error}"
            yield f"{path.relative_to(folder)}: {title}", why


def _cases(path: Path) -> list[Case]:
    if path.name.startswith("checkpoint."):
        return [{"path": path, "size": int(path.suffix[1:])}]
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        return [{"case": "the file is not JSON"}]  # without the fields that its judge wants
    if isinstance(found, dict):  # the reference tree: a case for each size
        roots, leaves = found["root_hashes_by_size_hex"], found["leaf_inputs_hex"]
        return [{"root": root, "leaves": leaves[:size]} for size, root in enumerate(roots)]
    return list(found)


def _bytes(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def _path(case: Case) -> list[bytes]:
    return [_bytes(each) for each in case.get("proof", case.get("proof_b64")) or ()]


def _holds(check: Callable[[], object]) -> bool:
    try:
        return check() is not False
    except ProofError:
        return False


def _inclusion(case: Case) -> bool:
    leaf, index, size = _bytes(case["leafHash"]), case["leafIdx"], case["treeSize"]
    path, root = _path(case), _bytes(case["root"])
    held = _holds(lambda: merkle.root_from_inclusion(leaf, index, size, path) == root)
    return held is (case["wantErr"] is False)


def _consistency(case: Case) -> bool:
    one, two = ((case[f"size{n}"], _bytes(case[f"root{n}"])) for n in (1, 2))
    held = _holds(lambda: merkle.verify_consistency(*one, *two, _path(case)))
    return held is (case["wantErr"] is False)


def _reference(case: Case) -> bool:
    leaves = [bytes.fromhex(leaf) for leaf in case["leaves"]]
    return merkle.root(merkle.leaf_hashes(leaves)).hex() == str(case["root"])


def _opening(case: Case) -> bool:
    keys, want = [VerifierKey.parse(text) for text in case["verifier_keys"]], case["want"]
    try:
        found = note.verify(_bytes(case["note_b64"]), keys)
    except ProofError as error:
        return want != "ok" and type(error) is _WANTED.get(want, SignatureError)
    return bool(want == "ok" and [each.name for each in found.signatures] == case["verified"])


def _vkey(case: Case) -> bool:
    return _holds(lambda: VerifierKey.parse(case["vkey"])) is (case["want"] == "ok")


def _head(case: Case) -> bool:
    path, size = case["path"], case["size"]
    key = VerifierKey.parse(path.with_name("log_key.vkey").read_text("ascii").strip())
    leaves = (path.parent / f"tile/0/000.p/{size}").read_bytes() if size else b""
    root = merkle.root([leaves[at : at + 32] for at in range(0, len(leaves), 32)])
    head = note.verify_checkpoint(path.read_bytes(), key)
    return (head.size, head.root) == (size, root)


def _real(case: Case) -> bool:
    want, data, size = case["checked"], case["checkpoint"].encode(), case["tree_size"]
    leaf, root = merkle.leaf_hash(_bytes(case["leaf_b64"])), _bytes(case["root_hash_b64"])
    index, path = case["leaf_index"], _path(case)

    def head() -> note.Checkpoint:
        return note.parse_checkpoint(note.parse(data).text)

    found = {
        "inclusion_proof_valid": lambda: (
            merkle.root_from_inclusion(leaf, index, size, path) == root
        ),
        "log_signature_valid": lambda: _verify_of_log(case, data),
        "checkpoint_size_equals_proof_size": lambda: head().size == size,
        "checkpoint_root_equals_proof_root": lambda: head().root == root,
    }
    return all(_holds(check) is want[name] for name, check in found.items())


def _verify_of_log(case: Case, data: bytes) -> None:
    """The log's signature of its checkpoint: ours has Ed25519 alone, older logs have ECDSA."""
    spki = _bytes(case["log_spki_b64"])
    key, signed = load_der_public_key(spki), note.parse(data)
    if isinstance(key, Ed25519PublicKey):
        note.verify_checkpoint(data, VerifierKey(case["origin"], key.public_bytes_raw()))
        return
    key_id = hashlib.sha256(spki).digest()[:4]
    found = [each.signature for each in signed.signatures if each.key_id == key_id]
    if not found or not isinstance(key, EllipticCurvePublicKey):
        raise SignatureError("the log did not sign its checkpoint")
    try:
        key.verify(found[0], signed.text.encode(), ECDSA(SHA256()))
    except InvalidSignature as error:
        raise SignatureError("the log's signature does not verify") from error


FILES: dict[str, Callable[[Case], bool]] = {
    "merkle/inclusion.json": _inclusion,
    "merkle/consistency.json": _consistency,
    "merkle/rfc6962_reference_tree.json": _reference,
    "note/note_open.json": _opening,
    "note/vkeys.json": _vkey,
    "checkpoints/sigstore_rekor.json": _real,
    "checkpoint.": _head,
}
