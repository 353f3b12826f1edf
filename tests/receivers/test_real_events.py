"""All the real events that are here, from the file to what the server would store."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from holdfast.errors import Problem
from holdfast.receivers.formats import Ready
from tests.receivers.mapped import EVENTS, map_file, stored

FILES = [
    ("cloudtrail", "cloudtrail/invictus_stratus_20230710.ndjson.gz", 2900, 2900),
    ("cloudtrail", "cloudtrail/panther_AWS_CloudTrail.ndjson.gz", 209, 149),
    ("cloudtrail", "cloudtrail/raw_logfile_1.json.gz", 29, 29),
    ("cloudtrail", "cloudtrail/raw_logfile_2.json.gz", 51, 51),
    ("cloudtrail", "cloudtrail/raw_logfile_3.json.gz", 13, 13),
    ("cloudtrail", "cloudtrail/raw_logfile_4.json.gz", 19, 19),
    ("k8s", "kubernetes/audit2rbac_demo.ndjson.gz", 19, 19),
    ("k8s", "kubernetes/panther_Amazon_EKS_Audit.ndjson.gz", 140, 0),
    ("k8s", "kubernetes/eventlist_webhook_body.json", 10, 10),
    ("ndjson", "cloudtrail/panther_AWS_CloudTrail.ndjson.gz", 209, 149),
    ("ndjson", "kubernetes/panther_Amazon_EKS_Audit.ndjson.gz", 140, 0),
]


def originals(path: Path) -> list[object]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    values = [json.loads(line) for line in data.splitlines() if line.strip()]
    first = values[0]
    return next((first[key] for key in ("Records", "items") if key in first), values)


@pytest.mark.parametrize(("name", "file", "count", "timed"), FILES)
def test_every_event_is_taken_with_its_original_in_it(
    name: str, file: str, count: int, timed: int
) -> None:
    found = list(map_file(name, EVENTS / file))

    events = [stored(event.data) for event in found if isinstance(event, Ready)]
    assert [event["payload"] for event in events] == originals(EVENTS / file)
    assert len(events) == len(found) == count
    assert sum("time" in event for event in events) == timed


@pytest.mark.parametrize(("name", "file", "count", "timed"), FILES)
def test_importing_a_file_again_makes_the_very_same_events(
    name: str, file: str, count: int, timed: int
) -> None:
    once, again = (list(map_file(name, EVENTS / file)) for _ in range(2))

    assert once == again


def test_no_time_is_lost_that_a_record_had() -> None:
    for found in map_file("cloudtrail", EVENTS / "cloudtrail/panther_AWS_CloudTrail.ndjson.gz"):
        assert not isinstance(found, Problem)
        event = stored(found.data)
        original = {key.lower(): value for key, value in event["payload"].items()}

        shown = event.get("time", event["attributes"].get("time"))
        assert shown == (original.get("eventtime") or None)


def test_real_cloudtrail_records_are_found_by_who_what_and_whereto() -> None:
    events = [
        stored(found.data)
        for found in map_file(
            "cloudtrail", EVENTS / "cloudtrail/invictus_stratus_20230710.ndjson.gz"
        )
        if isinstance(found, Ready)
    ]

    assert Counter(event["outcome"] for event in events) == {
        "success": 2600,
        "failure": 240,
        "denied": 60,
    }
    assert all(event["actor"]["id"] and event["source"]["ip"] for event in events)
    assert all(event["id"] == event["payload"]["eventID"] for event in events)
    assert sum("targets" in event for event in events) > 2000


def test_fixtures_that_repeat_an_audit_id_keep_it_with_other_content() -> None:
    events = [
        stored(found.data)
        for found in map_file("k8s", EVENTS / "kubernetes/panther_Amazon_EKS_Audit.ndjson.gz")
        if isinstance(found, Ready)
    ]

    ids = Counter(event["id"] for event in events)
    contents = {json.dumps(event, sort_keys=True) for event in events}
    assert max(ids.values()) > 1
    assert len(contents) > len(ids)


def test_what_impersonation_hides_is_shown() -> None:
    events = [
        stored(found.data)
        for found in map_file("k8s", EVENTS / "kubernetes/audit2rbac_demo.ndjson.gz")
        if isinstance(found, Ready)
    ]

    assert {event["actor"]["on_behalf_of"] for event in events} == {"system:admin"}
    assert Counter(event["actor"]["type"] for event in events).keys() == {"user", "serviceaccount"}
    assert "system:admin" not in {event["actor"]["id"] for event in events}
