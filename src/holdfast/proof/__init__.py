"""Checking an audit trail, apart from everything that writes it.

Needs the standard library and `cryptography` only, and imports nothing else of ours, so that an
outsider can read all of it. docs/FORMAT.md is normative; this follows it. What else a store holds
(its cookie, fences, the bytes of segments) is checked by those who keep it: `holdfast.regions`.

    merkle      RFC 6962 trees: roots, inclusion, consistency, compact ranges
    note        C2SP signed notes and checkpoints
    names       ids, origins, names of segments
    ledger      where a ledger stands, and whether a segment continues it
    statements  certificate, birth, heartbeat, closed, gap: one field table a kind
    tenants     what hides a tenant in a segment
    objects     JSON in one form: what the files that prove something consist of
    anchor      from the trail's id to what its nodes signed, and a leaf in that
    event       that an event is in the trail, step by step
    certificate that these are all of a tenant's events of some time, step by step
    export      that a file is what was exported, by the receipt beside it
    vectors     what others published, judged by the same code

Whatever bytes come in, they are accepted or one of these is raised:

    ProofError
    ├── MalformedError     the bytes are not of the format
    ├── SignatureError     not signed by the key that must have signed
    └── MismatchError      well-formed, but contradicts what it is checked against
"""

from holdfast.proof.errors import MalformedError, MismatchError, ProofError, SignatureError

__all__ = ["MalformedError", "MismatchError", "ProofError", "SignatureError"]
