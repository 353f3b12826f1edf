import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.proof import MalformedError, ProofError, SignatureError, note
from holdfast.proof.note import Checkpoint, VerifierKey
from holdfast.regions import signing
from holdfast.regions.signing import SigningKey
from tests.proof import naive, samples

KEY = SigningKey.generate("example.com/log", b"k" * 32)
OTHER = SigningKey.generate("example.com/other", b"o" * 32)
SIGNED = signing.sign("text\n", KEY)

allowed = st.characters(exclude_categories=["Cs"]).filter(lambda c: c >= " " or c == "\n")
texts = st.text(allowed, max_size=60).map(lambda text: text + "\n")


@given(texts)
def test_what_was_signed_is_what_is_read(text: str) -> None:
    data = signing.sign(text, KEY, OTHER)

    found = note.verify(data, [KEY.verifier, OTHER.verifier])

    assert found.text == text
    assert [signature.name for signature in found.signatures] == [KEY.name, OTHER.name]
    assert naive.is_signed(data, KEY.name, KEY.public)
    assert naive.is_signed(data, OTHER.name, OTHER.public)


def test_any_changed_byte_of_a_note_fails() -> None:
    for at in range(len(SIGNED)):
        for change in (1, 0x20, 0x80):
            changed = SIGNED[:at] + bytes([SIGNED[at] ^ change]) + SIGNED[at + 1 :]

            with pytest.raises(ProofError):
                note.verify(changed, [KEY.verifier])


def test_any_cut_of_a_note_fails() -> None:
    for end in range(len(SIGNED)):
        with pytest.raises(ProofError):
            note.verify(SIGNED[:end], [KEY.verifier])


@given(st.binary(max_size=200) | st.binary(max_size=40).map(lambda data: SIGNED + data))
def test_arbitrary_bytes_are_read_alike_by_both_or_refused(data: bytes) -> None:
    try:
        found = note.parse(data)
    except MalformedError:
        assert naive.note_parts(data) is None
        return

    lines = [(each.name, each.key_id, each.signature) for each in found.signatures]
    assert (found.text, lines) == naive.note_parts(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        SIGNED + b"\n",
        SIGNED[:-1],
        b"\xff" + SIGNED,
        SIGNED.replace(b"text", b"te\rxt"),
        SIGNED.replace(b"\n", b"\r\n"),
        SIGNED.replace(b"text", b"te\0xt"),
        SIGNED.replace("—".encode(), b"--"),
        SIGNED.replace(b"example.com/log ", b"example.com/log  "),
        SIGNED.replace(b"example.com/log", b"example.com+log"),
        SIGNED.replace(b"example.com/log", "example.com\u3000log".encode()),
        SIGNED.replace(b"=\n", b"\n"),
        b"text\n\n" + "— name AAAA\n".encode(),
    ],
)
def test_what_is_no_note_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        note.parse(data)


def test_base64_has_one_form_only() -> None:
    assert note.decode_base64("AA==") == b"\0"

    for text in ("AB==", "AA=", "AA", "AA==\n", " AA==", "A===", "AA==AA==", "A-==", "ÄA=="):
        with pytest.raises(MalformedError):
            note.decode_base64(text)


def test_a_number_has_one_form_only() -> None:
    assert [note.parse_number(text) for text in ("0", "10", str(note.NUMBER_MAX))] == [
        *(0, 10, note.NUMBER_MAX),
    ]

    for text in ("", "00", "01", "+1", "-1", "1 ", "1_0", "²", "١", "1e3", str(2**63), "9" * 30):
        with pytest.raises(MalformedError):
            note.parse_number(text)


def test_a_note_of_an_unknown_key_is_not_verified() -> None:
    same_name = SigningKey.generate(KEY.name, b"x" * 32)

    for key in (OTHER, same_name):
        with pytest.raises(SignatureError, match="known key"):
            note.verify(SIGNED, [key.verifier])


