"""Why something is not proven, one class for each thing that a checker can say next."""


class ProofError(Exception):
    """Root of everything that `holdfast.proof` raises about what it is given."""


class MalformedError(ProofError):
    """The bytes are not of the format: not ours, cut off, of an unknown version, not canonical."""


class SignatureError(ProofError):
    """No signature of the key that must have signed, or one that does not verify."""


class MismatchError(ProofError):
    """Well-formed, but it contradicts what it is checked against: a hash, a root, a name."""
