"""The format once more, from docs/FORMAT.md alone: slow, plain, sharing no code with the product.

It is the judge beside `holdfast.proof`: what seals and verifies must not be its own only witness.
Everything here answers "" for good, or says what is wrong; it never raises for bad input.
"""

import base64
import hashlib
import hmac
import json
import re
import sys
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# RFC 6962, section 2.1, word by word.


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def largest_power_below(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def tree(leaves: list[bytes]) -> bytes:
    """MTH(D[n])."""
    if not leaves:
        return sha(b"")
    if len(leaves) == 1:
        return sha(b"\x00" + leaves[0])
    k = largest_power_below(len(leaves))
    return sha(b"\x01" + tree(leaves[:k]) + tree(leaves[k:]))


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH(m, D[n])."""
    if len(leaves) == 1:
        return []
    k = largest_power_below(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), tree(leaves[k:])]
    return [*path(m - k, leaves[k:]), tree(leaves[:k])]


def proof(m: int, leaves: list[bytes]) -> list[bytes]:
    """PROOF(m, D[n])."""
    return subproof(m, leaves, True)


def subproof(m: int, leaves: list[bytes], b: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if b else [tree(leaves)]
    k = largest_power_below(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], b), tree(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), tree(leaves[:k])]


def root_by_path(leaf_hash: bytes, m: int, n: int, hashes: list[bytes]) -> bytes:
    """Undo PATH: the last hash belongs to the topmost split. Wrong lengths give b""."""
    if n == 1:
        return leaf_hash if not hashes else b""
    if not hashes:
        return b""
    k = largest_power_below(n)
    if m < k:
        left = root_by_path(leaf_hash, m, k, hashes[:-1])
        return sha(b"\x01" + left + hashes[-1]) if left else b""
    right = root_by_path(leaf_hash, m - k, n - k, hashes[:-1])
    return sha(b"\x01" + hashes[-1] + right) if right else b""


def perfect_subtrees(leaves: list[bytes]) -> list[bytes]:
    """The compact range: largest perfect subtree first."""
    if not leaves:
        return []
    k = 1
    while k * 2 <= len(leaves):
        k *= 2
    return [tree(leaves[:k]), *perfect_subtrees(leaves[k:])]


# Notes


BASE64 = r"(?=[^\n])(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
HASH = r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]="
NUMBER = r"(?:0|[1-9][0-9]{0,18})"
ID = r"[0-9a-f]{32}"
REGION = r"[0-9a-z][0-9a-z._-]{0,62}"
UNHASHED = "-".join(f"[0-9a-f]{{{n}}}" for n in (10, 6, 12, 6, 6, 14, 64))
OBJECT = r"[0-9a-f]{64}"
DAY = (
    r"(?!0000)[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|[12][0-9]))"
)
UNIT = rf"{DAY}(?:t(?:[01][0-9]|2[0-3])(?:[0-5]0)?)?"
CLASS = r"[a-z][a-z0-9-]{0,31}"
STRING = r'"(?:[^"\\\x00-\x1f]|\\["\\bfnrt]|\\u00[01][0-9a-f])*"'
END = rf"{NUMBER} {NUMBER} {NUMBER} {HASH}(?: {HASH})*"

# Section 5: lines as (key, how many, form of the value); by kind.
FLOOR = [
    ("unit", "1", UNIT),
    ("class", "1", CLASS),
    ("rule", "1", STRING),
    ("min", "1", NUMBER),
    ("max", "1", NUMBER),
    ("rows", "1", NUMBER),
    ("earliest_us", "1", NUMBER),
    ("latest_us", "1", NUMBER),
    ("by", "1", ID),
    ("floored_us", "1", NUMBER),
    ("certificate", "1", BASE64),
    ("remains", "1", OBJECT),
    ("part", "*", f"{OBJECT} {NUMBER} {NUMBER}"),
]
TABLES: dict[str, list[tuple[str, str, str]]] = {
    "holdfast-region/1": [
        ("trail_key", "1", HASH),
        ("trail_name", "1", STRING),
        ("region", "1", REGION),
        ("store", "1", ID),
        ("tag_key", "1", HASH),
        ("replaces", "?", ID),
    ],
    "holdfast-certificate/1": [
        ("trail_key", "1", HASH),
        ("node", "1", ID),
        ("node_key", "1", HASH),
        ("certified_us", "1", NUMBER),
    ],
    "holdfast-birth/1": [
        ("trail_key", "1", HASH),
        ("node_key", "1", HASH),
        ("certificate", "1", BASE64),
        ("epoch", "1", NUMBER),
        ("instance", "1", ID),
        ("started_us", "1", NUMBER),
        ("quorum", "1", NUMBER),
        ("region", "*", f"{REGION} {ID}"),
        ("base", "1", END),
    ],
    "holdfast-fence/1": [
        ("epoch", "1", NUMBER),
        ("by", "1", ID),
        ("fenced_us", "1", NUMBER),
        ("certificate", "1", BASE64),
    ],
    "holdfast-close/1": [("epoch", "1", NUMBER), ("end", "1", END)],
    "holdfast-closed/1": [
        ("epoch", "1", NUMBER),
        ("end", "1", END),
        ("by", "1", ID),
        ("why", "1", STRING),
        ("closed_us", "1", NUMBER),
        ("certificate", "1", BASE64),
    ],
    "holdfast-whole/1": [
        ("store", "1", ID),
        ("by", "1", ID),
        ("found_us", "1", NUMBER),
        ("certificate", "1", BASE64),
        ("region", "*", f"{REGION} {ID}"),
    ],
    "holdfast-floor/1": FLOOR,
    "holdfast-floor/2": [*FLOOR, ("gone", "1", f"{NUMBER} {HASH}")],
    "holdfast-hold/1": [
        ("hold", "1", ID),
        ("tenant", "1", STRING),
        ("actor", "?", f'(?!""){STRING}'),
        ("from_us", "?", NUMBER),
        ("to_us", "?", NUMBER),
        ("reason", "1", STRING),
        ("author", "1", STRING),
        ("by", "1", ID),
        ("placed_us", "1", NUMBER),
        ("certificate", "1", BASE64),
    ],
    "holdfast-release/1": [
        ("hold", "1", ID),
        ("reason", "1", STRING),
        ("author", "1", STRING),
        ("by", "1", ID),
        ("released_us", "1", NUMBER),
        ("certificate", "1", BASE64),
    ],
    "holdfast-archive/1": [
        ("unit", "1", UNIT),
        ("generation", "1", NUMBER),
        ("region", "1", REGION),
        ("store", "1", ID),
        ("by", "1", ID),
        ("archived_us", "1", NUMBER),
        ("certificate", "1", BASE64),
        ("evidence", "1", OBJECT),
        ("part", "*", f"{CLASS} {OBJECT} {NUMBER} {NUMBER}"),
        ("ledger", "*", f"{ID} {NUMBER} {NUMBER} {NUMBER} {NUMBER}"),
        ("gap", "*", f"{ID} {NUMBER} {NUMBER}"),
    ],
    "holdfast-heartbeat/1": [
        ("epoch", "1", NUMBER),
        ("n", "1", NUMBER),
        ("time_us", "1", NUMBER),
        ("promise_us", "1", NUMBER),
        ("promise_size", "1", NUMBER),
        ("checkpoint", "?", BASE64),
        ("region", "*", f"{REGION} [a-z][a-z-]{{0,31}} {NUMBER} {NUMBER}"),
    ],
    "holdfast-receipt/1": [
        ("segment", "1", f"{UNHASHED}-[0-9a-f]{{64}}"),
        ("region", "*", f"{REGION} {ID}"),
    ],
    "holdfast-gap/1": [
        ("trail_key", "1", HASH),
        ("from", "1", NUMBER),
        ("to", "1", NUMBER),
        ("first", "?", NUMBER),
        ("next", "?", NUMBER),
        ("after_us", "1", NUMBER),
        ("until_us", "?", NUMBER),
        ("region", "*", f"{REGION} {ID}"),
        ("gone", "*", REGION),
        ("by", "1", STRING),
        ("cause", "1", STRING),
        ("declared_us", "1", NUMBER),
    ],
    "holdfast-export/1": [
        ("kind", "1", "(?:ndjson|csv|parquet)"),
        ("sha256", "1", HASH),
        ("bytes", "1", NUMBER),
        ("events", "1", NUMBER),
        ("root", "1", HASH),
        ("from_us", "1", NUMBER),
        ("to_us", "1", NUMBER),
        ("complete_through_us", "1", NUMBER),
        ("filter", "*", f"[a-z]{{1,32}} {STRING}"),
        ("complete", "1", "(?:provable|stated)"),
        ("ledger", "*", f"{ID} {NUMBER} {NUMBER} {NUMBER} {HASH}"),
        ("gap", "*", f"{ID} {NUMBER} {NUMBER}"),
        ("let_go", "*", f"{NUMBER} {STRING}"),
        ("region", "*", f"{REGION} {NUMBER} {NUMBER}"),
        ("by", "1", ID),
        ("exported_us", "1", NUMBER),
        ("certificate", "1", BASE64),
    ],
    "holdfast-retired/1": [
        ("trail_key", "1", HASH),
        ("epoch", "1", NUMBER),
        ("end", "1", END),
        ("by", "1", STRING),
        ("why", "1", STRING),
        ("retired_us", "1", NUMBER),
    ],
    "holdfast-trailer/1": [
        ("segment", "1", UNHASHED),
        ("frame", "1", HASH),
        ("root_before", "1", HASH),
        ("tenant", "*", f"[0-9a-f]{{64}} {NUMBER}"),
    ],
}

Values = dict[str, list[str]]


def note_parts(data: bytes) -> tuple[str, list[tuple[str, bytes, bytes]]] | None:
    """The text and (key name, key id, signature) of each signature line; None if it is no note."""
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        return None
    if any(ord(c) < 0x20 and c != "\n" for c in whole) or not whole.endswith("\n"):
        return None
    text, divider, tail = whole[:-1].rpartition("\n\n")
    if not divider:
        return None
    signatures = []
    for signature_line in tail.split("\n"):
        found = re.fullmatch(r"— ([^+\s]+) (" + BASE64 + ")", signature_line)
        if not found:
            return None
        raw = base64.b64decode(found[2])
        if len(raw) < 5 or base64.b64encode(raw).decode() != found[2]:
            return None
        signatures.append((found[1], raw[:4], raw[4:]))
    return (text + "\n", signatures) if len(signatures) <= 64 else None


def is_signed(data: bytes, name: str, public: bytes) -> bool:
    """Whether that key signed the note, and every signature of it holds."""
    parts = note_parts(data)
    if parts is None:
        return False
    text, signatures = parts
    key_id = sha(name.encode() + b"\x0a\x01" + public)[:4]
    own = [signature for found, id, signature in signatures if (found, id) == (name, key_id)]
    try:
        for signature in own:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, text.encode())
    except InvalidSignature:
        return False
    return bool(own)


def statement(text: str) -> tuple[str, str, Values] | str:
    """(kind, origin, values by key) of a statement's text, or what is wrong."""
    lines = text.split("\n")
    if lines.pop() != "" or len(lines) < 3:
        return "cut off"
    kind, origin = lines[0], lines[1]
    if kind not in TABLES:
        return "unknown kind"
    if not re.fullmatch(rf"holdfast/{ID}(/{ID})?", origin):
        return "no origin"
    rest = "".join(f"{line}\n" for line in lines[2:])
    form = ""
    for key, count, value in TABLES[kind]:
        form += f"(?P<{key}>(?:{key} {value}\n){'' if count == '1' else count})"
    found = re.fullmatch(form, rest)
    if not found:
        return "other lines than in its table"
    values = {
        key: [line.split(" ", 1)[1] for line in (found[key] or "").split("\n") if line]
        for key, _, _ in TABLES[kind]
    }
    return _values_fault(kind, values) or (kind, origin, values)


def _values_fault(kind: str, values: Values) -> str:
    every = [value for each in values.values() for value in each]
    numbers = [word for value in every if '"' not in value for word in value.split(" ")]
    if any(word.isdecimal() and len(word) < 32 and int(word) > 2**63 - 1 for word in numbers):
        return "number too large"
    for key in ("certificate", "checkpoint"):
        for value in values.get(key, []):
            if base64.b64encode(base64.b64decode(value)).decode() != value:
                return "base64 is not canonical"
    for key in ("trail_name", "why", "filter"):
        for value in values.get(key, []):
            if re.search(r"\\u00(08|09|0a|0c|0d)", value):
                return "string is not canonical"
    for key in ("region", "tenant", "filter"):
        firsts = [value.split(" ")[0] for value in values.get(key, [])]
        if firsts != sorted(set(firsts)):
            return f"{key} not ascending"
    faults = [end_fault(end) for key in ("base", "end") for end in values.get(key, [])]
    faults += [name_fault(name) for name in values.get("segment", [])]
    if kind in _KIND_FAULTS:
        faults.append(_KIND_FAULTS[kind](values))
    return next(filter(None, faults), "")


def _stores_fault(values: Values) -> str:
    stores = [value.split(" ")[1] for value in values["region"]]
    return "" if stores and len(set(stores)) == len(stores) else "stores"


def _birth_fault(values: Values) -> str:
    count, quorum, epoch = (
        len(values["region"]),
        int(values["quorum"][0]),
        int(values["epoch"][0]),
    )
    if not count < 2 * quorum <= 2 * count or not 1 <= epoch <= 2**24 - 1:
        return "quorum or epoch"
    if epoch == 1 and not values["base"][0].startswith("0 "):
        return "epoch 1 begins an empty ledger"
    return _stores_fault(values)


def _certificate_fault(values: Values) -> str:
    public = base64.b64decode(values["node_key"][0])
    return "" if sha(public).hex()[:32] == values["node"][0] else "node"


def _export_fault(values: Values) -> str:
    from_us, to_us, through_us = (
        int(values[key][0]) for key in ("from_us", "to_us", "complete_through_us")
    )
    if not from_us < to_us <= min(through_us + 1, 2**56 - 1):
        return "time"
    for key in ("ledger", "gap"):
        found = [value.split(" ") for value in values[key]]
        rows = [(row[0], *map(int, row[1:4]), *map(base64.b64decode, row[4:])) for row in found]
        if rows != sorted(set(rows)):
            return f"{key} not in order"
        for _, *numbers in found:
            start, end = int(numbers[0]), int(numbers[1])
            if start > end or (key == "gap" and start == end):
                return f"{key} holds nothing"
            if key == "ledger" and end > int(numbers[2]):
                return "more than was signed"
    gone = [(int(n), json.loads(rule)) for n, rule in (v.split(" ", 1) for v in values["let_go"])]
    if gone != sorted(set(gone)) or any(not records for records, _ in gone):
        return "let_go"
    names = {value.split(" ")[0] for value in values["filter"]}
    is_provable = values["complete"][0] == "provable"
    return "" if is_provable is (names <= {"tenant"} and not gone) else "complete"


def _trailer_fault(values: Values) -> str:
    counts = [int(value.split(" ")[1]) for value in values["tenant"]]
    return "" if counts and min(counts) >= 1 else "tenants"


def _unit_fault(values: Values) -> str:
    year, month, day = (int(part) for part in values["unit"][0][:10].split("-"))
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return "unit" if (month, day) == (2, 29) and not leap else ""


def _floor_fault(values: Values) -> str:
    if _unit_fault(values):
        return "unit"
    parts = [value.split(" ") for value in values["part"]]
    hashes = [part[0] for part in parts]
    if not parts or hashes != sorted(set(hashes)) or any("0" in part[1:] for part in parts):
        return "parts"
    least, most = int(values["min"][0]), int(values["max"][0])
    if int(values["latest_us"][0]) < int(values["earliest_us"][0]):
        return "time"
    return "rule or rows" if least > most or not most or values["rows"][0] == "0" else ""


def _provable_floor_fault(values: Values) -> str:
    leaves = int(values["gone"][0].split(" ")[0])
    return _floor_fault(values) or ("" if 0 < leaves <= int(values["rows"][0]) else "gone")


def _hold_fault(values: Values) -> str:
    start = int(values["from_us"][0]) if values["from_us"] else 0
    return "time" if values["to_us"] and int(values["to_us"][0]) <= start else ""


def _archive_fault(values: Values) -> str:
    if _unit_fault(values):
        return "unit"
    parts = [value.split(" ") for value in values["part"]]
    if not parts or len({part[1] for part in parts}) < len(parts) or parts != sorted(parts):
        return "parts"
    if values["generation"][0] == "0" or any("0" in part[2:] for part in parts):
        return "generation, or an empty part"
    rows = sum(int(part[3]) for part in parts)
    events = 0
    spans: dict[str, tuple[int, int]] = {}
    for value in values["ledger"]:
        node = value.split(" ")[0]
        start, end, first, after = (int(word) for word in value.split(" ")[1:])
        if end <= start or after - first < end - start or first < start:
            return "ledger"
        events, spans = events + after - first, {**spans, node: (start, end)}
    if not spans or list(spans) != sorted(spans) or len(spans) < len(values["ledger"]):
        return "ledgers"
    for value in values["gap"]:
        node, low, high = value.split(" ")[0], *(int(word) for word in value.split(" ")[1:])
        if node not in spans or not spans[node][0] <= low < high < spans[node][1]:
            return "gap"
    told = [value.split(" ") for value in values["gap"]]
    held = [(node, int(at)) for node, *bounds in told for at in bounds]
    if held != sorted(set(held)):
        return "gaps"
    if rows > events or (rows < events and not values["gap"]):
        return "rows"
    return ""


_KIND_FAULTS: dict[str, Callable[[Values], str]] = {
    "holdfast-archive/1": _archive_fault,
    "holdfast-floor/1": _floor_fault,
    "holdfast-floor/2": _provable_floor_fault,
    "holdfast-hold/1": _hold_fault,
    "holdfast-certificate/1": _certificate_fault,
    "holdfast-birth/1": _birth_fault,
    "holdfast-receipt/1": _stores_fault,
    "holdfast-export/1": _export_fault,
    "holdfast-trailer/1": _trailer_fault,
}


def end_fault(end: str) -> str:
    """What is wrong with the end of a ledger."""
    size, first, sealed_us = (int(word) for word in end.split(" ")[:3])
    root, *hashes = (base64.b64decode(word) for word in end.split(" ")[3:])
    if size == 0:
        return "" if (first, sealed_us, hashes, root) == (0, 0, [], sha(b"")) else "empty end"
    if first < size or sealed_us < 1 or len(hashes) != bin(size).count("1"):
        return "end"
    folded = hashes[-1]
    for each in hashes[-2::-1]:
        folded = sha(b"\x01" + each + folded)
    return "" if folded == root else "root of the end"


# Segments


def name_fault(name: str) -> str:
    """What is wrong with a segment's name, with or without its hash."""
    if not re.fullmatch(rf"{UNHASHED}(-[0-9a-f]{{64}})?", name):
        return "form of the name"
    index, epoch, first, count, tenants, sealed_us = (int(x, 16) for x in name.split("-")[:6])
    good = epoch and sealed_us and 1 <= tenants <= count and first >= index
    return "" if good else "numbers of the name"


def tenant_secrets(tag_key: bytes, tenant: str, node: str, index: int) -> tuple[bytes, str, bytes]:
    """Salt, tag and blind."""
    salt = hmac.new(tag_key, b"holdfast-tenant/1 " + tenant.encode(), hashlib.sha256).digest()
    place = b" " + node.encode() + b" " + b"%010x" % index
    tag = hmac.new(salt, b"holdfast-tag/1" + place, hashlib.sha256).hexdigest()
    blind = hmac.new(salt, b"holdfast-blind/1" + place, hashlib.sha256).digest()
    return salt, tag, blind


def segment_leaves(
    tag_key: bytes, node: str, index: int, records: dict[str, list[bytes]]
) -> list[str]:
    """The leaves of a segment tree, in order."""
    leaves = []
    for tenant, own in records.items():
        _, tag, blind = tenant_secrets(tag_key, tenant, node, index)
        hidden = sha(blind + len(own).to_bytes(8, "big") + tree(own)).hex()
        leaves.append(f"{tag} {hidden}")
    return sorted(leaves)


def gone_leaves(members: list[tuple[str, int]], gone: dict[str, Any]) -> list[str]:
    """The leaves of a floor's tree, of one segment; gone: its line in what stays of a class."""
    out = {line for start, end in gone["rows"] for line in range(start, end)}
    leaves, at = [], 0
    for tag, count in members:
        own = [line in out for line in range(at, at + count)]
        edges = [
            n
            for n in range(count + 1)
            if (own[n - 1 : n] or [False]) != (own[n : n + 1] or [False])
        ]
        spans = [f"{start}-{end}" for start, end in zip(edges[::2], edges[1::2], strict=True)]
        leaves += [" ".join((tag, str(count), *spans))] if spans else []
        at += count
    return leaves


def segment_fault(data: bytes, name: str, public: bytes, origin: str, tag_key: bytes) -> str:
    """All seven checks of section 7."""
    if name_fault(name) or sha(data).hex() != name[-64:]:
        return "the name's hash"
    length = int.from_bytes(data[-4:], "little")
    frame, trailer = data[: -8 - length], data[-8 - length :]
    if len(data) < 8 + length or trailer[:4] != b"\x50\x2a\x4d\x18" or length < 4:
        return "no trailer"
    if trailer[4:8] != data[-4:] or not is_signed(trailer[8:-4], origin, public):
        return "trailer"
    parts = note_parts(trailer[8:-4])
    read = statement(parts[0]) if parts else "no note"
    if (
        parts is None
        or isinstance(read, str)
        or read[0] != "holdfast-trailer/1"
        or read[1] != origin
    ):
        return "trailer's text"
    if read[2]["segment"][0] != name[:124] or len(parts[1]) != 1:
        return "trailer of another segment, or more than one signature"
    if base64.b64decode(read[2]["frame"][0]) != sha(frame):
        return "frame is another"
    tenants = [(value.split(" ")[0], int(value.split(" ")[1])) for value in read[2]["tenant"]]
    numbers = [int(part, 16) for part in name.split("-")[:6]]
    if (len(tenants), sum(count for _, count in tenants)) != (numbers[4], numbers[3]):
        return "counts"
    decoded = frame_content(frame)
    if isinstance(decoded, str):
        return decoded
    if not decoded.endswith(b"\n"):
        return "last line"
    lines = decoded[:-1].split(b"\n")
    if len(lines) != numbers[3] or b"" in lines:
        return "lines"
    grouped: dict[str, list[bytes]] = {}
    for tag, count in tenants:
        own, lines = lines[:count], lines[count:]
        if (fault := _tenant_fault(own, tag, tag_key, origin[-32:], numbers[0])) is not None:
            return fault
        grouped[_tenant_of(own[0]) or ""] = own
    leaves = segment_leaves(tag_key, origin[-32:], numbers[0], grouped)
    root = tree([leaf.encode() for leaf in leaves])
    return "" if root.hex() == name.split("-")[6] else "root"


def _tenant_fault(
    records: list[bytes], tag: str, tag_key: bytes, node: str, index: int
) -> str | None:
    tenants = {_tenant_of(record) for record in records}
    tenant = tenants.pop()
    if tenants or tenant is None:
        return "tenants of a group"
    return None if tenant_secrets(tag_key, tenant, node, index)[1] == tag else "tag"


def _tenant_of(record: bytes) -> str | None:
    try:
        event = json.loads(record.decode())
    except ValueError:
        return None
    tenant = event.get("tenant", "") if isinstance(event, dict) else None
    return tenant if isinstance(tenant, str) else None


def frame_content(frame: bytes) -> bytes | str:
    """The content of the one zstd frame, or what is wrong with it."""
    if frame[:4] != bytes.fromhex("28b52ffd") or len(frame) < 14:
        return "no frame"
    bits = f"{frame[4]:08b}"  # size flag, single segment, unused, reserved, checksum, dictionary
    flag, single, unused, reserved = int(bits[:2], 2), bits[2] == "1", bits[3], bits[4]
    if unused + reserved + bits[5] + bits[6:] != "00100":
        return "frame's flags"
    rest = frame[5:]
    window = 0
    if not single:
        exponent, mantissa = divmod(rest[0], 8)
        window = 2 ** (10 + exponent) * (8 + mantissa) // 8
        rest = rest[1:]
        if flag == 0:
            return "frame without a size"
    width = [1, 2, 4, 8][flag]
    size = int.from_bytes(rest[:width], "little") + (256 if flag == 1 else 0)
    if not 1 <= size <= 2**24 or (size if single else window) > 2**23:
        return "frame's size"
    decompressor, content = zstd.ZstdDecompressor(), b""
    try:
        for at in range(len(frame)):
            if decompressor.eof:
                return "more than one frame"
            content += decompressor.decompress(frame[at : at + 1])
    except zstd.ZstdError:
        return "frame"
    return content if decompressor.eof and len(content) == size else "frame cut off"