def test_one_bad_signature_of_a_known_key_spoils_the_note() -> None:
    good, bad = signing.sign("text\n", OTHER), signing.sign("next\n", KEY)
    both = good + bad.split(b"\n\n")[1]

    with pytest.raises(SignatureError, match="does not verify"):
        note.verify(both, [KEY.verifier, OTHER.verifier])
    assert note.verify(both, [OTHER.verifier]).text == "text\n"


def test_a_note_has_at_most_64_signatures_and_64_kib() -> None:
    line = SIGNED.split(b"\n\n")[1]

    assert len(note.parse(b"text\n\n" + 64 * line).signatures) == 64
    with pytest.raises(MalformedError, match="signatures"):
        note.parse(b"text\n\n" + 65 * line)
    with pytest.raises(MalformedError, match="bytes"):
        signing.sign("t" * note.NOTE_BYTES_MAX + "\n", KEY)


@pytest.mark.parametrize("text", ["", "no line end", "bell\a\n", "\ud800\n"])
def test_a_text_that_no_note_can_carry_is_not_signed(text: str) -> None:
    with pytest.raises(MalformedError):
        signing.sign(text, KEY)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u00a0b", "a\ud800b"])
def test_a_name_that_no_note_can_carry_makes_no_key(name: str) -> None:
    with pytest.raises(MalformedError):
        VerifierKey(name, bytes(32))


@given(st.text(max_size=90))
def test_arbitrary_text_is_no_verifier_key_or_its_only_form(text: str) -> None:
    with contextlib.suppress(MalformedError):
        assert VerifierKey.parse(text).text == text


def test_a_verifier_key_with_the_id_of_another_is_refused() -> None:
    with pytest.raises(MalformedError, match="id"):
        VerifierKey.parse(KEY.vkey.replace(KEY.verifier.id.hex(), OTHER.verifier.id.hex()))


def test_a_verifier_key_of_another_algorithm_is_refused() -> None:
    for first in (0x00, 0x02, 0x04, 0x06):
        material = note.encode_base64(bytes([first]) + KEY.public)
        with pytest.raises(MalformedError, match="Ed25519"):
            VerifierKey.parse(f"{KEY.name}+{KEY.verifier.id.hex()}+{material}")


def test_a_checkpoint_is_read_as_it_was_written() -> None:
    checkpoint = Checkpoint(KEY.name, 2**40, bytes(range(32)))

    assert note.parse_checkpoint(checkpoint.text) == checkpoint
    assert note.verify_checkpoint(signing.sign(checkpoint.text, KEY), KEY.verifier) == checkpoint


def test_extension_lines_of_a_checkpoint_are_read_over() -> None:
    text = Checkpoint(KEY.name, 1, bytes(32)).text

    assert note.parse_checkpoint(text + "more\n").text == text + "more\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n1\n",
        f"origin\n01\n{note.encode_base64(bytes(32))}\n",
        f"origin\n1\n{note.encode_base64(bytes(31))}\n",
        f"origin\n1\n{note.encode_base64(bytes(32))}",
        f"\n1\n{note.encode_base64(bytes(32))}\n",
        f"origin\n1\n{note.encode_base64(bytes(32))}\n\n",
        f"origin\n1\n{note.encode_base64(bytes(32))}\r\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        note.parse_checkpoint(text)


def test_a_log_cannot_sign_a_checkpoint_of_another() -> None:
    data = signing.sign(Checkpoint(OTHER.name, 1, bytes(32)).text, KEY)

    with pytest.raises(SignatureError, match=r"signed by example\.com/log"):
        note.verify_checkpoint(data, KEY.verifier)


def test_no_statement_passes_for_a_checkpoint_and_no_checkpoint_for_a_statement() -> None:
    for sample in samples.samples().values():
        with pytest.raises(MalformedError):
            note.verify_checkpoint(sample.data, sample.key.verifier)

    text = note.parse(samples.checkpoint(samples.fixed_end())).text
    assert isinstance(naive.statement(text), str)
