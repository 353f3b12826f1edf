"""The OpenAPI document at /schema. Pure.

Written here rather than derived from handlers: the way in for events is not the framework's, and
the answers are bytes by the time that it sees them. The shapes come from `answers`, the parameters
from `parameters`; a test holds the paths against the routes, and another sends what it promises.
"""

from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import Final, get_type_hints

import msgspec

from holdfast import __version__
from holdfast.model import JsonObject
from holdfast.proof.event import EventProof
from holdfast.serve import parameters
from holdfast.serve.alerts import AlertsAnswer, SilenceWanted
from holdfast.serve.answers import (
    CompletenessAnswer,
    CountAnswer,
    EventAnswer,
    SearchAnswer,
)
from holdfast.serve.body import ENCODINGS
from holdfast.serve.checkpoints import CheckpointsAnswer, ConsistencyAnswer
from holdfast.serve.files import MEDIA_TYPES as FILES
from holdfast.serve.parameters import Parameter
from holdfast.serve.problems import KINDS, MEDIA_TYPE, type_uri
from holdfast.serve.retention import (
    HoldsAnswer,
    HoldWanted,
    ReleaseWanted,
    RetentionAnswer,
    RunWanted,
)
from holdfast.serve.status import StatusAnswer
from holdfast.write.admit import MEDIA_TYPES

_JSON: Final = "application/json"
_TEXT: Final[JsonObject] = {"type": "string"}

_JSON_TYPES: Final = {str: "string", int: "integer", bytes: "string", tuple[bytes, ...]: "array"}
_PROOF_FIELDS: Final = {
    each.name: get_type_hints(EventProof)[each.name] for each in fields(EventProof)
}
_PARTY: Final[JsonObject] = {
    "type": "object",
    "properties": {"type": _TEXT, "id": _TEXT, "name": _TEXT},
}
_EVENT_FIELDS: Final[JsonObject] = {
    "id": {"type": "string", "minLength": 1, "description": "The sender's idempotency id."},
    "time": {"type": "string", "description": "When it happened, RFC 3339; kept as sent."},
    "tenant": _TEXT,
    "actor": {**_PARTY, "description": "Who did it; may have more fields."},
    "action": {"type": "string", "minLength": 1, "description": "What was done."},
    "targets": {"type": "array", "items": {**_PARTY, "additionalProperties": False}},
    "outcome": {"enum": ["success", "failure", "denied", "unknown"]},
    "reason": _TEXT,
    "source": {
        "type": "object",
        "properties": {"ip": _TEXT, "user_agent": _TEXT, "host": _TEXT, "service": _TEXT},
        "additionalProperties": False,
    },
    "trace": {
        "type": "object",
        "properties": {"request_id": _TEXT, "trace_id": _TEXT, "session_id": _TEXT},
        "additionalProperties": False,
    },
    "severity": _TEXT,
    "attributes": {"type": "object", "description": "Anything that the fields do not say."},
    "producer": {
        "type": "object",
        "properties": {
            "id": {"type": "string", "minLength": 1},
            "seq": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
        },
        "required": ["id", "seq"],
        "additionalProperties": False,
        "description": "The sender's own dense numbering, by which a loss before us shows.",
    },
    "payload_type": {"type": "string", "minLength": 1},
    "payload_encoding": {"const": "base64"},
    "payload": {"description": "A foreign event; JSON is kept token for token."},
}
_EVENT: Final[JsonObject] = {
    "type": "object",
    "description": "An event as it is sent. Fields that are not named here are refused.",
    "properties": _EVENT_FIELDS,
    "required": ["action"],
    "additionalProperties": False,
}
_FOUND: Final[JsonObject] = {
    "type": "object",
    "description": "A record as it is stored, and where it lies.",
    "properties": {
        **_EVENT_FIELDS,
        "received": {"type": "string", "format": "date-time"},
        "principal": {"type": "string", "description": "Who submitted it."},
        "node": {"type": "string", "description": "The node in whose ledger it lies."},
        "segment": {"type": "integer", "description": "The segment's index there."},
        "position": {"type": "integer", "description": "The event's position there."},
        "conflict": {
            "const": True,
            "description": "There where another event has this tenant and id, but other content.",
        },
    },
    "required": ["id", "action", "received", "principal", "node", "segment", "position"],
}
_PROVEN: Final[JsonObject] = {
    "type": "object",
    "description": "docs/FORMAT.md, section 10: a file to keep as it is, byte for byte.",
    "properties": {
        EventProof.MARK[0]: {"const": EventProof.MARK[1]},
        **{name: {"type": _JSON_TYPES[kind]} for name, kind in _PROOF_FIELDS.items()},
    },
    "required": [EventProof.MARK[0], *_PROOF_FIELDS],
    "additionalProperties": False,
}
_TAKEN: Final[JsonObject] = {
    "type": "object",
    "description": "W regions hold the events.",
    "properties": {
        "segment": {"type": "string", "description": "The whole name of their segment."},
        "receipt": {"type": "string", "description": "A signed note that says so."},
        "regions": {"type": "array", "items": _TEXT},
        "ids": {"type": "array", "items": _TEXT, "description": "In the order of the request."},
    },
    "required": ["segment", "receipt", "regions", "ids"],
    "additionalProperties": False,
}
_PROBLEM: Final[JsonObject] = {
    "type": "object",
    "description": "RFC 9457. `type` never changes its meaning and is a path of this server.",
    "properties": {
        "type": {"enum": [type_uri(kind) for kind in KINDS]},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"line": {"type": "integer"}, "field": _TEXT, "reason": _TEXT},
                "required": ["line", "field", "reason"],
            },
        },
        "ids": {"type": "array", "items": _TEXT},
        "reasons": {"type": "array", "items": _TEXT},
        "incident": {"type": "integer"},
    },
    "required": ["type", "title", "status", "detail"],
}


