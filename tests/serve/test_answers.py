"""Answers as JSON: records as they were stored, and the statement under them."""

import json

from msgspec import Raw

from holdfast.model import Basis, Completeness, Counts, Found, Gap, Holding, Page
from holdfast.serve.answers import (
    completeness_answer,
    count_answer,
    element,
    event_answer,
    search_answer,
    write,
)

NODE = "ab" * 16
RECORD = b'{"id":"x","action":"a","payload":{"n":1.0e2,"n":[1,  2]},"received":"r","principal":"p"}'
SAID = Completeness(
    1_000_000,
    (Basis("a", 2_000_000, 3_000_000),),
    (Holding(NODE, "silent", "is slow", 4_000_000),),
    (Gap(NODE, 1, 2, 5_000_000, 6_000_000, "lost"),),
)
NOTHING = Completeness(None, (), (), ())


def test_a_record_is_spliced_in_as_it_was_stored() -> None:
    found = Found(Raw(RECORD), NODE, 7, 41)

    text = element(found)

    place = b',"node":"%b","segment":7,"position":41}' % NODE.encode()
    assert text == RECORD[:-1] + place
    assert write(search_answer(Page((found,), ""), SAID)).startswith(b'{"events":[' + text + b"],")


def test_only_a_conflict_says_so() -> None:
    plain = json.loads(element(Found(Raw(RECORD), NODE, 7, 41)))
    differing = json.loads(element(Found(Raw(RECORD), NODE, 7, 41, conflict=True)))

    assert "conflict" not in plain
    assert differing["conflict"] is True


def test_the_search_object_has_its_keys_in_order() -> None:
    answer = json.loads(write(search_answer(Page((), "more"), SAID)))

    told = ["complete_through", "basis", "holding_back", "gaps", "retained_out"]
    assert list(answer) == ["events", *told, "next"]
    assert answer["complete_through"] == "1970-01-01T00:00:01.000000Z"
    assert answer["next"] == "more"


def test_what_is_not_known_is_null_and_so_is_the_last_page() -> None:
    answer = json.loads(write(search_answer(Page((), ""), NOTHING)))

    assert answer["complete_through"] is None
    assert answer["next"] is None


def test_the_statement_names_regions_reasons_and_gaps() -> None:
    answer = json.loads(write(completeness_answer(SAID)))

    assert answer["basis"] == [
        {
            "region": "a",
            "listed_from": "1970-01-01T00:00:02.000000Z",
            "listed_to": "1970-01-01T00:00:03.000000Z",
        }
    ]
    assert answer["holding_back"] == [
        {
            "node": NODE,
            "kind": "silent",
            "reason": "is slow",
            "since": "1970-01-01T00:00:04.000000Z",
        }
    ]
    assert answer["gaps"] == [
        {
            "node": NODE,
            "start": 1,
            "end": 2,
            "from": "1970-01-01T00:00:05.000000Z",
            "to": "1970-01-01T00:00:06.000000Z",
            "cause": "lost",
        }
    ]


def test_counts_come_with_the_fields_they_are_grouped_by() -> None:
    counts = Counts(3, ((("login", "success"), 2), (("login", ""), 1)), ((60_000_000, 3),))

    answer = json.loads(write(count_answer(("action", "outcome"), counts, SAID)))

    assert list(answer)[:3] == ["count", "groups", "histogram"]
    assert answer["groups"] == [
        {"action": "login", "outcome": "success", "count": 2},
        {"action": "login", "outcome": "", "count": 1},
    ]
    assert answer["histogram"] == [{"from": "1970-01-01T00:01:00.000000Z", "count": 3}]


def test_an_id_that_nobody_knows_is_an_empty_list_over_the_statement() -> None:
    answer = json.loads(write(event_answer((), SAID)))

    assert answer["events"] == []
    assert answer["complete_through"]
