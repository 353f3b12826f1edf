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
    """The root over leaf hashes, in order. Source: RFC 6962, section 2.1.

    Pairing level by level and carrying an odd last hash up gives the tree of its recursion.
    """
    if not leaves:
        return EMPTY_ROOT
    sha256, level = _sha256, list(leaves)
    while len(level) > 1:
        odd = level[-1:] if len(level) & 1 else []
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [sha256(b"\x01" + left + right).digest() for left, right in pairs] + odd
    return level[0]


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
    inner, border = _path_shape(index, size)
    _check_path(path, inner + border, leaf)
    result = leaf
    for at, sibling in enumerate(path):
        if at >= inner or index >> at & 1:
            result = node_hash(sibling, result)
        else:
            result = node_hash(result, sibling)
    return result


def verify_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, path: Sequence[bytes]
) -> None:
    """Check that a tree only grew. Source: RFC 9162, section 2.1.4.2.

    Args:
        old_size, old_root, new_size, new_root: Both trees, from what is already verified.
        path: Hashes as RFC 9162, 2.1.4.1, has them; none for equal sizes or an empty old tree.
    Raises:
        MalformedError: sizes out of order, or a path of the wrong length.
        MismatchError: one of the two roots is another.
    """
    if not 0 <= old_size <= new_size:
        raise MalformedError(f"a tree of {old_size} is not within one of {new_size}")
    if old_size in (0, new_size):
        _check_path(path, 0, old_root, new_root)
        _check_root(old_root if old_size else EMPTY_ROOT, old_root, old_size)
        _check_root(old_root if old_size == new_size else new_root, new_root, new_size)
        return
    # Both roots are built from the last perfect subtree of the older tree: the older root itself if
    # its size is a power of two, else the first hash of the path.
    inner, border = _path_shape(old_size - 1, new_size)
    shift = (old_size & -old_size).bit_length() - 1
    turns, inner = (old_size - 1) >> shift, inner - shift
    given = 0 if old_size == 1 << shift else 1
    _check_path(path, given + inner + border, old_root, new_root)
    old = new = path[0] if given else old_root
    for at, sibling in enumerate(path[given:]):
        if at >= inner or turns >> at & 1:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
        else:
            new = node_hash(new, sibling)
    _check_root(old, old_root, old_size)
    _check_root(new, new_root, new_size)


@dataclass(frozen=True, slots=True)
class CompactRange:
    """A tree reduced to what is needed to append to it and to know its root.

    size: leaves so far. hashes: the roots of its perfect subtrees, largest (leftmost) first: one
    for each 1 bit of `size`, or MalformedError.
    """

    size: int
    hashes: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if self.size < 0:
            raise MalformedError("a range has no negative size")
        _check_path(self.hashes, self.size.bit_count())

    def append(self, leaf: bytes) -> "CompactRange":
        """The range with one leaf hash more."""
        hashes, size = list(self.hashes), self.size
        while size & 1:
            leaf, size = node_hash(hashes.pop(), leaf), size >> 1
        return CompactRange(self.size + 1, (*hashes, leaf))

    def extend(self, leaves: Sequence[bytes]) -> "CompactRange":
        """The range with more leaf hashes: the same as `append` of each, by whole subtrees."""
        hashes, size, at = list(self.hashes), self.size, 0
        while at < len(leaves):
            width = 1 << ((len(leaves) - at).bit_length() - 1)
            width = min(width, size & -size) if size else width
            subtree, carried = root(leaves[at : at + width]), width
            while size & carried:
                subtree, carried = node_hash(hashes.pop(), subtree), carried << 1
            hashes.append(subtree)
            at, size = at + width, size + width
        return CompactRange(size, tuple(hashes))

    def root(self) -> bytes:
        """The root of the tree, `EMPTY_ROOT` without leaves."""
        return _fold(self.hashes) if self.hashes else EMPTY_ROOT

    def root_within(self, size: int, after: Sequence[bytes]) -> bytes:
        """The root of a tree of `size` leaves that begins with these.

        Args:
            size: Taken from what is already verified.
            after: The roots of the subtrees to the right: at each place from its lowest 1 bit, as a
                number of leaves, one of so many, or of all that are left.
        Raises:
            MalformedError: no leaf here, too many, or another number of hashes than it takes.
        """
        hashes, at, left = list(self.hashes), self.size, list(reversed(after))
        _check_path(after, len(after))
        while 0 < at < size and left:
            subtree, width = left.pop(), at & -at
            end = at + width
            while end <= size and at & width:
                subtree, width = node_hash(hashes.pop(), subtree), width << 1
            hashes.append(subtree)
            at = min(end, size)
        if at != size or left or not size:
            raise MalformedError(f"what surrounds them does not fit a tree of {size}")
        return _fold(hashes)


def _path_shape(index: int, size: int) -> tuple[int, int]:
    """Hashes of an inclusion path below where it meets that of the last leaf, and from there on.

    Those above all lie to the left.
    """
    inner = (index ^ (size - 1)).bit_length()
    return inner, (index >> inner).bit_count()


def _check_path(path: Sequence[bytes], length: int, *others: bytes) -> None:
    if len(path) != length:
        raise MalformedError(f"the path has {len(path)} hashes, not {length}")
    if any(len(each) != HASH_BYTES for each in (*path, *others)):
        raise MalformedError(f"a hash is not of {HASH_BYTES} bytes")


def _fold(hashes: Sequence[bytes]) -> bytes:
    """The root over neighbouring subtrees, each smaller than the one before."""
    *lefts, result = hashes
    for left in reversed(lefts):
        result = node_hash(left, result)
    return result


def _check_root(computed: bytes, given: bytes, size: int) -> None:
    if computed != given:
        raise MismatchError(f"the root at size {size} is another: {computed.hex()}")


EMPTY_RANGE = CompactRange(0, ())