@cache
def document() -> bytes:
    """The document, as JSON."""
    shapes = (
        *(SearchAnswer, CountAnswer, EventAnswer, CompletenessAnswer, StatusAnswer),
        *(CheckpointsAnswer, ConsistencyAnswer, AlertsAnswer, SilenceWanted),
        *(HoldsAnswer, HoldWanted, ReleaseWanted, RetentionAnswer, RunWanted),
    )
    _, schemas = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    schemas |= {"Event": _EVENT, "FoundEvent": _FOUND, "Taken": _TAKEN, "Problem": _PROBLEM}
    schemas["EventProof"] = _PROVEN
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Holdfast",
                "version": __version__,
                "description": "An audit trail that proves that it is complete. docs/API.md says "
                "more about every key.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "security": [{}, {"token": []}, {"basic": []}],
            "paths": _paths(),
            "components": {
                "schemas": schemas,
                "securitySchemes": {
                    "token": {"type": "http", "scheme": "bearer"},
                    "basic": {
                        "type": "http",
                        "scheme": "basic",
                        "description": "For browsers: the password is the token.",
                    },
                },
            },
        }
    )


def _retention_paths() -> JsonObject:
    return {
        "/v1/holds": {
            "get": _get("What must stay.", "HoldsAnswer", ()),
            "post": _stating("Hold some events.", "HoldWanted", "HoldShape"),
        },
        "/v1/holds/{id}/release": {
            "post": {
                **_stating("End a hold.", "ReleaseWanted", "HoldShape", 404),
                "parameters": [_parameter("id", "path", _TEXT, "Of the hold.")],
            }
        },
        "/v1/retention": {"get": _get("What would be let go.", "RetentionAnswer", ())},
        "/v1/retention/run": {
            "post": _stating("Let go what rules say.", "RunWanted", "RetentionAnswer", 423)
        },
    }


