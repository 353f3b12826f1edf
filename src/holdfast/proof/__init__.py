"""Checking an audit trail, apart from everything that writes it.

Needs the standard library, `cryptography` and zstd only, and imports nothing else of ours, so that
an outsider can read all of it. docs/FORMAT.md is normative; this follows it.

    merkle      RFC 6962 trees: roots, inclusion, consistency, compact ranges
    note        C2SP signed notes and checkpoints
    names       ids, origins, segment names, keys of objects
    ledger      where a ledger stands, and whether a segment continues it
    statements  birth, heartbeat, fence, close, ...: one field table a kind
    segment     the bytes of a segment: written, opened, verified by itself

Whatever bytes come in, they are accepted or one of these is raised:

    ProofError
    ├── MalformedError     the bytes are not of the format
    ├── SignatureError     not signed by the key that must have signed
    └── MismatchError      well-formed, but contradicts what it is checked against
"""

from holdfast.proof.errors import MalformedError, MismatchError, ProofError, SignatureError

__all__ = ["MalformedError", "MismatchError", "ProofError", "SignatureError"]
