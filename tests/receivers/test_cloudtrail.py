"""CloudTrail records, field by field."""

import json
from hashlib import sha256

import pytest

from tests.receivers.mapped import map_one

RECORD = {
    "eventVersion": "1.08",
    "userIdentity": {
        "type": "AssumedRole",
        "principalId": "AROA:me",
        "arn": "arn:aws:sts::111122223333:assumed-role/admin/me",
        "accountId": "111122223333",
        "accessKeyId": "ASIA1",
        "sessionContext": {
            "sessionIssuer": {"arn": "arn:aws:iam::111122223333:role/admin", "userName": "admin"}
        },
    },
    "eventTime": "2023-07-10T11:42:36Z",
    "eventSource": "s3.amazonaws.com",
    "eventName": "GetObject",
    "awsRegion": "us-east-1",
    "sourceIPAddress": "10.0.0.7",
    "userAgent": "aws-cli",
    "requestParameters": {"bucketName": "b", "key": "k/1", "Host": "b.s3.amazonaws.com"},
    "responseElements": None,
    "requestID": "R1",
    "eventID": "293ba626-3be5-4a26-ab1b-0f4c54f49959",
    "readOnly": True,
    "recipientAccountId": "444455556666",
}


def changed(**fields: object) -> dict[str, object]:
    return {name: value for name, value in (RECORD | fields).items() if value != "absent"}


def test_a_whole_record_is_mapped() -> None:
    event = map_one("cloudtrail", RECORD)

    assert event.pop("payload") == RECORD
    assert event == {
        "id": "293ba626-3be5-4a26-ab1b-0f4c54f49959",
        "time": "2023-07-10T11:42:36Z",
        "actor": {
            "type": "AssumedRole",
            "id": "arn:aws:sts::111122223333:assumed-role/admin/me",
            "name": "admin",
            "account": "111122223333",
            "on_behalf_of": "arn:aws:iam::111122223333:role/admin",
        },
        "action": "s3.amazonaws.com:GetObject",
        "targets": [{"type": "bucket", "id": "b"}, {"type": "key", "id": "k/1"}],
        "outcome": "success",
        "source": {"ip": "10.0.0.7", "user_agent": "aws-cli"},
        "trace": {"request_id": "R1", "session_id": "ASIA1"},
        "attributes": {
            "awsRegion": "us-east-1",
            "recipientAccountId": "444455556666",
            "readOnly": True,
        },
        "payload_type": "aws.cloudtrail",
    }


def test_the_account_becomes_the_tenant_only_where_that_is_wanted() -> None:
    assert "tenant" not in map_one("cloudtrail", RECORD)
    assert map_one("cloudtrail", RECORD, account_as_tenant=True)["tenant"] == "444455556666"
    assert (
        map_one("cloudtrail", changed(recipientAccountId=None), account_as_tenant=True)["tenant"]
        == "111122223333"
    )


@pytest.mark.parametrize(
    ("identity", "id"),
    [
        ({"type": "Root", "principalId": "P", "arn": "A"}, "A"),
        ({"type": "AWSAccount", "principalId": "P"}, "P"),
        ({"type": "AWSService", "invokedBy": "config.amazonaws.com"}, "config.amazonaws.com"),
        ({"type": "AWSService", "arn": None, "principalId": ""}, None),
        ("None", None),
        (None, None),
        ([1], None),
    ],
)
def test_the_actor_is_the_best_name_that_there_is(identity: object, id: str | None) -> None:
    event = map_one("cloudtrail", changed(userIdentity=identity))

    assert event.get("actor", {}).get("id") == id


@pytest.mark.parametrize(
    ("fields", "outcome", "reason"),
    [
        ({}, "success", None),
        ({"errorCode": None}, "success", None),
        ({"errorCode": "AccessDenied", "errorMessage": "no"}, "denied", "AccessDenied: no"),
        ({"errorCode": "Client.UnauthorizedOperation"}, "denied", "Client.UnauthorizedOperation"),
        ({"errorCode": "UnauthorizedOperation"}, "denied", "UnauthorizedOperation"),
        ({"errorCode": "NoSuchEntity"}, "failure", "NoSuchEntity"),
        ({"errorCode": 404}, "failure", "404"),
        ({"responseElements": {"ConsoleLogin": "Success"}}, "success", None),
        (
            {"responseElements": {"ConsoleLogin": "Failure"}, "errorMessage": "Failed"},
            "failure",
            "Failed",
        ),
    ],
)
def test_the_outcome_is_read_from_the_error(
    fields: dict[str, object], outcome: str, reason: str | None
) -> None:
    event = map_one("cloudtrail", changed(**fields))

    assert (event["outcome"], event.get("reason")) == (outcome, reason)


