"""A little of `make fuzz`, and that it would notice."""

import pytest

from holdfast.proof import MalformedError
from tests.proof import fuzz

ROUNDS = 60


def test_every_parser_accepts_or_refuses_by_name_whatever_comes() -> None:
    tried = fuzz.run(ROUNDS, 0)

    assert [failure for target in tried for failure in target.failures] == []
    assert all(target.refused for target in tried)
    assert sum(target.accepted for target in tried) > ROUNDS


@pytest.mark.parametrize("target", fuzz.targets(), ids=lambda target: target.name)
def test_each_parser_accepts_something_genuine(target: fuzz.Target) -> None:
    for data in target.corpus:
        target.try_one(data, "genuine")

    assert target.accepted and not target.failures


def test_an_error_without_a_name_and_a_forged_proof_are_failures() -> None:
    def stumbles(data: bytes) -> None:
        raise UnicodeDecodeError("utf-8", data, 0, 1, "x") if data else MalformedError("x")

    target = fuzz.Target("stumbles", stumbles, (b"a",))
    forged = fuzz.Target("check", lambda data: fuzz.check(fuzz.PROOFS[0]), (b"a",))

    target.try_one(b"", "seed")
    target.try_one(b"a", "seed")
    forged.try_one(b"a", "seed")

    assert (target.refused, len(target.failures)) == (1, 1)
    assert forged.accepted
