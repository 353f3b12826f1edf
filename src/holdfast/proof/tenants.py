"""What hides a tenant in a segment: no leaf can be guessed or linked without its salt.

FORMAT.md, section 9. Pure.
"""

import hashlib
import hmac

TAG, BLIND = b"holdfast-tag/1 ", b"holdfast-blind/1 "


def salt_id(salt: bytes) -> str:
    """What a tenant keeps, to know its own salt again: 64 hex digits."""
    return hashlib.sha256(salt).hexdigest()


def tag(salt: bytes, node: str, index: int) -> str:
    """The tenant's name in one segment: 64 hex digits."""
    return hmac.digest(salt, TAG + place(node, index), "sha256").hex()


def blind(salt: bytes, node: str, index: int) -> bytes:
    """What makes the tenant's leaf in one segment impossible to guess. 32 bytes."""
    return hmac.digest(salt, BLIND + place(node, index), "sha256")


def place(node: str, index: int) -> bytes:
    """A segment, as tags and blinds are made of it."""
    return f"{node} {index:010x}".encode()


def tenant_leaf(tag: str, blind: bytes, count: int, root: bytes) -> bytes:
    """A leaf of the segment tree. count: the tenant's records; root: of the tree over them."""
    hidden = hashlib.sha256(blind + count.to_bytes(8, "big") + root).hexdigest()
    return f"{tag} {hidden}".encode()
