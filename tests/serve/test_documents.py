"""docs/API.md and /schema against the code, and all of them against real answers."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.serve import (
    alerts,
    answers,
    checkpoints,
    parameters,
    retention,
    schema,
    status,
)
from holdfast.serve.app import Answers
from holdfast.serve.problems import KINDS, type_uri
from holdfast.write.admit import MEDIA_TYPES
from tests.serve.running import EVENT, Running

PAGE = (Path(__file__).parents[2] / "docs" / "API.md").read_text(encoding="utf-8")
STATEMENT = "*the statement*"
SHAPES: dict[str, type[msgspec.Struct]] = {
    "GET /v1/events": answers.SearchAnswer,
    "GET /v1/events/count": answers.CountAnswer,
    "GET /v1/events/{id}": answers.EventAnswer,
    "GET /v1/completeness": answers.CompletenessAnswer,
    "GET /v1/status": status.StatusAnswer,
    "GET /v1/alerts": alerts.AlertsAnswer,
    "GET /v1/holds": retention.HoldsAnswer,
    "GET /v1/retention": retention.RetentionAnswer,
    "GET /v1/checkpoints": checkpoints.CheckpointsAnswer,
    "GET /v1/consistency": checkpoints.ConsistencyAnswer,
}


def section(title: str) -> str:
    """The text under a heading, up to the next one of any rank."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", PAGE, re.M | re.S)
    assert found, title
    return found[1]


def rows(text: str, head: str) -> list[str]:
    """First cells of the rows of each table whose first heading is `head`."""
    cells: list[str] = []
    for table in re.findall(rf"^\| {head} \|.*\n\| ---.*\n((?:\|.*\n)+)", text, re.M):
        cells += [row.split("|")[1].strip() for row in table.splitlines()]
    return cells


def keys_documented(title: str) -> set[str]:
    named = rows(section(title), "key")
    if STATEMENT in named:
        named += rows(section("The statement"), "key")
    return {each.strip("`") for each in named if each != STATEMENT}


def leaves(keys: set[str]) -> set[str]:
    """Keys that no other key lies below."""
    return {key for key in keys if not any(is_below(other, key) for other in keys)}


def is_below(key: str, above: str) -> bool:
    return key.startswith((above + ".", above + "[]"))


def keys_of_schema(shape: type[msgspec.Struct]) -> set[str]:
    (root,), parts = msgspec.json.schema_components((shape,), ref_template="{name}")

    def walk(node: dict[str, Any], path: str) -> Iterator[str]:
        yield path
        for option in node.get("anyOf", ()):
            yield from walk(option, path)
        part = parts.get(node.get("$ref", "").rpartition("/")[2], node)
        if "items" in part:
            yield from walk(part["items"], path + "[]")
        for name, inner in part.get("properties", {}).items():
            yield from walk(inner, f"{path}.{name}" if path else name)

    return leaves(set(walk(root, "")) - {""})


def keys_of_answer(answer: object, path: str = "") -> Iterator[str]:
    """Dotted keys, "[]" for elements of an array; nothing below elements whose keys vary."""
    if isinstance(answer, dict) and path not in ("events[]", "groups[]"):
        for name, inner in answer.items():
            yield from keys_of_answer(inner, f"{path}.{name}" if path else name)
    elif isinstance(answer, list) and answer:
        for each in answer:
            yield from keys_of_answer(each, path + "[]")
    else:
        yield path


@pytest.mark.parametrize("title", SHAPES)
def test_every_key_is_documented_and_no_other(title: str) -> None:
    assert leaves(keys_documented(title)) == keys_of_schema(SHAPES[title])


@pytest.mark.parametrize(
    "path",
    [
        "/v1/events",
        "/v1/events/count?by=action&bucket=1h",
        "/v1/events/documented",
        "/v1/completeness",
        "/v1/status",
        "/v1/alerts",
        "/v1/checkpoints",
    ],
)
def test_real_answers_hold_the_documented_keys(server: Running, path: str) -> None:
    server.post({**EVENT, "id": "documented"})
    title = "GET " + path.partition("?")[0].replace("/documented", "/{id}")

    answer = server.get(path).json()

    documented = keys_documented(title)
    for key in keys_of_answer(answer):
        assert key in documented or any(is_below(other, key) for other in documented)
    assert answer.keys() == {re.split(r"[.\[]", key)[0] for key in keys_documented(title)}


