"""What a program asks: the handlers, in Litestar.

They read the parameters, ask, and hand bytes back; what is said is decided in `answers`, what goes
wrong is told by `problems`. A statement is taken before its question is asked, so that an answer
never claims more than it looked at.
"""

import asyncio
from typing import Any, Final, TypeVar
from urllib.parse import unquote

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.response import Stream

from holdfast.errors import Problem, RejectedError
from holdfast.serve import (
    alerts,
    answers,
    checkpoints,
    export,
    files,
    parameters,
    retention,
    schema,
    status,
    streamed,
    tail,
)
from holdfast.serve.faces import Faces
from holdfast.serve.parameters import Parameter, Value
from holdfast.serve.problems import KINDS, Reply, problem, type_uri

Asked = Request[Any, Any, State]
Kind = TypeVar("Kind")
_JSON: Final = "application/json"
_TEXT: Final = "text/plain"  # the framework adds the charset


def faces_of(request: Asked) -> Faces:
    """What the application was made with."""
    faces: Faces = request.app.state.faces
    return faces


def response(reply: Reply) -> Response[bytes]:
    """A whole answer, as the framework wants it."""
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    kind = headers.pop("content-type")
    return Response(reply.body, status_code=reply.status, headers=headers, media_type=kind)


def values_of(request: Asked, known: tuple[Parameter, ...]) -> dict[str, Value]:
    """The URL's parameters; see `parameters.parse`."""
    return parameters.parse(request.scope["query_string"], known)


@get("/v1/events")
async def search(request: Asked) -> Response[bytes]:
    faces = faces_of(request)
    query = parameters.query_of(values_of(request, parameters.SEARCH))
    said = faces.system.reader.completeness()
    page = await faces.bounds.ask(faces.system.reader.search(query))
    return _json(answers.write(answers.search_answer(page, said)))


@get("/v1/events/count")
async def count(request: Asked) -> Response[bytes]:
    faces = faces_of(request)
    wanted = parameters.counting_of(values_of(request, parameters.COUNT))
    said = faces.system.reader.completeness()
    counts = await faces.bounds.ask(
        faces.system.reader.count(wanted.query, wanted.by, wanted.bucket_us)
    )
    return _json(answers.write(answers.count_answer(wanted.by, counts, said)))


@get("/v1/events/export")
async def export_all(request: Asked) -> Stream:
    faces = faces_of(request)
    values = values_of(request, parameters.EXPORT)
    kind, query = str(values.get("format", "ndjson")), parameters.query_of(values)
    said = faces.system.reader.completeness()
    coming = export.pieces(faces.system, query, kind, faces.bounds)
    coming = streamed.bounded(coming, "exports", faces.bounds)
    first = await anext(coming)
    headers = {
        "content-disposition": f'attachment; filename="events.{kind}"',
        "holdfast-complete-through": answers.time_of(said.complete_through_us) or "unknown",
    }
    file = streamed.begun(first, coming)
    return Stream(file, media_type=files.MEDIA_TYPES[kind], headers=headers)


@get("/v1/export")
async def export_received(request: Asked) -> Stream:
    faces = faces_of(request)
    wanted = parameters.exporting_of(values_of(request, parameters.EXPORT_ALL))
    coming = faces.system.prover.exporter.file(*export.asked_of(wanted))
    coming = streamed.bounded(coming, "exports", faces.bounds)
    first = await faces.bounds.ask(anext(coming))
    headers = {"content-disposition": f'attachment; filename="events.{wanted.kind}"'}
    media_type = files.MEDIA_TYPES[wanted.kind]
    return Stream(streamed.begun(first, coming), media_type=media_type, headers=headers)


@get("/v1/export/receipt")
async def export_receipt(request: Asked) -> Response[bytes]:
    """At hand after the file was sent; else the file is made once more, in its own time."""
    faces = faces_of(request)
    wanted = parameters.exporting_of(values_of(request, parameters.RECEIPT))
    asked, begin, _ = export.asked_of(wanted)
    with faces.bounds.place("exports"):
        receipt = await faces.system.prover.exporter.receipt(asked, begin)
    return Response(receipt, media_type=_TEXT)


