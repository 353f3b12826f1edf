"""What is admitted, what is stored for it, and what is refused with which words."""

import json

import pytest

from holdfast.errors import Problem, RejectedError
from holdfast.write.admit import Limits, admit

JSON = "application/json"
NDJSON = "application/x-ndjson"

WHOLE = {
    "payload": {"any": ["thing"]},
    "payload_type": "example.thing",
    "producer": {"id": "web-1", "seq": 7},
    "attributes": {"region": "eu", "n": 1.5},
    "severity": "info",
    "trace": {"request_id": "r", "trace_id": "t", "session_id": "s"},
    "source": {"ip": "10.0.0.1", "user_agent": "curl", "host": "h", "service": "api"},
    "reason": "because",
    "outcome": "success",
    "targets": [{"type": "doc", "id": "7", "name": "seven"}, {}],
    "action": "doc.read",
    "actor": {"type": "user", "id": "u1", "name": "Ünï", "groups": ["a", {"b": None}]},
    "tenant": "acme",
    "time": "2026-11-24T10:00:00Z",
    "id": "e-1",
}


def refused(
    body: bytes | str, content_type: str = JSON, limits: Limits | None = None
) -> RejectedError:
    data = body.encode() if isinstance(body, str) else body
    with pytest.raises(RejectedError) as caught:
        admit(data, content_type, limits or Limits())
    return caught.value


def admitted_line(body: str) -> str:
    return admit(body.encode(), JSON).lines[0].decode()


def test_every_field_comes_out_in_the_order_of_the_format() -> None:
    line = admit(json.dumps(WHOLE).encode(), JSON).lines[0]

    assert json.loads(line) == WHOLE
    assert list(json.loads(line)) == [
        *("id", "time", "tenant", "actor", "action", "targets", "outcome", "reason", "source"),
        *("trace", "severity", "attributes", "producer", "payload_type", "payload"),
    ]


def test_space_outside_strings_goes_and_inside_stays() -> None:
    line = admitted_line(
        ' {\t"action" : "a b" ,\r\n "attributes" : { "k" : [ 1 , " x " ] } ,'
        ' "actor": {"n" :\t{}}, "payload_type":"t", "payload" : [ " y " , { } ] } \n'
    )

    assert line == (
        '{"actor":{"n":{}},"action":"a b","attributes":{"k":[1," x "]},'
        '"payload_type":"t","payload":[" y ",{}]}'
    )


@pytest.mark.parametrize("part", ["actor", "attributes", "payload"])
def test_space_inside_one_part_of_a_compact_line_goes_too(part: str) -> None:
    kind = '"payload_type":"t",' if part == "payload" else ""

    line = admitted_line(f'{{"action":"a",{kind}"{part}":{{"k":[1 ,2]}}}}')

    assert f'"{part}":{{"k":[1,2]}}' in line


def test_fields_that_were_not_sent_are_not_stored() -> None:
    assert admitted_line('{"action":"a"}') == '{"action":"a"}'


@pytest.mark.parametrize("part", ["actor", "attributes", "payload"])
def test_tokens_are_kept_as_they_were_spelled(part: str) -> None:
    tokens = (
        r'{"a":1.0E+2,"b":12345678901234567890123,"c":-0,"d":1e400,"e":0.10,"f":-0.0,'
        r'"g":"\u00e9\/\u001F\ud83d\ude00","h":' + "9" * 5000 + "}"
    )
    kind = '"payload_type":"t",' if part == "payload" else ""

    line = admitted_line(f'{{"action":"a",{kind}"{part}":{tokens}}}')

    assert line.endswith(f'"{part}":{tokens}}}') or f'"{part}":{tokens},' in line


def test_repeated_keys_survive_inside_a_payload() -> None:
    payload = '{"a":1,"a":{"b":2,"b":2},"payload":1,"payload":2}'

    line = admitted_line(f'{{"action":"a","payload_type":"t","payload":{payload}}}')

    assert line.endswith(f'"payload":{payload}}}')


@pytest.mark.parametrize(
    ("payload", "more"),
    [
        ("null", ""),
        ("5", ""),
        ('"plain text"', ""),
        ('"aGVsZA=="', ',"payload_encoding":"base64"'),
        ('"aGV\\u0073ZA=="', ',"payload_encoding":"base64"'),
    ],
)
def test_a_payload_may_be_any_json_value_text_or_base64(payload: str, more: str) -> None:
    line = admitted_line(f'{{"payload":{payload},"action":"a","payload_type":"t"{more}}}')

    assert line.endswith(f'"payload":{payload}}}')


