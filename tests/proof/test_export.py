"""A receipt holds of its file alone, and of that only as it was signed."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.proof import MalformedError, MismatchError, SignatureError, export
from holdfast.proof.__main__ import main
from holdfast.proof.export import Export, LetGo, Proven
from holdfast.regions import signing
from tests.proof import samples
from tests.proof.proofs import drained
from tests.proof.samples import CLOSER_KEY, LET_GO, NODE_KEY, ORIGIN, TRAIL, TRAIL_KEY

FILE = samples.exported()
LINES = FILE.splitlines(keepends=True)
SAID = samples.receipt_of(FILE)


def signed(said: Export) -> bytes:
    return signing.write(said, TRAIL_KEY.name, CLOSER_KEY)


RECEIPT = signed(SAID)


def checked(receipt: bytes = RECEIPT, file: bytes = FILE, trail: str = TRAIL) -> Proven:
    return drained(export.check(receipt, io.BytesIO(file), trail, None, None))


def test_a_receipt_and_its_file_hold_and_what_is_only_stated_is_said() -> None:
    found = checked(signed(replace(SAID, gap=())))

    assert found.code == 0
    assert found.facts()["events"] == len(LINES)
    assert found.complete.startswith("the signer's word alone; a certificate of completeness")


def test_lost_segments_are_a_gap_in_the_verdict() -> None:
    found = checked()

    assert found.code == 4
    assert found.facts()["not in it"] == [f"node {samples.NODE}, segments 3 to 5: lost"]


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (b"".join(LINES[1:]), "bytes, not"),
        (b"".join(LINES[:-1]), "bytes, not"),
        (FILE + LINES[0], "bytes, not"),
        (b"".join(reversed(LINES)), "SHA-256"),
        (FILE.replace(b"user.login", b"user.logon", 1), "SHA-256"),
        (FILE[:-1], "cut off"),
        (FILE.replace(b"00.000001Z", b"00.000010Z", 1), "line 1 was received at another time"),
        (FILE.replace(b'"acme"', b'"evil"', 1), "not one of this tenant"),
    ],
)
def test_a_changed_file_is_refuted(file: bytes, told: str) -> None:
    with pytest.raises(MismatchError, match=told):
        checked(file=file)


def test_each_byte_of_the_file_counts() -> None:
    for at in range(0, len(FILE), 7):
        changed = FILE[:at] + bytes([FILE[at] ^ 1]) + FILE[at + 1 :]

        with pytest.raises((MismatchError, MalformedError)):
            checked(file=changed)


def test_a_row_that_was_removed_is_refuted_with_its_hashes_made_anew_too() -> None:
    file = b"".join(LINES[1:])
    text = signing.text(samples.receipt_of(file), TRAIL_KEY.name).encode()
    signatures = RECEIPT[RECEIPT.rindex(b"\n\n") + 1 :]

    with pytest.raises(SignatureError):
        checked(text + signatures, file)


@pytest.mark.parametrize(
    "forged",
    [
        signing.write(SAID, TRAIL_KEY.name, NODE_KEY),
        signing.write(SAID, ORIGIN, CLOSER_KEY),
        signed(replace(SAID, by=samples.NODE)),
        signed(replace(SAID, certificate=samples.certificate_of(NODE_KEY))),
    ],
)
def test_whoever_the_trail_did_not_admit_signs_nothing(forged: bytes) -> None:
    with pytest.raises((SignatureError, MismatchError)):
        checked(forged)


def test_another_trails_receipt_is_none() -> None:
    with pytest.raises(MismatchError):
        checked(trail="0" * 32)


@pytest.mark.parametrize(
    "change",
    [
        lambda said: replace(said, events=said.events - 1),
        lambda said: replace(said, root=bytes(32)),
        lambda said: replace(said, sha256=bytes(32)),
        lambda said: replace(said, bytes=said.bytes + 1),
        lambda said: replace(said, from_us=said.from_us + 2),
        lambda said: replace(said, filter=(("tenant", "b"),)),
    ],
)
def test_a_signer_that_says_another_thing_is_refuted(change: Callable[[Export], Export]) -> None:
    with pytest.raises(MismatchError):
        checked(signed(change(SAID)))


@pytest.mark.parametrize(
    "change",
    [
        lambda said: replace(said, complete="stated"),
        lambda said: replace(said, filter=(("actor", "a"), ("tenant", "acme"))),
        lambda said: replace(said, to_us=said.complete_through_us + 2),
        lambda said: replace(said, gap=(export.Missing(samples.NODE, 3, 3),)),
        lambda said: replace(said, ledger=said.ledger * 2),
        lambda said: replace(said, let_go=LET_GO),
        lambda said: replace(said, complete="stated", let_go=LET_GO * 2),
        lambda said: replace(said, complete="stated", let_go=(LetGo(0, "none"),)),
    ],
)
def test_a_receipt_that_contradicts_itself_is_none(change: Callable[[Export], Export]) -> None:
    with pytest.raises(MalformedError):
        signed(change(SAID))


def test_what_filters_leave_out_is_the_signers_word_and_said_to_be() -> None:
    said = replace(SAID, filter=(("action", "user.*"), ("tenant", "acme")), complete="stated")

    found = checked(signed(said))

    assert found.complete.startswith("the signer's word alone: no certificate proves")


def test_what_rules_let_go_is_named_and_no_reason_to_refute_what_is_left() -> None:
    found = checked(signed(replace(SAID, gap=(), complete="stated", let_go=LET_GO)))

    assert found.code == 0
    assert found.facts()["not in it"] == ["up to 7 records let go by class a: max 30 days"]
    assert found.complete.endswith("of the same time proves it, but for what rules let go")


def test_another_kind_of_file_is_held_to_its_hash() -> None:
    receipt = signed(replace(SAID, kind="csv", gap=()))

    assert checked(receipt).stated[0].startswith("that 5 records")
    assert checked(receipt).complete.endswith("of a file as ndjson")
    with pytest.raises(MismatchError):
        checked(receipt, FILE + b"x")


def test_the_command_finds_the_file_beside_its_receipt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.receipt").write_bytes(RECEIPT)
    (tmp_path / "b").write_bytes(FILE)
    asked = ["check", str(tmp_path / "a.receipt"), "--trail", TRAIL]

    assert main(asked) == 3
    assert "cannot be read" in capsys.readouterr().out
    assert main([*asked, "--file", str(tmp_path / "b")]) == 4
    (tmp_path / "b").rename(tmp_path / "a")
    assert main(asked) == 4
    (tmp_path / "a").write_bytes(FILE.replace(b"login", b"logon"))
    assert main(asked) == 1
    assert "REFUTED: the file's SHA-256 is" in capsys.readouterr().out