def _paths() -> JsonObject:
    return {
        "/v1/events": {
            "get": _get("Search, newest first.", "SearchAnswer", parameters.SEARCH),
            "post": _post(),
        },
        "/v1/events/count": {
            "get": _get("Count, in groups and over time.", "CountAnswer", parameters.COUNT)
        },
        "/v1/events/export": {
            "get": _export("All events that match, however many, as a file.", parameters.EXPORT)
        },
        "/v1/export": {
            "get": _export(
                "All records that match and were received in some time, as a file.",
                *(parameters.EXPORT_ALL, 409),
            )
        },
        "/v1/export/receipt": {"get": _receipt()},
        "/v1/events/{id}": {
            "get": _get("All events under an id.", "EventAnswer", parameters.EVENT, (_PATH_ID,))
        },
        "/v1/events/{id}/proof": {"get": _proof()},
        "/v1/certificate": {"get": _certificate()},
        "/v1/tail": {"get": _tail()},
        "/v1/completeness": {
            "get": _get("Through when everything is known.", "CompletenessAnswer", ())
        },
        "/v1/status": {"get": _get("How everything stands.", "StatusAnswer", ())},
        "/v1/alerts": {"get": _get("What is wrong, and what was.", "AlertsAnswer", ())},
        "/v1/alerts/silences": {"post": _silence()},
        **_retention_paths(),
        "/v1/checkpoints": {"get": _get("Each node's newest checkpoint.", "CheckpointsAnswer", ())},
        "/v1/consistency": {
            "get": _get(
                "A proof that a ledger only grew.", "ConsistencyAnswer", parameters.CONSISTENCY
            )
        },
        "/healthz": {"get": _free("The process lives.", "text/plain")},
        "/readyz": {"get": _free("It is of use.", "text/plain", 503)},
        "/metrics": {"get": _plain("Figures for Prometheus.", "text/plain", 401, 421)},
        "/schema": {"get": _plain("This document.", _JSON, 401, 421)},
        "/problems/{kind}": {
            "get": {
                **_plain("What a problem's `type` means.", "text/plain", 401, 404, 421),
                "parameters": [_parameter("kind", "path", {"enum": [*KINDS]}, "From a `type`.")],
            }
        },
        "/": {"get": _search_page()},
        "/events/{id}": {"get": _event_page()},
        "/alerts": {"get": _page("What is wrong, for people.", ())},
        "/regions": {"get": _page("The regions, for people.", parameters.SPAN)},
        "/completeness": {"get": _page("How far all is known, for people.", parameters.SPAN)},
        "/integrity": {"get": _page("What was looked at and found, for people.", ())},
        "/archive": {"get": _page("What is archived, and what came back, for people.", ())},
        "/retention": {"get": _page("Rules, holds, and what was let go, for people.", ())},
        "/report": {"get": _page("The audit report of a period.", parameters.VERIFYING)},
        "/integrity/verify": {"get": _page("Verify now, for people.", parameters.VERIFYING)},
    }


def _parameter(name: str, where: str, schema: JsonObject, meaning: str) -> JsonObject:
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "schema": schema,
        "description": meaning,
    }


_PATH_ID: Final = _parameter("id", "path", {"type": "string", "minLength": 1}, "The event's id.")
_LAST_ID: Final = _parameter(
    "Last-Event-ID", "header", _TEXT, "The `id` of the last message heard: go on behind it."
)


def _query(known: Sequence[Parameter]) -> list[JsonObject]:
    return [_parameter(each.name, "query", each.schema, each.meaning) for each in known]


def _problems(*statuses: int) -> JsonObject:
    titles: dict[int, list[str]] = {status: [] for status in statuses}
    for kind, (status, title, _) in KINDS.items():
        if status in titles:
            titles[status].append(f"{title} ({type_uri(kind)})")
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        str(status): {"description": "; ".join(titles[status]), "content": content}
        for status in sorted(titles)
    }


def _answer(description: str, shape: str) -> JsonObject:
    schema = {"$ref": f"#/components/schemas/{shape}"}
    return {"description": description, "content": {_JSON: {"schema": schema}}}


def _get(
    summary: str,
    shape: str,
    known: Sequence[Parameter],
    others: Sequence[JsonObject] = (),
) -> JsonObject:
    return {
        "summary": summary,
        "parameters": [*others, *_query(known)],
        "responses": {
            "200": _answer(summary, shape),
            **_problems(400, 401, 421, 500, 503),
        },
    }


def _proof() -> JsonObject:
    asked = _get(
        "Proof that an event is in the trail.", "EventProof", parameters.PROOF, (_PATH_ID,)
    )
    return {**asked, "responses": {**asked["responses"], **_problems(404, 409)}}


def _certificate() -> JsonObject:
    summary = "A file that proves that these are all events of a tenant received in some time."
    lines = {"description": "docs/FORMAT.md, section 10: to keep as it is.", "type": "string"}
    return {
        "summary": summary,
        "parameters": _query(parameters.CERTIFICATE),
        "responses": {
            "200": {"description": summary, "content": {FILES["ndjson"]: {"schema": lines}}},
            **_problems(400, 401, 409, 421, 500, 503),
        },
    }


