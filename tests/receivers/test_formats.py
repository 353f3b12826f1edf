"""From pieces of files to events: envelopes, arrays, and what is broken in them."""

import json

import pytest

from holdfast.errors import Problem
from holdfast.receivers.formats import FORMATS, Piece, Ready, map_piece, split
from tests.receivers.mapped import stored


def mapped(name: str, data: bytes | str) -> list[Ready | Problem]:
    return list(
        map_piece(FORMATS[name], Piece(7, data.encode() if isinstance(data, str) else data))
    )


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("cloudtrail", '{"Records":[{"eventID":"1"},{"eventID":"2"}]}'),
        (
            "cloudtrail",
            '{ "a": {"Records": 1}, "Records" : [ {"eventID":"1"} , {"eventID":"2"} ] }',
        ),
        ("cloudtrail", '[{"eventID":"1"},{"eventID":"2"}]'),
        ("k8s", '{"kind":"EventList","items":[{"auditID":"1"},{"auditID":"2"}]}'),
        ("holdfast", '[{"id":"1","action":"a"},{"id":"2","action":"a"}]'),
    ],
)
def test_every_event_of_an_envelope_comes_out_with_its_place(name: str, data: str) -> None:
    found = mapped(name, data)

    assert [(event.line, event.place) for event in found if isinstance(event, Ready)] == [
        (7, "[0]"),
        (7, "[1]"),
    ]
    assert [stored(event.data)["id"] for event in found if isinstance(event, Ready)] == ["1", "2"]


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("cloudtrail", {"eventID": "1", "responseElements": {"Records": [1]}}),
        ("cloudtrail", {"eventID": "1", "Records": "none"}),
        ("k8s", {"auditID": "1", "responseObject": {"items": [{}]}}),
        ("ndjson", {"Records": [{}], "items": []}),
        ("holdfast", {"id": "1", "action": "a", "attributes": {"items": [{}]}}),
    ],
)
def test_an_event_that_merely_speaks_of_the_envelopes_key_stays_one(
    name: str, event: dict[str, object]
) -> None:
    (found,) = mapped(name, json.dumps(event))

    assert isinstance(found, Ready) and found.place == ""


@pytest.mark.parametrize(("name", "key"), [("cloudtrail", "Records"), ("k8s", "items")])
def test_an_empty_envelope_holds_no_event(name: str, key: str) -> None:
    assert mapped(name, f'{{"{key}":[]}}') == []


def test_elements_that_are_no_objects_are_named_and_the_others_are_taken() -> None:
    first, second, third = mapped("cloudtrail", '{"Records":[{"eventID":"1"},7,{"eventID":"3"}]}')

    assert isinstance(first, Ready) and isinstance(third, Ready)
    assert second == Problem(7, "[1]", "not a JSON object")


@pytest.mark.parametrize(
    "broken",
    [
        '{"Records":[{"eventID":"1"},{"eventID":"2"},{"eventI',
        '{"Records":[{"eventID":"1"},{"eventID":"2"} {',
        '{"Records":[{"eventID":"1"},{"eventID":"2"},',
        '[{"eventID":"1"},{"eventID":"2"}',
    ],
)
def test_what_stands_before_a_break_is_taken_and_the_break_is_named(broken: str) -> None:
    *found, problem = mapped("cloudtrail", broken)

    assert [stored(event.data)["id"] for event in found if isinstance(event, Ready)] == ["1", "2"]
    assert problem == Problem(7, "after [1]", "the list of events is broken off")


@pytest.mark.parametrize(
    "strange", [b'{"x":"\\ud800"}', b'{"x":"\xff"}', b'{"x":NaN}', b'{"x":"a\tb"}']
)
def test_one_strange_event_leaves_the_others_of_its_envelope_alone(strange: bytes) -> None:
    data = b'{"Records": [ {"eventID":"1","n":1.0} , %b , {"eventID":"3"} ] }' % strange

    first, second, third = mapped("cloudtrail", data)

    assert isinstance(first, Ready) and b'"payload":{"eventID":"1","n":1.0}' in first.data
    assert isinstance(second, Ready) and stored(second.data)["payload"]
    assert isinstance(third, Ready) and stored(third.data)["id"] == "3"


def test_the_elements_of_a_strange_envelope_come_out_byte_for_byte() -> None:
    strange = b'{"x":"\xff\\ud800 \xc3\xa9"}'

    assert list(split(b'{"Records":[%b]}' % strange, "Records")) == [(strange, "[0]")]


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_line_that_is_no_json_object_is_named(name: str) -> None:
    (problem,) = mapped(name, "type=SYSCALL msg=audit(1:2)")

    assert isinstance(problem, Problem)
    assert problem.line == 7 and problem.reason.startswith("not ")