def test_elements_hold_what_is_documented(server: Running) -> None:
    server.post({**EVENT, "id": "whole", "tenant": "t", "payload": {"x": 1}, "payload_type": "y"})

    found = server.get("/v1/events/whole").json()["events"][0]

    event_fields = {row.strip("`") for row in rows(section("POST /v1/events"), "field")}
    places = {row.strip("`") for row in rows(section("Elements"), "key")}
    assert found.keys() <= event_fields | places
    assert found.keys() >= places - {"conflict"}


def test_an_acknowledgement_holds_what_is_documented(server: Running) -> None:
    taken = server.post(EVENT).json()

    assert taken.keys() == {row.strip("`") for row in rows(section("POST /v1/events"), "key")}


def test_a_proof_holds_what_is_documented(server: Running) -> None:
    server.post({**EVENT, "id": "proven"})
    server.wait_until(lambda: server.get("/v1/events/proven/proof").status_code == 200)

    found = server.get("/v1/events/proven/proof").json()

    assert list(found) == rows_of_keys("GET /v1/events/{id}/proof")
    assert (
        list(found)
        == json.loads(schema.document())["components"]["schemas"]["EventProof"]["required"]
    )


def rows_of_keys(title: str) -> list[str]:
    return [row.strip("`") for row in rows(section(title), "key")]


def test_a_problem_holds_what_is_documented(server: Running) -> None:
    refused = server.get("/v1/events?actr=1").json()

    assert set(keys_of_answer(refused)) <= keys_documented("Problems")


def test_every_problem_is_documented_with_its_status() -> None:
    listed = dict(re.findall(r"^\| `(/problems/[a-z-]+)` \| (\d+) \|$", PAGE, re.M))

    assert listed == {type_uri(kind): str(found.status) for kind, found in KINDS.items()}


def test_figures_to_alarm_on_are_there(server: Running) -> None:
    server.post(EVENT)
    server.wait_until(lambda: server.get("/v1/completeness").json()["complete_through"] is not None)

    figures = server.get("/metrics").text

    for name in re.findall(r"`(holdfast_\w+)", PAGE):
        assert re.search(rf"^{name}", figures, re.M) or name == "holdfast_", name


def test_every_parameter_is_documented() -> None:
    def named(title: str) -> set[str]:
        return set(re.findall(r"`(\w+)`", " ".join(rows(section(title), "parameter"))))

    assert named("GET /v1/events") == {each.name for each in parameters.SEARCH}
    assert named("GET /v1/events/count") == {each.name for each in parameters.COUNTING}
    assert named("GET /v1/consistency") == {each.name for each in parameters.CONSISTENCY}
    assert named("GET /v1/events/export") == {"format"}
    asked = {each.name for each in parameters.EXPORT_ALL}
    assert named("GET /v1/export") == {"from", "to", "format", "had", "had_sha256"}
    assert asked == named("GET /v1/export") | {each.name for each in parameters.FILTERS}
    assert named("GET /v1/certificate") == {each.name for each in parameters.CERTIFICATE}
    assert named("GET /v1/events/{id}/proof") == {each.name for each in parameters.PROOF}


def test_every_media_type_is_documented() -> None:
    assert all(f"`{each}`" in section("POST /v1/events") for each in MEDIA_TYPES)


def test_the_schema_is_served_and_names_every_route(server: Running) -> None:
    served = server.get("/schema").json()

    rest = server.server.front.rest
    assert isinstance(rest, Answers)
    routes = {route.path for route in rest.app.routes}
    described = {path.replace("holds/{id}", "holds/{hold_id:str}") for path in served["paths"]}
    described = {path.replace("{id}", "{event_id:str}") for path in described}
    described = {path.replace("{kind}", "{kind:str}") for path in described}
    assert served == json.loads(schema.document())
    assert routes - described == {"/holdfast.css", "/console.js", "/mark.svg"}
    assert described <= routes


def test_references_in_the_schema_lead_somewhere() -> None:
    text = schema.document().decode()
    components = json.loads(text)["components"]["schemas"]

    assert set(re.findall(r'"#/components/schemas/(\w+)"', text)) <= components.keys()