@get("/v1/events/{event_id:str}")
async def event(request: Asked) -> Response[bytes]:
    faces = faces_of(request)
    tenant = parameters.query_of(values_of(request, parameters.EVENT)).tenant
    said = faces.system.reader.completeness()
    found = await faces.bounds.ask(
        faces.system.reader.event(tenant, unquoted(request.path_params["event_id"]))
    )
    return _json(answers.write(answers.event_answer(found, said)))


@get("/v1/events/{event_id:str}/proof")
async def proof(request: Asked) -> Response[bytes]:
    faces = faces_of(request)
    which = parameters.proving_of(values_of(request, parameters.PROOF))
    id = unquoted(request.path_params["event_id"])
    prover = faces.system.prover
    return _json(await faces.bounds.ask(prover.event(which.tenant, id, which.node, which.position)))


@get("/v1/certificate")
async def certify(request: Asked) -> Stream:
    faces = faces_of(request)
    wanted = parameters.certifying_of(values_of(request, parameters.CERTIFICATE))
    coming = faces.system.prover.certifier.certificate(*wanted)
    coming = streamed.bounded(coming, "certificates", faces.bounds)
    first = await faces.bounds.ask(anext(coming))
    return Stream(streamed.begun(first, coming), media_type=files.MEDIA_TYPES["ndjson"])


@get("/v1/tail")
async def listen(request: Asked) -> Stream:
    faces = faces_of(request)
    query = parameters.query_of(values_of(request, parameters.TAIL))
    resumed = request.headers.get("last-event-id", "")
    faces.bounds.refuse_tail()
    found = faces.system.reader.tail(msgspec.structs.replace(query, cursor=resumed))
    stream = tail.messages(found, faces.system.reader.completeness, faces.bounds)
    return Stream(stream, media_type="text/event-stream")


@get("/v1/completeness")
async def completeness(request: Asked) -> Response[bytes]:
    values_of(request, parameters.NONE)
    said = faces_of(request).system.reader.completeness()
    return _json(answers.write(answers.completeness_answer(said)))


@get("/v1/status")
async def how(request: Asked) -> Response[bytes]:
    faces = faces_of(request)
    values_of(request, parameters.NONE)
    return _json(
        answers.write(status.status_answer(faces.system, faces.writers(), faces.alarms.report()))
    )


@get("/v1/alerts")
async def alerts_now(request: Asked) -> Response[bytes]:
    faces = faces_of(request)
    values_of(request, parameters.NONE)
    now_us = faces.system.host.now_us()
    return _json(answers.write(alerts.alerts_answer(faces.alarms.report(), now_us)))


@post("/v1/alerts/silences")
async def silence(request: Asked) -> Response[bytes]:
    """Only as JSON: a page from elsewhere cannot send that without asking first."""
    faces = faces_of(request)
    values_of(request, parameters.NONE)
    now_us = faces.system.host.now_us()
    sent = await request.body(), _media_type(request)
    wanted = alerts.silence_of(*sent, _principal(faces), now_us)
    await faces.alarms.silence(wanted)
    shown = answers.write(alerts.silence_shape(wanted, faces.alarms.report().book))
    return Response(shown, status_code=201, media_type=_JSON)


@get("/v1/holds")
async def holds(request: Asked) -> Response[bytes]:
    faces = faces_of(request)
    values_of(request, parameters.NONE)
    found = await faces.bounds.ask(faces.system.retention.holds.all())
    return _json(answers.write(retention.holds_answer(found)))


@post("/v1/holds")
async def hold(request: Asked) -> Response[bytes]:
    """Asked for, it is placed, also when nobody waits for the answer any more."""
    faces = faces_of(request)
    asked = await _body(request, retention.HoldWanted)
    wanted = retention.wanted_of(asked, _principal(faces))
    found = await asyncio.shield(faces.system.retention.holds.place(wanted))
    return _json(answers.write(retention.hold_shape(found)), 201)


