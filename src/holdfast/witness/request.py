"""What a witness is asked, and by which rules it answers. Pure.

Source: c2sp.org/tlog-witness (`add-checkpoint`), c2sp.org/tlog-cosignature.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.proof import MalformedError, MismatchError, ProofError, merkle, note
from holdfast.proof.note import Checkpoint, VerifierKey, decode_base64
from holdfast.regions.cosignature import WitnessKey, cosigned
from holdfast.regions.signing import SigningKey

PROOF_LINES_MAX = 63
BODY_BYTES_MAX = note.NOTE_BYTES_MAX + 64 * (PROOF_LINES_MAX + 1)
SIZE_TYPE = "text/x.tlog.size"


class RefusedError(Exception):
    """An answer but 200. status: HTTP's; body: text; size: of the last checkpoint, with a 409."""

    def __init__(self, status: int, body: str, size: int | None = None) -> None:
        super().__init__(body)
        self.status, self.body, self.size = status, body, size


@dataclass(frozen=True, slots=True)
class Request:
    """old: the size that the asker takes for the last cosigned one. path: from there on."""

    old: int
    path: tuple[bytes, ...]
    note: bytes
    checkpoint: Checkpoint

    def body(self) -> bytes:
        """As it is sent."""
        lines = [f"old {self.old}", *map(note.encode_base64, self.path), "", ""]
        return "\n".join(lines).encode() + self.note


def parse(body: bytes) -> Request:
    """Read a request. Raises RefusedError (400)."""
    head, found, signed = body.partition(b"\n\n")
    try:
        if not found:
            raise MalformedError("there is no empty line after the proof")
        first, *lines = head.decode("ascii").split("\n")
        word, space, size = first.partition(" ")
        if (word, space) != ("old", " "):
            raise MalformedError("the first line is not an old size")
        if len(lines) > PROOF_LINES_MAX:
            raise MalformedError(f"more than {PROOF_LINES_MAX} lines of proof")
        old, path = note.parse_number(size), tuple(decode_base64(line) for line in lines)
        checkpoint = note.parse_checkpoint(note.parse(signed).text)
    except (ProofError, UnicodeDecodeError) as error:
        raise RefusedError(400, str(error)) from None
    return Request(old, path, signed, checkpoint)


def check_log(request: Request, logs: Mapping[str, tuple[VerifierKey, ...]]) -> None:
    """A known log signed it. logs: the keys that are trusted, by origin. Raises RefusedError."""
    keys = logs.get(request.checkpoint.origin)
    if not keys:
        raise RefusedError(404, "this log is not known here")
    try:
        note.verify(request.note, keys)
    except ProofError as error:
        raise RefusedError(403, str(error)) from None
    if request.old > request.checkpoint.size:
        raise RefusedError(400, "the old size is larger than the checkpoint's")


def check_growth(request: Request, last: Checkpoint | None) -> None:
    """It follows from the last one that was cosigned; None: there was none. Raises RefusedError."""
    known, new = last.size if last else 0, request.checkpoint
    if request.old != known:
        raise RefusedError(409, f"{known}\n", known)
    if not new.size and new.root != merkle.EMPTY_ROOT:
        raise RefusedError(422, "the root of an empty tree is another")
    try:
        old_root = last.root if last else merkle.EMPTY_ROOT
        merkle.verify_consistency(request.old, old_root, new.size, new.root, request.path)
    except (MismatchError, MalformedError) as error:
        raise RefusedError(422, str(error)) from None


def cosign(text: str, key: SigningKey, now_s: int) -> bytes:
    """The signature line of a witness over a checkpoint's text."""
    signature = now_s.to_bytes(8) + key.private.sign(cosigned(text.encode(), now_s))
    line = note.encode_base64(WitnessKey(key.name, key.public).id + signature)
    return f"— {key.name} {line}\n".encode()
