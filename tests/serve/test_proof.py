"""GET /v1/events/{id}/proof, over a real node, reader and regions."""

from typing import Any

import httpx
import pytest

from tests.proof.proofs import checked
from tests.serve.running import EVENT, Running


def proof_of(server: Running, path: str) -> httpx.Response:
    """The proof, once the node's next heartbeat covers its segment."""
    server.wait_until(lambda: server.get(path).status_code != 503)
    return server.get(path)


def test_an_event_is_proven_within_a_heartbeat(server: Running) -> None:
    server.post({**EVENT, "id": "to/prove", "tenant": "acme"})

    answer = proof_of(server, "/v1/events/to%2Fprove/proof?tenant=acme")

    trail = server.get("/v1/status").json()["trail"]["id"]
    found, claims = checked(answer.content, trail)
    assert answer.headers["content-type"] == "application/json"
    assert not isinstance(found, Exception), found
    assert len(claims) == 6
    assert '"id":"to/prove"' in found.proof.record


def test_before_that_it_says_when_to_ask_again(server: Running) -> None:
    answers: list[httpx.Response] = []
    for number in range(20):  # one of them is asked between its segment and the next heartbeat
        server.post({**EVENT, "id": f"early-{number}"})
        answers.append(server.get(f"/v1/events/early-{number}/proof"))
        if answers[-1].status_code == 503:
            break

    assert answers[-1].status_code == 503
    assert answers[-1].json()["type"] == "/problems/unavailable"
    assert "heartbeat" in answers[-1].json()["detail"]
    assert int(answers[-1].headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/v1/events/none/proof", 404, "not-found"),
        ("/v1/events/in-two-tenants/proof", 409, "ambiguous"),
        ("/v1/events/in-two-tenants/proof?position=-1", 400, "bad-parameter"),
        ("/v1/events/in-two-tenants/proof?tenat=a", 400, "unknown-parameter"),
        ("/v1/events/%ff/proof", 400, "bad-parameter"),
    ],
)
def test_what_cannot_be_proven_is_told_as_a_problem(
    server: Running, path: str, status: int, kind: str
) -> None:
    for tenant in "ab":
        server.post({**EVENT, "id": "in-two-tenants", "tenant": tenant})

    answer: Any = server.get(path)

    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}")
    assert answer.headers["content-type"] == "application/problem+json"
