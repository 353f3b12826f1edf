"""Kubernetes audit events, field by field."""

import pytest

from tests.receivers.mapped import map_one

EVENT = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "level": "Request",
    "auditID": "a-1",
    "stage": "ResponseComplete",
    "requestURI": "/api/v1/namespaces/prod/pods/web/exec?command=sh",
    "verb": "create",
    "user": {"username": "alice", "uid": "u-1", "groups": ["dev", "system:authenticated"]},
    "sourceIPs": ["203.0.113.9", "10.0.0.1", "10.0.0.2"],
    "userAgent": "kubectl/v1.34",
    "objectRef": {
        "resource": "pods",
        "namespace": "prod",
        "name": "web",
        "apiVersion": "v1",
        "subresource": "exec",
    },
    "responseStatus": {"metadata": {}, "code": 101},
    "requestReceivedTimestamp": "2025-08-26T17:40:49.320496Z",
    "stageTimestamp": "2025-08-26T17:40:50.000001Z",
    "annotations": {"authorization.k8s.io/decision": "allow"},
}


def changed(**fields: object) -> dict[str, object]:
    return {name: value for name, value in (EVENT | fields).items() if value != "absent"}


def test_a_whole_event_is_mapped() -> None:
    event = map_one("k8s", EVENT)

    assert event.pop("payload") == EVENT
    assert event == {
        "id": "a-1:ResponseComplete",
        "time": "2025-08-26T17:40:49.320496Z",
        "actor": {
            "type": "user",
            "id": "alice",
            "uid": "u-1",
            "groups": ["dev", "system:authenticated"],
        },
        "action": "create pods/exec",
        "targets": [{"type": "pods/exec", "id": "prod/web", "name": "web"}],
        "outcome": "success",
        "source": {"ip": "203.0.113.9", "user_agent": "kubectl/v1.34"},
        "trace": {"request_id": "a-1"},
        "attributes": {
            "stage": "ResponseComplete",
            "level": "Request",
            "namespace": "prod",
            "decision": "allow",
            "proxies": ["10.0.0.1", "10.0.0.2"],
        },
        "payload_type": "k8s.audit",
    }


def test_the_stages_of_one_request_are_events_of_their_own() -> None:
    ids = {map_one("k8s", changed(stage=stage))["id"] for stage in ("RequestReceived", "Panic")}

    assert ids == {"a-1:RequestReceived", "a-1:Panic"}


def test_without_an_audit_id_the_hash_is_the_id_whatever_the_stage() -> None:
    assert map_one("k8s", changed(auditID="absent"))["id"].startswith("sha256:")
    assert map_one("k8s", changed(stage="absent"))["id"] == "a-1"


@pytest.mark.parametrize(
    ("name", "type"),
    [
        ("system:serviceaccount:prod:web", "serviceaccount"),
        ("system:node:n1", "node"),
        ("system:anonymous", "anonymous"),
        ("system:kube-scheduler", "user"),
        ("bob@example.com", "user"),
    ],
)
def test_the_kind_of_actor_shows_in_the_name(name: str, type: str) -> None:
    event = map_one("k8s", changed(user={"username": name}))

    assert event["actor"] == {"type": type, "id": name}


def test_who_is_impersonated_is_the_actor_and_the_user_stands_behind() -> None:
    event = map_one("k8s", changed(impersonatedUser={"username": "bob", "groups": ["g"]}))

    assert event["actor"] == {"type": "user", "id": "bob", "on_behalf_of": "alice", "groups": ["g"]}


@pytest.mark.parametrize(
    ("status", "annotations", "outcome"),
    [
        ({"code": 200}, None, "success"),
        ({"code": 304}, None, "success"),
        ({"code": 403}, None, "denied"),
        ({"code": 401}, None, "denied"),
        ({"code": 404}, None, "failure"),
        ({"code": "409"}, None, "failure"),
        ({"code": "many"}, None, "unknown"),
        ({"status": "Failure"}, None, "failure"),
        (None, None, "unknown"),
        (None, {"authorization.k8s.io/decision": "allow"}, "unknown"),
        (None, {"authorization.k8s.io/decision": "forbid"}, "denied"),
    ],
)
def test_the_outcome_is_the_servers_status(
    status: object, annotations: object, outcome: str
) -> None:
    event = map_one("k8s", changed(responseStatus=status, annotations=annotations))

    assert event["outcome"] == outcome


@pytest.mark.parametrize(
    ("fields", "action", "targets"),
    [
        (
            {"objectRef": {"resource": "deployments", "apiGroup": "apps", "namespace": "p"}},
            "create deployments",
            [{"type": "deployments.apps", "id": "p"}],
        ),
        ({"objectRef": {"resource": "nodes"}}, "create nodes", [{"type": "nodes"}]),
        (
            {"objectRef": "absent", "requestURI": "/healthz"},
            "create",
            [{"type": "uri", "id": "/healthz"}],
        ),
        ({"objectRef": None, "requestURI": None}, "create", None),
        ({"verb": "absent"}, "pods/exec", [{"type": "pods/exec", "id": "prod/web", "name": "web"}]),
    ],
)
def test_action_and_target_name_the_object(
    fields: dict[str, object], action: str, targets: object
) -> None:
    event = map_one("k8s", changed(**fields))

    assert (event["action"], event.get("targets")) == (action, targets)


def test_times_of_old_clusters_are_found() -> None:
    old = changed(requestReceivedTimestamp="absent", stageTimestamp="absent")

    first = map_one("k8s", old | {"timestamp": "2017-09-11T19:55:05Z"})
    second = map_one("k8s", old | {"metadata": {"creationTimestamp": "2017-09-11T19:55:06Z"}})

    assert first["time"] == "2017-09-11T19:55:05Z"
    assert second["time"] == "2017-09-11T19:55:06Z"


def test_a_time_without_a_zone_moves_to_the_attributes_unless_another_can_be_read() -> None:
    none = map_one(
        "k8s",
        changed(requestReceivedTimestamp="2022-11-29 00:09:04.38", stageTimestamp="absent"),
    )
    other = map_one("k8s", changed(requestReceivedTimestamp="2022-11-29 00:09:04.38"))
    two = map_one("k8s", changed(requestReceivedTimestamp="first", stageTimestamp="second"))

    assert two["attributes"]["time"] == "first"
    assert "time" not in none
    assert other["time"] == EVENT["stageTimestamp"]
    assert none["attributes"]["time"] == other["attributes"]["time"] == "2022-11-29 00:09:04.38"


@pytest.mark.parametrize(
    "event",
    [{}, {"user": []}, {"sourceIPs": "10.0.0.1"}, {"objectRef": "x"}, {"responseStatus": [1]}],
)
def test_an_event_of_odd_shape_is_still_an_event(event: dict[str, object]) -> None:
    assert map_one("k8s", event)["payload"] == event
