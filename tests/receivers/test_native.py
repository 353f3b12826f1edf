"""Our own events in files."""

import json
from hashlib import sha256

import pytest

from holdfast.errors import RejectedError
from holdfast.receivers.native import map_event
from holdfast.write.admit import admit
from tests.receivers.mapped import map_one


def test_an_event_with_an_id_is_sent_as_it_is() -> None:
    event = (
        b'{"action":"a","id":"1","time":"2026-01-01T00:00:00Z",'
        b'"attributes":{"n":1.0E+2,"s":"\\u00e9"}}'
    )

    assert map_event(event) == event


@pytest.mark.parametrize("spelled", ['{"action": "a"}', ' {"action":"a" } '])
def test_an_event_without_an_id_gets_the_hash_of_its_own_bytes(spelled: str) -> None:
    mapped = map_event(spelled.encode())

    id = "sha256:" + sha256(b'{"action":"a"}').hexdigest()
    assert mapped == f'{{"id":"{id}","action":"a"}}'.encode()


@pytest.mark.parametrize("time", ['"yesterday"', "1700000000", "null", '"2026-01-01 00:00:00"'])
def test_a_time_that_cannot_be_read_moves_to_the_attributes(time: str) -> None:
    event = map_one(
        "holdfast", f'{{"id":"1","time":{time},"action":"a","attributes":{{"k":1.0}}}}'.encode()
    )

    assert event == {"id": "1", "action": "a", "attributes": {"k": 1.0, "time": json.loads(time)}}


def test_an_attribute_of_that_name_is_not_lost() -> None:
    event = map_one("holdfast", {"id": "1", "time": "?", "action": "a", "attributes": {"time": 1}})

    assert event["attributes"] == {"time": 1, "time_as_sent": "?"}


@pytest.mark.parametrize(
    "event",
    [
        '{"id":"1","action":"a","action":"b","time":"?"}',
        '{"action":"a","action":"b"}',
        '{"id":"1","action":"a","time":"?","attributes":{"k":1,"k":1}}',
        '{"id":"1","action":"a","time":"?","attributes":[]}',
        '{"action":"a","received":"2026-01-01T00:00:00Z"}',
        "{}",
    ],
)
def test_what_the_server_must_refuse_is_left_for_it_to_refuse(event: str) -> None:
    mapped = map_event(event.encode())

    with pytest.raises(RejectedError):
        admit(mapped, "application/json")


@pytest.mark.parametrize("line", ["[1]", "text", '"text"', "{", "", '{"a":"\\ud800"}'])
def test_what_is_no_json_object_is_refused(line: str) -> None:
    with pytest.raises(RejectedError, match="not a JSON object"):
        map_event(line.encode())
