"""Errors as a client sees them."""

import json

import pytest

from holdfast.errors import (
    CorruptError,
    FencedError,
    HoldfastError,
    OutcomeUnknownError,
    Problem,
    RejectedError,
    UnavailableError,
)
from holdfast.serve.problems import KINDS, from_error, problem, type_uri


def test_a_refusal_names_line_field_and_reason() -> None:
    error = RejectedError("malformed", Problem(3, "actor.id", "must be a string"))

    reply = from_error(error)

    assert reply.status == 400
    assert (b"content-type", b"application/problem+json") in reply.headers
    assert json.loads(reply.body) == {
        "type": "/problems/malformed",
        "title": KINDS["malformed"].title,
        "status": 400,
        "detail": "line 3, actor.id: must be a string",
        "errors": [{"line": 3, "field": "actor.id", "reason": "must be a string"}],
    }


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (RejectedError("too-large", Problem(0, "", "x")), 413, "too-large"),
        (
            RejectedError("unsupported-media-type", Problem(0, "", "x")),
            415,
            "unsupported-media-type",
        ),
        (RejectedError("never heard of", Problem(0, "", "x")), 400, "malformed"),
        (UnavailableError("full"), 503, "unavailable"),
        (OutcomeUnknownError("late", ("a", "b")), 504, "outcome-unknown"),
        (FencedError("fenced", ("a",)), 504, "outcome-unknown"),
        (CorruptError("/secret/path does not hash"), 500, "corrupt"),
        (HoldfastError("of a kind to come"), 500, "internal"),
    ],
)
def test_each_error_has_one_status(error: HoldfastError, status: int, kind: str) -> None:
    reply = from_error(error)

    assert reply.status == status
    assert json.loads(reply.body)["type"] == type_uri(kind)


def test_the_ids_of_an_unknown_outcome_are_there_to_be_sent_again() -> None:
    reply = from_error(OutcomeUnknownError("no quorum in time", ("a", "b")))

    assert json.loads(reply.body)["ids"] == ["a", "b"]


def test_who_must_wait_is_told_how_long() -> None:
    reply = from_error(UnavailableError("full", retry_after_seconds=7))

    assert (b"retry-after", b"7") in reply.headers


def test_what_is_wrong_inside_stays_inside() -> None:
    reply = from_error(CorruptError("/var/lib/holdfast/x does not hash to its name"))

    assert b"/var/lib" not in reply.body


def test_every_kind_has_words_for_a_person() -> None:
    for kind, (status, title, meaning) in KINDS.items():
        assert 400 <= status < 600
        assert title and meaning
        assert json.loads(problem(kind, "here").body)["type"] == f"/problems/{kind}"