def test_a_sealed_value_may_stand_among_the_attributes() -> None:
    line = '{"action":"a","attributes":{"email":{"$enc":{"k":"1","c":"x"}},"l":[{"$enc":{}}]}}'

    assert admitted_line(line) == line


def test_tenants_and_ids_are_handed_on_beside_the_lines() -> None:
    body = b'{"action":"a"}\n{"action":"b","tenant":"t","id":"i"}\n{"action":"c","tenant":""}'

    admitted = admit(body, NDJSON)

    assert admitted.tenants == ("", "t", "")
    assert admitted.ids == ("", "i", "")
    assert admitted.size_bytes == sum(map(len, admitted.lines)) <= len(body)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", '{"action":"a"}'),
        ("Application/JSON; Charset=UTF-8", ' [{"action":"a"}]'),
        ('application/json;charset="utf-8"', '{"action":"a"}'),
        ("application/x-ndjson", '{"action":"a"}'),
        ("application/x-ndjson", '\n{"action":"a"}\r\n\n  \n'),
        ("application/jsonl", '{"action":"a"}\n'),
        ("application/ndjson; charset=utf8", '{"action":"a"}\n'),
    ],
)
def test_every_kind_of_body_is_read(content_type: str, body: str) -> None:
    assert admit(body.encode(), content_type).lines == (b'{"action":"a"}',)


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/xml", "application/json; charset=latin-1", "application/jsonx"],
)
def test_another_kind_of_body_is_refused_as_such(content_type: str) -> None:
    error = refused('{"action":"a"}', content_type)

    assert error.kind == "unsupported-media-type"


def test_lines_keep_their_order_when_some_need_a_closer_look() -> None:
    lines = [
        json.dumps({"action": f"a{index}", "reason": "é" if index % 7 == 0 else "e"})
        for index in range(300)
    ]

    admitted = admit("\n".join(lines).encode(), NDJSON)

    assert [json.loads(line)["action"] for line in admitted.lines] == [f"a{n}" for n in range(300)]


