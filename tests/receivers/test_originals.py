"""Whatever a source sends is kept, and mapped as far as it can be read."""

import base64
import json
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import RejectedError
from holdfast.receivers.formats import FORMATS
from holdfast.write.admit import admit
from tests.receivers.mapped import map_one, stored

FOREIGN = ["ndjson", "cloudtrail", "k8s"]


def test_tokens_and_repeated_keys_of_the_original_survive() -> None:
    number = b"9" * 5000
    line = b'{"a":1.0E+2,"a":1%b,"b":"\\u00e9\\/","c":-0,"d":1e400}' % number

    event = FORMATS["ndjson"].map_event(line, False)

    assert event.endswith(b'"payload":%b}' % line)
    assert admit(event, "application/json").lines == (event,)


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize(
    "line",
    [
        b'{"eventID":"x","auditID":"x","userAgent":"a\\ud800b"}',
        b'{"n":NaN,"eventID":"x","auditID":"x"}',
        b'{"n":[NaN,' + b"9" * 5000 + b'],"eventID":"x","auditID":"x"}',
        b'{"eventID":"x","auditID":"x","raw":"line\x01"}',
        b'{"eventID":"x","auditID":"x","k":' + b"[" * 200 + b"]" * 200 + b"}",
        b'{"k":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    ],
)
def test_json_that_no_record_may_hold_is_kept_as_text(name: str, line: bytes) -> None:
    event = map_one(name, line)

    assert event["payload"] == line.decode()
    assert "payload_encoding" not in event


@pytest.mark.parametrize("name", FOREIGN)
def test_bytes_that_are_no_text_are_kept_as_base64(name: str) -> None:
    line = b'{"eventID":"x","auditID":"x","userAgent":"caf\xe9"}'

    event = map_one(name, line)

    assert base64.b64decode(event["payload"]) == line
    assert event["payload_encoding"] == "base64"
    if name != "ndjson":
        assert event["source"]["user_agent"] == "caf\ufffd"
        assert event["id"] == "x"


def test_the_hash_of_what_is_kept_as_text_is_that_of_its_bytes() -> None:
    line = b'{"n":NaN}'

    assert map_one("ndjson", line)["id"] == f"sha256:{sha256(line).hexdigest()}"


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize(
    "line", [b"", b"text", b"[1]", b'"x"', b"7", b'{"a":', b"{'a':1}", b"\xff"]
)
def test_what_is_no_json_object_is_refused(name: str, line: bytes) -> None:
    with pytest.raises(RejectedError) as caught:
        FORMATS[name].map_event(line, False)

    assert caught.value.kind == "malformed"


def test_very_long_texts_are_cut_in_the_fields_and_kept_in_the_payload() -> None:
    event = map_one("cloudtrail", {"userAgent": "x" * 500_000, "eventID": "1"})

    assert len(event["source"]["user_agent"]) == 1024
    assert len(event["payload"]["userAgent"]) == 500_000


names = st.sampled_from(
    (
        *(
            "eventID",
            "eventTime",
            "userIdentity",
            "arn",
            "resources",
            "requestParameters",
            "detail",
        ),
        *("responseElements", "errorCode", "eventName", "auditID", "stage", "user", "username"),
        *("objectRef", "sourceIPs", "responseStatus", "code", "annotations", "time", "actor", "id"),
        *("target", "ts", "items", "name", "groups", "impersonatedUser", "bucketName", "xSet"),
    )
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5),
    max_leaves=15,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(names, anything, max_size=8), st.sampled_from(FOREIGN), st.booleans())
def test_any_object_becomes_an_event_that_is_admitted(
    event: dict[str, object], name: str, tenants: bool
) -> None:
    data = json.dumps(event).encode()

    found = stored(FORMATS[name].map_event(data, tenants))

    kept = found["payload"]
    assert kept == data.decode() or json.dumps(kept) == json.dumps(json.loads(data))
