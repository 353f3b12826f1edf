"""What a witness states of a log's checkpoint. Source: c2sp.org/tlog-cosignature. Pure."""

from holdfast.proof.errors import MalformedError
from holdfast.proof.note import NUMBER_MAX, VerifierKey


class WitnessKey(VerifierKey):
    """A witness's key, for cosignatures of checkpoints. Source: c2sp.org/tlog-cosignature.

    A signature is 8 bytes of time (seconds since 1970) before 64 of Ed25519 over both.
    """

    TYPE = b"\x04"

    def check(self, signature: bytes, text: bytes) -> None:
        """As for any key, over what a witness states of the text."""
        super().check(signature[8:], cosigned(text, cosigned_at(signature)))


def cosigned_at(signature: bytes) -> int:
    """When a cosignature was made, in seconds; MalformedError: it is none, or says no time."""
    at = int.from_bytes(signature[:8])
    if len(signature) != 72 or not 0 < at <= NUMBER_MAX:
        raise MalformedError("a cosignature is not 72 bytes that begin with a time")
    return at


def cosigned(text: bytes, at: int) -> bytes:
    """What a witness signs of a checkpoint's text at a time, in seconds."""
    return b"cosignature/v1\ntime %d\n%b" % (at, text)