REFUSALS = [
    ("{}", "action", "missing"),
    ('{"action":""}', "action", "must not be empty"),
    ('{"action":5}', "action", "must be a string, not a whole number"),
    ('{"action":null}', "action", "not null: leave it out"),
    ('{"action":"holdfast.node.started"}', "action", "reserved"),
    ('{"action":"a","foo":1}', "foo", "unknown field"),
    ('{"action":"a","received":"2026-11-24T10:00:00Z"}', "received", "set by the server"),
    ('{"action":"a","principal":"me"}', "principal", "set by the server"),
    ('{"action":"a","source":{"port":1}}', "source.port", "unknown field"),
    ('{"action":"a","source":{"ip":""}}', "source.ip", "must not be empty"),
    ('{"action":"a","trace":{"span":"x"}}', "trace.span", "unknown field"),
    ('{"action":"a","targets":[{"id":"x"},{"kind":"x"}]}', "targets[1].kind", "unknown field"),
    ('{"action":"a","targets":[{"id":7}]}', "targets[0].id", "must be a string"),
    ('{"action":"a","targets":{"id":"7"}}', "targets", "must be an array, not an object"),
    ('{"action":"a","producer":{"id":"p"}}', "producer.seq", "missing"),
    ('{"action":"a","producer":{"id":"p","seq":-1}}', "producer.seq", ">= 0"),
    ('{"action":"a","producer":{"id":"p","seq":1.0}}', "producer.seq", "whole number"),
    ('{"action":"a","producer":{"id":"p","seq":1,"x":1}}', "producer.x", "unknown field"),
    ('{"action":"a","outcome":"ok"}', "outcome", "one of success, failure, denied, unknown"),
    ('{"action":"a","time":"yesterday"}', "time", "not RFC 3339"),
    ('{"action":"a","time":"2026-11-24T10:00:00"}', "time", "no time zone"),
    ('{"action":"a","time":"2026-02-30T10:00:00Z"}', "time", "no such day"),
    ('{"action":"a","time":"2026-11-24T10:00:00+0200"}', "time", "not RFC 3339"),
    ('{"action":"a","time":""}', "time", "not RFC 3339"),
    ('{"action":"a","time":1764000000}', "time", "must be a string"),
    ('{"action":"a","id":""}', "id", "must not be empty"),
    ('{"action":"a","actor":"me"}', "actor", "must be an object"),
    ('{"action":"a","actor":{"id":7}}', "actor.id", "must be a string"),
    ('{"action":"a","attributes":[]}', "attributes", "must be an object"),
    ('{"action":"a","attributes":null}', "attributes", "must be an object"),
    ('{"action":"a","attributes":{"x":{"$enc":1}}}', "attributes.x.$enc", "reserved"),
    ('{"action":"a","attributes":{"$enc":{},"b":1}}', "attributes.$enc", "reserved"),
    ('{"action":"a","attributes":{"\\u0024enc":1}}', "attributes.$enc", "reserved"),
    ('{"action":"a","payload":1}', "payload_type", "missing"),
    ('{"action":"a","payload":1,"payload_type":""}', "payload_type", "must not be empty"),
    ('{"action":"a","payload_type":"t"}', "payload_type", "no payload"),
    ('{"action":"a","payload_encoding":"base64"}', "payload_encoding", "no payload"),
    (
        '{"action":"a","payload":"!","payload_type":"t","payload_encoding":"base64"}',
        "payload",
        "base64",
    ),
    (
        '{"action":"a","payload":{},"payload_type":"t","payload_encoding":"base64"}',
        "payload",
        "base64",
    ),
    (
        '{"action":"a","payload":"","payload_type":"t","payload_encoding":"hex"}',
        "payload_encoding",
        "base64",
    ),
    ("[1]", "", "must be an object"),
    ('"text"', "", "must be an object"),
    ("null", "", "must be an object"),
    ("", "", "no event"),
    ("[]", "", "no event"),
    (" ", "", "no event"),
    ('{"action":"a"', "", "not JSON"),
    ('{"action":"a"}}', "", "not JSON"),
    ('{"action":"a"}{"action":"b"}', "", "not JSON"),
    ('[{"action":"a"},', "", "not JSON"),
    ("{'action':'a'}", "", "not JSON"),
    ('{"action":"a","attributes":{"x":NaN}}', "", "not JSON"),
    ('{"action":"a","attributes":{"x":-Infinity}}', "", "not JSON"),
    ('{"action":"a\nb"}', "", "not JSON"),
    ('{"action":"\\ud800"}', "action", "surrogate"),
    ('{"action":"a","attributes":{"x":"\\udc00"}}', "attributes.x", "surrogate"),
    ('{"action":"a","payload_type":"t","payload":"\\ud800"}', "payload", "surrogate"),
    ('\ufeff{"action":"a"}', "", "byte order mark"),
]


@pytest.mark.parametrize(("body", "field", "reason"), REFUSALS)
def test_a_bad_event_is_refused_with_field_and_reason(body: str, field: str, reason: str) -> None:
    error = refused(body)

    assert error.kind == "malformed"
    assert error.problems[0].field == field
    assert reason in error.problems[0].reason


@pytest.mark.parametrize(
    "body",
    [
        b'{"action":"\xff"}',
        b'{"action":"a","attributes":{"k":"\xc3"}}',
        b'{"action":"a","actor":{"\xed\xa0\x80":1}}',
        b'{"action":"a","payload_type":"t","payload":"\xc0\x80"}',
        b'{"action":"a","payload_type":"t","payload":{"\xff":1}}',
        b'\xff\xfe{\x00"\x00a\x00',
    ],
)
def test_what_is_not_utf8_is_refused(body: bytes) -> None:
    assert refused(body).problems[0].reason.startswith("not UTF-8")
    assert refused(body, NDJSON).problems[0].line == 1