@post("/v1/holds/{hold_id:str}/release")
async def release(request: Asked) -> Response[bytes]:
    faces = faces_of(request)
    asked = await _body(request, retention.ReleaseWanted)
    id, author = request.path_params["hold_id"], asked.author or _principal(faces)
    found = await asyncio.shield(faces.system.retention.holds.release(id, asked.reason, author))
    return _json(answers.write(retention.hold_shape(found)), 201)


@get("/v1/retention")
async def retaining(request: Asked) -> Response[bytes]:
    faces = faces_of(request)
    values_of(request, parameters.NONE)
    report = await faces.bounds.ask(faces.system.retention.plan())
    rules = faces.system.settings.retention
    return _json(answers.write(retention.retention_answer(report, rules)))


@post("/v1/retention/run")
async def expire(request: Asked) -> Response[bytes]:
    faces = faces_of(request)
    only = retention.only_of(await _body(request, retention.RunWanted))
    report = await asyncio.shield(faces.system.retention.expire(only))
    rules = faces.system.settings.retention
    return _json(answers.write(retention.retention_answer(report, rules)), 201)


@get("/v1/checkpoints")
async def newest(request: Asked) -> Response[bytes]:
    faces = faces_of(request)
    values_of(request, parameters.NONE)
    look = await faces.bounds.ask(faces.system.checkpoints.look())
    return _json(answers.write(checkpoints.checkpoints_answer(faces.system, look)))


@get("/v1/consistency")
async def consistency(request: Asked) -> Response[bytes]:
    faces = faces_of(request)
    asked = values_of(request, parameters.CONSISTENCY)
    answer = await faces.bounds.ask(checkpoints.consistency_answer(faces.system, asked))
    return _json(answers.write(answer))


@get("/healthz")
async def healthz() -> Response[bytes]:
    """The process lives: its event loop got as far as this."""
    return Response(b"ok\n", media_type=_TEXT)


@get("/readyz")
async def readyz(request: Asked) -> Response[bytes]:
    """It is of use: it can acknowledge events, or where it only reads, it can answer."""
    faces = faces_of(request)
    reasons = status.reasons_of(status.standing_of(faces.system, faces.writers()))
    if reasons:
        return response(problem("not-ready", "; ".join(reasons), reasons=reasons))
    return Response(b"ready\n", media_type=_TEXT)


@get("/metrics")
async def figures(request: Asked) -> Response[bytes]:
    text, media_type = faces_of(request).figures.page(request.headers.get("accept", ""))
    return Response(text, media_type=media_type)


@get("/schema")
async def openapi() -> Response[bytes]:
    return _json(schema.document())


@get("/problems/{kind:str}")
async def explain(request: Asked) -> Response[bytes]:
    """What a problem's `type` leads to."""
    kind: str = request.path_params["kind"]
    found = KINDS.get(kind)
    if found is None:
        return response(problem("not-found", "no such kind of problem"))
    lines = (f"{type_uri(kind)}: {found.title} (HTTP {found.status})", "", found.meaning, "")
    return Response("\n".join(lines).encode(), media_type=_TEXT)


def unquoted(part: str) -> str:
    """A part of the path, which `app` leaves percent-encoded: an event's id may hold a slash."""
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise RejectedError("bad-parameter", Problem(0, "id", "is not UTF-8")) from None


def _json(body: bytes, status_code: int = 200) -> Response[bytes]:
    return Response(body, status_code=status_code, media_type=_JSON)


def _principal(faces: Faces) -> str:
    return "token" if faces.asks_token else "loopback"


def _media_type(request: Asked) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _body(request: Asked, kind: type[Kind]) -> Kind:
    """What is asked for, as JSON only: a page from elsewhere cannot send that without asking first.

    Raises RejectedError.
    """
    values_of(request, parameters.NONE)
    return alerts.decoded(await request.body(), _media_type(request), kind)


HANDLERS: Final = (
    search,
    count,
    export_all,
    export_received,
    export_receipt,
    event,
    proof,
    certify,
    listen,
    completeness,
    how,
    alerts_now,
    silence,
    holds,
    hold,
    release,
    retaining,
    expire,
    newest,
    consistency,
    healthz,
    readyz,
    figures,
    openapi,
    explain,
)