@pytest.mark.parametrize(
    ("fields", "targets"),
    [
        (
            {"resources": [{"ARN": "arn:1", "type": "AWS::S3::Bucket", "accountId": "1"}, {}, "x"]},
            [{"type": "AWS::S3::Bucket", "id": "arn:1"}],
        ),
        ({"resources": {"arn": "arn:2"}}, [{"id": "arn:2"}]),
        (
            {"requestParameters": {"roleArn": "r", "name": "n"}},
            [{"type": "role", "id": "r"}, {"id": "n"}],
        ),
        (
            {"requestParameters": {"instancesSet": {"items": [{"instanceId": "i-1"}]}}},
            [{"type": "instance", "id": "i-1"}],
        ),
        (
            {"requestParameters": None, "responseElements": {"volumeId": "v", "requestId": "r"}},
            [{"type": "volume", "id": "v"}],
        ),
        ({"requestParameters": "text"}, None),
        ({"requestParameters": {"instanceId": {"deep": 1}, "userName": ""}}, None),
    ],
)
def test_targets_come_from_the_first_place_that_has_any(
    fields: dict[str, object], targets: object
) -> None:
    assert map_one("cloudtrail", changed(**fields)).get("targets") == targets


def test_a_source_that_is_a_service_stays_as_it_is() -> None:
    event = map_one("cloudtrail", changed(sourceIPAddress="health.amazonaws.com"))

    assert event["source"]["ip"] == "health.amazonaws.com"


@pytest.mark.parametrize(
    "time",
    ["...", "redacted", "2025-01-21 17:39:10.000000000", "2023-07-10T11:42:036Z", 1688989356],
)
def test_a_time_that_cannot_be_read_moves_to_the_attributes(time: object) -> None:
    event = map_one("cloudtrail", changed(eventTime=time))

    assert "time" not in event
    assert event["attributes"]["time"] == time


def test_the_time_of_a_hop_helps_where_the_records_own_is_lost() -> None:
    absent = map_one(
        "cloudtrail", changed(eventTime="absent") | {"@timestamp": "2023-07-10T11:42:36.000Z"}
    )
    broken = map_one(
        "cloudtrail", changed(eventTime="?") | {"@timestamp": "2023-07-10T11:42:36.000Z"}
    )

    assert absent["time"] == broken["time"] == "2023-07-10T11:42:36.000Z"
    assert "time" not in absent["attributes"]
    assert broken["attributes"]["time"] == "?"


def test_keys_whose_case_a_hop_has_changed_are_found() -> None:
    lowered = {name.lower(): value for name, value in RECORD.items()}

    event = map_one("cloudtrail", lowered)

    assert event["id"] == RECORD["eventID"]
    assert event["time"] == RECORD["eventTime"]
    assert event["action"] == "s3.amazonaws.com:GetObject"
    assert event["actor"]["type"] == "AssumedRole"


@pytest.mark.parametrize("id", ["absent", None, "", {"a": 1}, "x" * 257])
def test_without_a_usable_id_the_hash_of_the_payload_is_the_id(id: object) -> None:
    record = changed(eventID=id)
    compact = json.dumps(record, separators=(",", ":")).encode()

    spaced = map_one("cloudtrail", json.dumps(record, indent=1).encode())

    assert spaced["id"] == f"sha256:{sha256(compact).hexdigest()}"


def test_a_record_inside_an_eventbridge_event_is_found() -> None:
    bridged = {"version": "0", "detail-type": "AWS API Call via CloudTrail", "detail": RECORD}

    event = map_one("cloudtrail", bridged)

    assert event["id"] == RECORD["eventID"]
    assert event["payload"] == bridged


def test_an_empty_record_is_still_an_event() -> None:
    event = map_one("cloudtrail", {})

    assert event["action"] == "unknown"
    assert event["payload"] == {}


def test_no_more_than_sixteen_targets_are_named() -> None:
    resources = [{"ARN": f"arn:{number}"} for number in range(40)]

    assert len(map_one("cloudtrail", changed(resources=resources))["targets"]) == 16


def test_what_is_no_text_is_no_field() -> None:
    event = map_one("cloudtrail", changed(userAgent=True, sourceIPAddress=["10.0.0.1"]))

    assert "source" not in event