REPEATS = [
    ('{"action":"a","action":"a"}', "action"),
    ('{"action":"a","acti\\u006fn":"b"}', "action"),
    ('{"action":"a","tenant":"x","tenant":"x"}', "tenant"),
    ('{"action":"a","payload":1,"payload":1,"payload_type":"t"}', "payload"),
    ('{"action":"a","actor":{},"actor":{}}', "actor"),
    ('{"action":"a","source":{"ip":"1","ip":"2"}}', "source.ip"),
    ('{"action":"a","trace":{"trace_id":"1","trace_id":"1"}}', "trace.trace_id"),
    ('{"action":"a","producer":{"id":"1","seq":1,"seq":1}}', "producer.seq"),
    ('{"action":"a","targets":[{},{"id":"1","id":"1"}]}', "targets[1].id"),
    ('{"action":"a","actor":{"id":"1","id":"1"}}', "actor.id"),
    ('{"action":"a","actor":{"x":{"y":1,"y":1}}}', "actor.x.y"),
    ('{"action":"a","attributes":{"x":1,"x":1}}', "attributes.x"),
    ('{"action":"a","attributes":{"x":[{"":0,"":0}]}}', "attributes.x[0]."),
    ('{"action":"a","attributes":{"payload":{"x":1,"x":1}}}', "attributes.payload.x"),
    # What makes up for a dropped key if the keys, the colons or the bytes are merely counted.
    ('{"action":"a","id":"1","id":"1","reason":"\\u003ax"}', "id"),
    ('{"action":"a","id":"1","id":"1","reason":"\\u0022:\\u0022:"}', "id"),
    ('{"action":"a","id":"1","id":"1","attributes":{"x":1e2}}', "id"),
    ('{"action":"a","id":"1","id":"1","attributes":{"x":": \\": ","y":":"}}', "id"),
    ('{"action":"a","attributes":{"a\\\\":1,"a\\\\":1,":":1}}', "attributes.a\\"),
    ('{"action":"a","attributes":{"x":1,"x":1,"y":1e6}}', "attributes.x"),
]


@pytest.mark.parametrize(("line", "field"), REPEATS)
def test_a_repeated_key_is_refused_wherever_it_stands(line: str, field: str) -> None:
    good = '{"action":"a","attributes":{"x":1}}\n' * 70

    alone = refused(line)
    among = refused(good + line + "\n" + good, NDJSON)

    assert alone.problems == (Problem(1, field, "the key appears twice"),)
    assert among.problems == (Problem(71, field, "the key appears twice"),)


def test_one_bad_line_refuses_the_request_and_every_bad_line_is_named() -> None:
    lines = ['{"action":"a"}'] * 300
    lines[3] = '{"action":""}'
    lines[100] = "nonsense"
    lines[101] = '{"action":"a","time":"x","tenant":"' + "t" * 257 + '"}'
    lines[299] = '{"action":"a","x":1}'

    error = refused("\n".join(lines), NDJSON)

    assert error.kind == "malformed"
    assert [(p.line, p.field) for p in error.problems] == [
        (4, "action"),
        (101, ""),
        (102, "tenant"),
        (102, "time"),
        (300, "x"),
    ]


def test_lines_are_counted_as_they_stand_in_the_body() -> None:
    error = refused('\r\n{"action":"a"}\r\n\n \n{"action":""}\n', NDJSON)

    assert error.problems == (Problem(5, "action", "must not be empty"),)


def test_elements_of_an_array_are_counted_from_one() -> None:
    error = refused('[{"action":"a"}, {"action":""}, 7]')

    assert [(p.line, p.field) for p in error.problems] == [(2, "action"), (3, "")]


def test_no_more_than_a_hundred_bad_lines_are_named() -> None:
    error = refused('{"action":""}\n' * 1000, NDJSON)

    assert [p.line for p in error.problems] == list(range(1, 101))


def test_foreign_text_in_a_problem_is_cut() -> None:
    error = refused('{"action":"a","' + "x" * 100_000 + '":1}')

    assert len(str(error)) < 200


@pytest.mark.parametrize("name", ["tenant", "id"])
def test_tenant_and_id_hold_256_bytes_of_utf8_and_no_more(name: str) -> None:
    longest = "é" * 127 + "zz"

    admitted = admit(json.dumps({"action": "a", name: longest}).encode(), JSON)
    error = refused(json.dumps({"action": "a", name: longest + "z"}, ensure_ascii=False))

    assert longest in admitted.tenants + admitted.ids
    assert error.kind == "too-large"
    assert error.problems[0].field == name


