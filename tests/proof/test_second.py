"""A second checker, made from docs/FORMAT.md in another language, comes to the same verdicts."""

import random
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.proof import MalformedError, ProofError
from tests.machine import program
from tests.proof import fuzz
from tests.proof.proofs import checked, genuine, written
from tests.proof.samples import FROZEN, TRAIL
from tests.proof.test_event import TAMPERINGS
from tests.prove import certificates, test_left
from tests.read import trails

FROZEN_CERTIFICATES = ("present", "absent", "all", "left", "gone", "all-left")
OF_LEFT = trails.TRAIL.trail
CHECKER = Path(__file__).parent / "second" / "check.mjs"


def second(
    folder: Path, files: Sequence[bytes], trail: str = TRAIL, salt_id: str = "-"
) -> list[str]:
    """Verdict and step of each file, as the second checker has them."""
    for number, data in enumerate(files):
        (folder / f"{number:04}").write_bytes(data)
    paths = [str(folder / f"{number:04}") for number in range(len(files))]
    done = subprocess.run(
        [program("node"), str(CHECKER), trail, salt_id, *paths],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert not done.stderr, done.stderr
    return done.stdout.splitlines()


def first(data: bytes, trail: str = TRAIL) -> str:
    """The same by `holdfast.proof`."""
    found, claims = checked(data, trail)
    if not isinstance(found, ProofError):
        return f"proven {len(claims)}"
    return f"{'unchecked' if isinstance(found, MalformedError) else 'refuted'} {len(claims)}"


def test_both_prove_what_is_genuine(tmp_path: Path) -> None:
    places = [(0, 0), (1, 1), (2, 5), (3, 6), (4, 7)]
    files = [written(genuine(*place, closed=place[0] % 2 == 0)) for place in places]
    files += fuzz.PROOFS
    files += [(FROZEN / name).read_bytes() for name in ("event.proof", "event-closed.proof")]

    assert second(tmp_path, files) == ["proven 6"] * len(files)
    assert second(tmp_path, files, "f" * 32) == ["refuted 2"] * len(files)


def test_both_come_to_the_same_verdict_at_the_same_step_of_each_changed_field(
    tmp_path: Path,
) -> None:
    files = [written(change(genuine())) for _, change, _ in TAMPERINGS.values()]

    verdicts = dict(zip(TAMPERINGS, second(tmp_path, files), strict=True))

    assert verdicts == {what: first(data) for what, data in zip(TAMPERINGS, files, strict=True)}
    assert not any(verdict.startswith("proven") for verdict in verdicts.values())


@pytest.mark.parametrize("seed", range(3))
def test_both_notice_whatever_is_changed(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    files = [fuzz.mutated(draw, fuzz.PROOFS) for _ in range(150)]

    found = second(tmp_path, files)

    assert found == [first(data) for data in files]
    holding = [data for data, told in zip(files, found, strict=True) if told == "proven 6"]
    assert all(fuzz.is_genuine(data) for data in holding)
    assert len({told[-1] for told in found}) >= 5  # most steps refuse something


def test_a_record_of_any_characters_reads_the_same(tmp_path: Path) -> None:
    """JSON strings have one form in both, or both would refuse what the other made."""
    records = ['\x7f\u2028\u2029 \\ " / \b\f\n\r\t\x01\x1f', "\U0001f512\ufeff", "\ufffe\uffff<>&'"]
    files = [written(replace(genuine(), record=record)) for record in records]

    assert second(tmp_path, files) == ["refuted 6"] * len(files) == [first(one) for one in files]


# -- certificates of completeness ------------------------------------------------------------------


def judged(data: bytes, trail: str, salt_id: str | None) -> str:
    """What `holdfast.proof` says of a certificate, in the second checker's words."""
    found, _ = certificates.checked(data, salt_id, trail)
    if isinstance(found, ProofError):
        return "unchecked" if isinstance(found, MalformedError) else "refuted"
    return {0: "proven", 3: "unchecked", 4: "gap"}[found.code]


def test_both_prove_the_same_certificates(tmp_path: Path) -> None:
    files = [certificates.small("acme"), certificates.small(None), *fuzz.LEFT]
    files += [(FROZEN / f"{name}.certificate").read_bytes() for name in FROZEN_CERTIFICATES]
    made = test_left.certificates()

    found = second(tmp_path, files), second(tmp_path, [*made.values()], OF_LEFT)

    assert found[0] == [judged(data, TRAIL, None) for data in files]
    assert found[0].count("proven") == len(files) - 2  # of absence a salt id must be known
    assert found[1] == [judged(data, OF_LEFT, None) for data in made.values()]
    assert found[1].count("proven") == len(made) - 2


def test_both_refuse_each_bent_certificate(tmp_path: Path) -> None:
    of_one = [test_left.bent(test_left.good(), how) for how, *_ in test_left.BAD.values()]
    of_all = [test_left.bent(test_left.good(None, False), how) for how in test_left.WHOLE.values()]

    found = second(tmp_path, [*of_one, *of_all], OF_LEFT)

    assert len(found) > 30 and set(found) == {"refuted", "unchecked"}
    same = [told == judged(data, OF_LEFT, None) for told, data in zip(found, of_one, strict=False)]
    assert all(same)


def test_a_certificate_is_another_tenant_s_for_both(tmp_path: Path) -> None:
    data = certificates.small("acme")

    assert second(tmp_path, [data], TRAIL, fuzz.SALT_ID) == ["proven"]
    assert second(tmp_path, [data], TRAIL, "0" * 64) == ["refuted"]


def test_both_notice_whatever_is_changed_in_a_certificate(tmp_path: Path) -> None:
    draw = random.Random(4)
    genuine_ = (fuzz.CERTIFICATE, certificates.small(None), *fuzz.LEFT)
    files = [fuzz.mutated(draw, genuine_) for _ in range(250)]

    found = second(tmp_path, files, TRAIL, fuzz.SALT_ID)

    holds = [judged(data, TRAIL, fuzz.SALT_ID) == "proven" for data in files]
    assert [told == "proven" for told in found] == holds
    assert holds.count(False) > 100
