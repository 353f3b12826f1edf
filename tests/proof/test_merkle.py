import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.proof import MalformedError, MismatchError, ProofError, merkle
from holdfast.proof.merkle import EMPTY_RANGE, EMPTY_ROOT, CompactRange
from holdfast.prove import paths
from tests.proof import naive

LEAVES = [f"leaf {n}".encode() for n in range(70)]
HASHES = merkle.leaf_hashes(LEAVES)
trees = st.lists(st.binary(max_size=8), max_size=40)


@given(trees)
def test_a_root_is_that_of_the_recursion_in_rfc_6962(leaves: list[bytes]) -> None:
    assert merkle.root(merkle.leaf_hashes(leaves)) == naive.tree(leaves)


def test_every_path_of_every_small_tree_is_that_of_the_recursion() -> None:
    for size in range(1, 35):
        leaves = LEAVES[:size]
        for index in range(size):
            path = paths.inclusion_path(HASHES[:size], index)

            assert list(path) == naive.path(index, leaves)
            assert merkle.root_from_inclusion(HASHES[index], index, size, path) == merkle.root(
                HASHES[:size]
            )


def test_every_consistency_of_every_small_tree_is_that_of_the_recursion() -> None:
    for size in range(1, 35):
        for old in range(1, size + 1):
            path = paths.consistency_path(HASHES[:size], old)

            assert list(path) == naive.proof(old, LEAVES[:size])
            merkle.verify_consistency(
                old, merkle.root(HASHES[:old]), size, merkle.root(HASHES[:size]), path
            )


@given(st.data(), st.integers(1, 70))
def test_an_inclusion_proof_fails_for_any_other_leaf_index_or_path(
    data: st.DataObject, size: int
) -> None:
    index = data.draw(st.integers(0, size - 1))
    path = list(paths.inclusion_path(HASHES[:size], index))
    root = merkle.root(HASHES[:size])
    leaf, other = HASHES[index], data.draw(st.integers(0, size - 1))
    change = data.draw(st.sampled_from(["leaf", "index", "hash", "longer", "shorter"]))
    if change == "leaf":
        leaf = merkle.leaf_hash(b"another")
    elif change == "index":
        index = other if other != index else size
    elif change == "hash" and path:
        at = data.draw(st.integers(0, len(path) - 1))
        path[at] = merkle.leaf_hash(path[at])
    elif change == "shorter" and path:
        path.pop(data.draw(st.sampled_from([0, -1])))
    else:
        path.insert(data.draw(st.integers(0, len(path))), root)

    try:
        found = merkle.root_from_inclusion(leaf, index, size, path)
    except MalformedError:
        return

    assert found != root


@given(st.integers(1, 70), st.integers(0, 80), st.lists(st.sampled_from(HASHES), max_size=9))
def test_the_implied_root_is_that_of_the_recursion_for_any_path(
    size: int, index: int, path: list[bytes]
) -> None:
    try:
        found = merkle.root_from_inclusion(HASHES[0], index, size, path)
    except MalformedError:
        found = b""

    assert found == (naive.root_by_path(HASHES[0], index, size, path) if index < size else b"")


@given(st.data(), st.integers(2, 70))
def test_a_consistency_proof_fails_for_any_other_size_root_or_path(
    data: st.DataObject, size: int
) -> None:
    old = data.draw(st.integers(1, size - 1))
    path = list(paths.consistency_path(HASHES[:size], old))
    roots = [merkle.root(HASHES[:old]), merkle.root(HASHES[:size])]
    sizes = [old, size]
    change = data.draw(st.sampled_from(["old", "root", "hash", "longer", "shorter", "swap"]))
    if change == "old":
        sizes[0] = data.draw(st.integers(0, size).filter(lambda n: n != old))
    elif change == "root":
        roots[data.draw(st.integers(0, 1))] = merkle.leaf_hash(b"another")
    elif change == "hash":
        at = data.draw(st.integers(0, len(path) - 1))
        path[at] = merkle.leaf_hash(path[at])
    elif change == "longer":
        path.insert(data.draw(st.integers(0, len(path))), roots[0])
    elif change == "shorter":
        path.pop(data.draw(st.sampled_from([0, -1])))
    else:
        roots.reverse()

    with pytest.raises(ProofError):
        merkle.verify_consistency(sizes[0], roots[0], sizes[1], roots[1], path)


@pytest.mark.parametrize("which", [0, 1])
def test_either_root_must_be_the_one_that_the_path_implies(which: int) -> None:
    for size in range(2, 20):
        for old in range(1, size):
            path = paths.consistency_path(HASHES[:size], old)
            roots = [merkle.root(HASHES[:old]), merkle.root(HASHES[:size])]
            roots[which] = EMPTY_ROOT

            with pytest.raises(MismatchError):
                merkle.verify_consistency(old, roots[0], size, roots[1], path)


def test_an_empty_tree_is_the_beginning_of_every_tree() -> None:
    merkle.verify_consistency(0, EMPTY_ROOT, 5, merkle.root(HASHES[:5]), ())
    merkle.verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, ())

    with pytest.raises(MismatchError):
        merkle.verify_consistency(0, HASHES[0], 5, merkle.root(HASHES[:5]), ())
    with pytest.raises(MismatchError):
        merkle.verify_consistency(0, EMPTY_ROOT, 0, HASHES[0], ())


def test_two_roots_of_one_size_are_refused() -> None:
    with pytest.raises(MismatchError):
        merkle.verify_consistency(5, HASHES[0], 5, HASHES[1], ())


@pytest.mark.parametrize("index", [-1, 5])
def test_a_leaf_outside_the_tree_has_no_path(index: int) -> None:
    with pytest.raises(MalformedError, match="outside"):
        paths.inclusion_path(HASHES[:5], index)
    with pytest.raises(MalformedError, match="outside"):
        merkle.root_from_inclusion(HASHES[0], index, 5, ())


def test_a_hash_of_another_length_is_refused() -> None:
    with pytest.raises(MalformedError):
        merkle.root_from_inclusion(HASHES[0], 0, 2, [b"short"])
    with pytest.raises(MalformedError):
        CompactRange(1, (b"short",))


def test_a_compact_range_has_at_every_size_the_root_of_the_tree() -> None:
    found = EMPTY_RANGE

    for size, leaf in enumerate(HASHES):
        assert found.root() == naive.tree(LEAVES[:size])
        assert list(found.hashes) == naive.perfect_subtrees(LEAVES[:size])
        found = found.append(leaf)


@pytest.mark.parametrize(("size", "count"), [(-1, 0), (-1, 1), (0, 1), (3, 1), (4, 2)])
def test_a_compact_range_has_one_hash_for_each_perfect_subtree(size: int, count: int) -> None:
    with pytest.raises(MalformedError):
        CompactRange(size, tuple(HASHES[:count]))


@given(st.integers(0, 70), st.lists(st.integers(0, 40), max_size=4))
def test_a_range_extended_is_the_range_of_all_appended(size: int, more: list[int]) -> None:
    hashes = merkle.leaf_hashes(str(n).encode() for n in range(size + sum(more)))
    found = merkle.EMPTY_RANGE.extend(hashes[:size])

    for count in more:
        found = found.extend(hashes[found.size : found.size + count])

    expected = merkle.EMPTY_RANGE
    for leaf in hashes:
        expected = expected.append(leaf)
    assert found == expected