def _export(summary: str, known: Sequence[Parameter], *statuses: int) -> JsonObject:
    kinds = {kind: {"schema": {"type": "string"}} for kind in FILES.values()}
    return {
        "summary": summary,
        "parameters": _query(known),
        "responses": {
            "200": {"description": summary, "content": kinds},
            **_problems(400, 401, *statuses, 421, 500, 503),
        },
    }


def _receipt() -> JsonObject:
    summary = "The receipt of that file: docs/FORMAT.md, section 5, to keep as it is."
    told = _plain(summary, "text/plain", 400, 401, 409, 421, 500, 503)
    return {**told, "parameters": _query(parameters.RECEIPT)}


def _plain(summary: str, media_type: str, *statuses: int) -> JsonObject:
    return {
        "summary": summary,
        "responses": {
            "200": {"description": summary, "content": {media_type: {"schema": {}}}},
            **_problems(*statuses),
        },
    }


def _free(summary: str, media_type: str, *statuses: int) -> JsonObject:
    return {**_plain(summary, media_type, *statuses), "security": [{}]}


def _page(summary: str, known: tuple[Parameter, ...]) -> JsonObject:
    """What is wrong with what was asked is told as a problem."""
    told = {"200": {"description": summary, "content": {"text/html": {"schema": {}}}}}
    codes = (400, 401, 421, 500) if known else (401, 421, 500)
    return {
        "summary": summary,
        "parameters": _query(known),
        "responses": {**told, **_problems(*codes)},
    }


def _search_page() -> JsonObject:
    """What is wrong with what was asked is said in the page itself."""
    page = _page("The search, for people.", parameters.PAGE)
    told = page["responses"]
    told["400"] = {**told["200"], "description": "The page; it says what is wrong."}
    told["503"] = {**told["200"], "description": "The page; it says why nothing can be searched."}
    return page


def _event_page() -> JsonObject:
    """What the question itself does wrong is told as a problem."""
    page = _page("One event with its proof, for people.", parameters.PROOF)
    page["parameters"] = [_PATH_ID, *page["parameters"]]
    told = page["responses"]
    told["404"] = {**told["200"], "description": "The page; it says that there is no such event."}
    return {**page, "responses": {**told, **_problems(503)}}


def _silence() -> JsonObject:
    return _asking("Tell nobody of some alerts for a while.", "SilenceWanted", "SilenceShape")


def _stating(summary: str, wanted: str, answer: str, *statuses: int) -> JsonObject:
    """What regions must take, and may refuse."""
    return _asking(summary, wanted, answer, *statuses, 503)


def _asking(summary: str, wanted: str, answer: str, *statuses: int) -> JsonObject:
    asked = {"$ref": f"#/components/schemas/{wanted}"}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {_JSON: {"schema": asked}}},
        "responses": {
            "201": _answer("Done.", answer),
            **_problems(400, 401, 413, 415, 421, 500, *statuses),
        },
    }


def _tail() -> JsonObject:
    summary = "Events as they are acknowledged here or seen in the regions, as server-sent events."
    stream = {"text/event-stream": {"schema": _TEXT}}
    return {
        "summary": summary,
        "parameters": [*_query(parameters.TAIL), _LAST_ID],
        "responses": {
            "200": {"description": summary, "content": stream},
            **_problems(400, 401, 421, 503),
        },
    }


def _post() -> JsonObject:
    one_or_more: JsonObject = {
        "oneOf": [
            {"$ref": "#/components/schemas/Event"},
            {"type": "array", "items": {"$ref": "#/components/schemas/Event"}},
        ]
    }
    lines: JsonObject = {"type": "string", "description": "An event a line."}
    return {
        "summary": "Make events durable: all of a request, or none.",
        "description": "201 comes after W regions hold the events and not before, so it takes at "
        "least the seal interval under load.",
        "parameters": [
            _parameter("Content-Encoding", "header", {"enum": [*ENCODINGS]}, "Of the body.")
        ],
        "requestBody": {
            "required": True,
            "content": {
                name: {"schema": one_or_more if name == _JSON else lines} for name in MEDIA_TYPES
            },
        },
        "responses": {
            "201": _answer("Acknowledged.", "Taken"),
            **_problems(400, 401, 408, 413, 415, 421, 431, 500, 503, 504),
        },
    }