def test_an_event_holds_a_mebibyte_without_spaces_and_no_more() -> None:
    start, end = '{"action":"a","reason":"', '"}'
    room = 1024 * 1024 - len(start + end)

    largest = admit(f"{start}{'r' * room}{end}".encode(), JSON)
    spaced = admit(f'{start}{"r" * room}" {" " * 100}}}'.encode(), JSON)
    error = refused(f"{start}{'r' * (room + 1)}{end}")

    assert largest.size_bytes == spaced.size_bytes == 1024 * 1024
    assert error.kind == "too-large"
    assert error.problems[0].line == 1


def test_a_request_holds_8_mebibytes_and_no_more() -> None:
    event = b'{"action":"a"}'
    body = event + b" " * (8 * 1024 * 1024 - len(event))

    assert admit(body, JSON).lines == (event,)
    assert refused(body + b" ").kind == "too-large"


@pytest.mark.parametrize(
    ("content_type", "start", "between", "end"),
    [(NDJSON, "", "\n", "\n"), (NDJSON, "\n", "\r\n", "\n\n"), (JSON, "[", ",", "]")],
)
def test_a_request_holds_10000_events_and_no_more(
    content_type: str, start: str, between: str, end: str
) -> None:
    event = '{"action":"a"}'

    admitted = admit(f"{start}{between.join([event] * 10_000)}{end}".encode(), content_type)
    error = refused(f"{start}{between.join([event] * 10_001)}{end}", content_type)

    assert len(admitted.lines) == 10_000
    assert (error.kind, error.problems[0].line) == ("too-large", 0)


def test_a_body_of_nothing_but_line_ends_is_refused_without_reading_them_all() -> None:
    assert refused("\n" * 8_000_000, NDJSON).kind == "too-large"


def test_an_array_of_very_many_numbers_is_refused_at_the_first() -> None:
    error = refused("[" + "1," * 4_000_000 + "1]")

    assert error.problems == (Problem(1, "", "must be an object, not a whole number"),)


def test_limits_can_be_lowered_and_never_raised() -> None:
    lowered = Limits(tenant_bytes=4, request_events=1)

    assert refused('{"action":"a","tenant":"12345"}', limits=lowered).kind == "too-large"
    assert refused('[{"action":"a"},{"action":"b"}]', limits=lowered).kind == "too-large"
    with pytest.raises(ValueError, match="event_bytes"):
        Limits(event_bytes=1024 * 1024 + 1)


@pytest.mark.parametrize("part", ["actor", "attributes", "payload"])
def test_nesting_is_bounded(part: str) -> None:
    kind = '"payload_type":"t",' if part == "payload" else ""
    start, end = f'{{"action":"a",{kind}"{part}":', "}"

    for levels in (128, 129, 900, 100_000):
        nested = '{"x":' * levels + '"[["' + "}" * levels
        if levels <= 128:
            assert nested in admitted_line(start + nested + end)
        else:
            assert "nested" in refused(start + nested + end).problems[0].reason


def test_many_brackets_side_by_side_or_in_strings_are_not_deep() -> None:
    flat = '{"k":[' + ",".join(['{"a":"[{[{","b":["\\"]"]}'] * 200) + "]}"

    assert flat in admitted_line(f'{{"action":"a","attributes":{flat}}}')


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"action":', '{"action":"a","targets":['])
def test_brackets_that_never_close_are_refused(opening: str) -> None:
    refused(opening * 100_000)
    refused(opening * 100_000, NDJSON)


def test_the_trails_own_events_may_have_the_reserved_actions() -> None:
    body = b'{"action":"holdfast.ledgers.seen"}'

    assert admit(body, JSON, own=True).lines == (body,)


@pytest.mark.parametrize(
    ("body", "line", "field"),
    [
        (rb'{"action":"a","actor":{"id":"x\ud800"}}', 1, "actor.id"),
        (rb'{"action":"a\udc00b"}', 1, "action"),
        (rb'[{"action":"a"},{"action":"b","attributes":{"k":[1,"\uD800"]}}]', 2, "attributes.k[1]"),
        (rb'{"action":"a","attributes":{"\ud800":1}}', 1, "attributes"),
    ],
)
def test_half_of_a_surrogate_pair_is_named_with_its_field(
    body: bytes, line: int, field: str
) -> None:
    with pytest.raises(RejectedError) as refused:
        admit(body, "application/json", Limits())

    (problem,) = refused.value.problems
    assert (problem.line, problem.field) == (line, field)
    assert problem.reason.startswith("holds half of a surrogate pair")
