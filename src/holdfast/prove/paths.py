"""The hashes that `proof.merkle` checks: of what is in a tree, and that it only grew. Pure."""

from collections.abc import Sequence

from holdfast.proof import merkle
from holdfast.proof.errors import MalformedError


def inclusion_path(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The sibling hashes from a leaf (0-based) to the root. Source: RFC 9162, section 2.1.3.1.

    Raises MalformedError: index outside the tree.
    """
    size = len(leaves)
    if not 0 <= index < size:
        raise MalformedError(f"leaf {index} is outside a tree of {size}")
    if size == 1:
        return ()
    split = _split(size)
    if index < split:
        return (*inclusion_path(leaves[:split], index), merkle.root(leaves[split:]))
    return (*inclusion_path(leaves[split:], index - split), merkle.root(leaves[:split]))


def consistency_path(leaves: Sequence[bytes], old: int) -> tuple[bytes, ...]:
    """The hashes that show a tree to begin with an older one. Source: RFC 9162, 2.1.4.1.

    Args:
        leaves: All leaf hashes of the newer tree.
        old: Size of the older tree; 0 and the newer size itself need no hashes.
    Raises:
        MalformedError: the older tree is larger.
    """
    if not 0 <= old <= len(leaves):
        raise MalformedError(f"a tree of {old} is not within one of {len(leaves)}")
    return _subproof(leaves, old, whole=True) if old else ()


def before(leaves: Sequence[bytes], start: int) -> tuple[bytes, ...]:
    """The roots of the perfect subtrees that the first `start` leaves consist of, largest first."""
    found, at = [], 0
    while at < start:
        width = 1 << ((start - at).bit_length() - 1)
        found.append(merkle.root(leaves[at : at + width]))
        at += width
    return tuple(found)


def after(leaves: Sequence[bytes], end: int, first: int = 0) -> tuple[bytes, ...]:
    """What lies to the right of the first `end` leaves, as `CompactRange.root_within` takes it.

    first: Index in the tree of the first of `leaves`: those before it are not needed.
    """
    assert first + end > 0, "beside no leaf there is no right"
    found, at = [], end
    while at < len(leaves):
        width = min((first + at) & -(first + at), len(leaves) - at)
        found.append(merkle.root(leaves[at : at + width]))
        at += width
    return tuple(found)


def _subproof(leaves: Sequence[bytes], old: int, whole: bool) -> tuple[bytes, ...]:
    if old == len(leaves):
        return () if whole else (merkle.root(leaves),)
    split = _split(len(leaves))
    if old <= split:
        return (*_subproof(leaves[:split], old, whole), merkle.root(leaves[split:]))
    return (*_subproof(leaves[split:], old - split, whole=False), merkle.root(leaves[:split]))


def _split(size: int) -> int:
    """The largest power of two below `size`, which is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)
