"""RFC 6962 Merkle trees over SHA-256. Pure; hashes are `bytes` of length 32 throughout."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from holdfast.proof.errors import MalformedError, MismatchError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256().digest()

_sha256 = hashlib.sha256


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 ‖ data)."""
    return _sha256(b"\x00" + data).digest()


def leaf_hashes(leaves: Iterable[bytes]) -> list[bytes]:
    """`leaf_hash` of each, without a call for each."""
    sha256 = _sha256
    return [sha256(b"\x00" + leaf).digest() for leaf in leaves]


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return _sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root of a tree.

    Args:
        leaves: Leaf hashes, in order.
    Source: RFC 6962, section 2.1. Pairing level by level and carrying an odd last hash up gives
        the same tree as its recursion.
    """
    if not leaves:
        return EMPTY_ROOT
    sha256 = _sha256
    level = leaves
    while len(level) > 1:
        pairs = iter(level)
        above = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(pairs, pairs, strict=False)
        ]
        if len(level) & 1:
            above.append(level[-1])
        level = above
    return level[0]


def inclusion_path(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The sibling hashes from a leaf to the root.

    Args:
        leaves: All leaf hashes of the tree.
        index: 0-based position of the leaf.
    Raises:
        MalformedError: index outside the tree.
    Source: RFC 9162, section 2.1.3.1.
    """
    size = len(leaves)
    if not 0 <= index < size:
        raise MalformedError(f"leaf {index} is outside a tree of {size}")
    if size == 1:
        return ()
    split = _split(size)
    if index < split:
        return (*inclusion_path(leaves[:split], index), root(leaves[split:]))
    return (*inclusion_path(leaves[split:], index - split), root(leaves[:split]))


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Recompute the root that an inclusion proof implies.

    Args:
        leaf: Leaf hash, 32 bytes.
        index: 0-based position, index < size.
        size: Leaf count, taken from what is already verified, never from the proof.
        path: Sibling hashes, leaf to root, 32 bytes each.
    Returns:
        Root hash, 32 bytes; the caller compares it with the checkpoint's.
    Raises:
        MalformedError: index outside the tree, or a path of the wrong length.
    Source: RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size:
        raise MalformedError(f"leaf {index} is outside a tree of {size}")
    _check_hashes(leaf, *path)
    node, last, result = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise MalformedError("the inclusion path is too long")
        if node & 1 or node == last:
            result = node_hash(sibling, result)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise MalformedError("the inclusion path is too short")
    return result


def consistency_path(leaves: Sequence[bytes], old: int) -> tuple[bytes, ...]:
    """The hashes that show a tree to begin with an older one.

    Args:
        leaves: All leaf hashes of the newer tree.
        old: Size of the older tree; 0 and the newer size itself need no hashes.
    Raises:
        MalformedError: the older tree is larger.
    Source: RFC 9162, section 2.1.4.1.
    """
    if not 0 <= old <= len(leaves):
        raise MalformedError(f"a tree of {old} is not within one of {len(leaves)}")
    return _subproof(leaves, old, whole=True) if old else ()


def _subproof(leaves: Sequence[bytes], old: int, whole: bool) -> tuple[bytes, ...]:
    size = len(leaves)
    if old == size:
        return () if whole else (root(leaves),)
    split = _split(size)
    if old <= split:
        return (*_subproof(leaves[:split], old, whole), root(leaves[split:]))
    return (*_subproof(leaves[split:], old - split, whole=False), root(leaves[:split]))


def verify_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, path: Sequence[bytes]
) -> None:
    """Check that a tree only grew.

    Args:
        old_size, old_root: The older tree, from what is already verified.
        new_size, new_root: The newer tree, likewise.
        path: Hashes as `consistency_path` gives them; none for equal sizes or an empty old tree.
    Raises:
        MalformedError: sizes out of order, or a path of the wrong length.
        MismatchError: one of the two roots is another.
    Source: RFC 9162, section 2.1.4.2.
    """
    _check_hashes(old_root, new_root, *path)
    if not 0 <= old_size <= new_size:
        raise MalformedError(f"a tree of {old_size} is not within one of {new_size}")
    if old_size in (0, new_size):
        if path:
            raise MalformedError("no consistency path is needed here")
        _check_root(old_root, EMPTY_ROOT if old_size == 0 else new_root, old_size)
        return
    if not path:
        raise MalformedError("the consistency path is empty")
    hashes = list(path)
    if old_size & (old_size - 1) == 0:
        hashes.insert(0, old_root)
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise MalformedError("the consistency path is too long")
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise MalformedError("the consistency path is too short")
    _check_root(old, old_root, old_size)
    _check_root(new, new_root, new_size)


@dataclass(frozen=True, slots=True)
class CompactRange:
    """A tree reduced to what is needed to append to it and to know its root.

    size: leaves so far. hashes: the roots of its perfect subtrees, largest (leftmost) first: one
    for each 1 bit of `size`.
    """

    size: int
    hashes: tuple[bytes, ...]

    def __post_init__(self) -> None:
        """Raise MalformedError unless there is a hash for each subtree."""
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            raise MalformedError(f"{len(self.hashes)} hashes do not make a range of {self.size}")
        _check_hashes(*self.hashes)

    def append(self, leaf: bytes) -> "CompactRange":
        """The range with one leaf hash more."""
        hashes, size = list(self.hashes), self.size
        while size & 1:
            leaf, size = node_hash(hashes.pop(), leaf), size >> 1
        return CompactRange(self.size + 1, (*hashes, leaf))

    def root(self) -> bytes:
        """The root of the tree, `EMPTY_ROOT` without leaves."""
        if not self.hashes:
            return EMPTY_ROOT
        *lefts, result = self.hashes
        for left in reversed(lefts):
            result = node_hash(left, result)
        return result


def _split(size: int) -> int:
    """The largest power of two below `size`, which is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


def _check_hashes(*hashes: bytes) -> None:
    if any(len(each) != HASH_BYTES for each in hashes):
        raise MalformedError(f"a hash is not of {HASH_BYTES} bytes")


def _check_root(computed: bytes, given: bytes, size: int) -> None:
    if computed != given:
        raise MismatchError(f"the root at size {size} is another: {computed.hex()}")


EMPTY_RANGE = CompactRange(0, ())
