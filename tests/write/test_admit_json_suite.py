"""nst/JSONTestSuite: every file as a payload, and as a whole body."""

import json
from pathlib import Path

import pytest

from holdfast.errors import RejectedError
from holdfast.write.admit import Admitted, admit

SUITE = sorted((Path(__file__).parents[1] / "vectors/json/test_parsing").glob("*.json"))
KINDS = ("application/json", "application/x-ndjson")


def outcome(body: bytes, content_type: str) -> Admitted | RejectedError:
    try:
        return admit(body, content_type)
    except RejectedError as error:
        return error


def test_the_suite_is_there() -> None:
    assert {path.name[0] for path in SUITE} == {"y", "n", "i"}
    assert len(SUITE) > 150


@pytest.mark.parametrize("path", SUITE, ids=lambda path: path.stem)
def test_as_a_payload_json_is_accepted_and_nothing_else(path: Path) -> None:
    value = path.read_bytes()
    body = b'{"action":"a","payload_type":"t","payload":%b}' % value

    found = outcome(body, KINDS[0])

    if path.name.startswith("y_"):
        assert isinstance(found, Admitted)
        assert json.loads(found.lines[0])["payload"] == json.loads(value)
    elif path.name.startswith("n_"):
        assert isinstance(found, RejectedError)
        assert found.kind == "malformed"


@pytest.mark.parametrize("path", SUITE, ids=lambda path: path.stem)
@pytest.mark.parametrize("kind", KINDS)
def test_as_a_body_none_is_an_event_and_each_is_refused_by_name(path: Path, kind: str) -> None:
    found = outcome(path.read_bytes(), kind)

    assert isinstance(found, RejectedError)
    assert found.problems


@pytest.mark.parametrize("path", SUITE, ids=lambda path: path.stem)
@pytest.mark.parametrize("field", ["attributes", "actor", "reason", "targets", "source", "time"])
def test_as_any_other_field_what_is_not_json_is_refused(path: Path, field: str) -> None:
    found = outcome(b'{"action":"a","%b":%b}' % (field.encode(), path.read_bytes()), KINDS[0])

    assert isinstance(found, RejectedError) or not path.name.startswith("n_")
