"""A seeded stream of audit events as an organisation's services send them.

600-900 bytes an event, 200 tenants and 118 actions by Zipf's law, 20,000 actors (100 a tenant),
UUIDv7 ids, random request and trace ids. The slow part, choosing who did what, is done once into a
pool of templates; `Stream` then stamps fresh ids and times into them, so that no two events of a
run are the same and making them costs the client about a microsecond each.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

TENANTS: Final = 200
ACTORS_A_TENANT: Final = 100
BATCH_EVENTS: Final = 1_000
POOL_BATCHES: Final = 64
TENANT_SKEW: Final = 1.1
ACTOR_SKEW: Final = 0.9
ACTION_SKEW: Final = 1.1


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Placeholders have the width of what is stamped over them.
_ID: Final = "i" * 36
_TIME: Final = "t" * 26
_REQUEST: Final = "r" * 36
_TRACE: Final = "c" * 32
_TICKET: Final = "TCK-######"
_TARGET: Final = "g" * 12
NEEDLE: Final = "needle"  # no digits of a session's id
_NEEDLE_AT: Final = '"session_id":"ses_', 7  # so many characters behind that

_ACTIONS: Final = {
    "iam": "user.create user.update user.delete user.suspend role.grant role.revoke "
    "group.add_member group.remove_member policy.attach policy.detach key.create "
    "key.rotate key.revoke mfa.enrol mfa.reset password.change password.reset "
    "token.issue token.revoke session.end",
    "auth": "login logout login.mfa login.sso token.refresh consent.grant device.trust",
    "document": "read create update delete share unshare export print restore move comment "
    "download",
    "billing": "invoice.read invoice.issue invoice.void payment.capture payment.refund plan.change "
    "card.add card.remove address.update usage.export",
    "storage": "object.read object.write object.delete bucket.create bucket.delete acl.update "
    "lifecycle.update object.restore multipart.abort inventory.read",
    "db": "query row.read row.update schema.migrate snapshot.create snapshot.restore role.alter "
    "export failover",
    "k8s": "pod.create pod.delete pod.exec secret.read secret.update deployment.scale "
    "deployment.update configmap.update node.cordon rolebinding.create",
    "ci": "pipeline.run pipeline.cancel artifact.publish secret.use runner.register deploy.approve "
    "deploy.start deploy.rollback branch.protect",
    "support": "ticket.read ticket.reply customer.impersonate customer.lookup note.add case.close "
    "refund.request attachment.read",
    "api": "call key.use webhook.deliver webhook.update quota.exceed schema.read client.register "
    "client.revoke scope.change",
    "network": "firewall.update vpn.connect vpn.disconnect dns.update certificate.renew peer.add "
    "route.update",
    "hr": "record.read record.update salary.read leave.approve contract.sign export review.submit",
}
ACTIONS: Final = tuple(
    f"{area}.{verb}" for area, verbs in _ACTIONS.items() for verb in verbs.split()
)

_GIVEN: Final = _words(
    "Ada Alan Amina Anders Beatriz Chen Dagny Emeka Fatima Grace Hiro Ingrid Ivan Jamal Jana Kofi "
    "Lars Leila Linus Maria Mei Nadia Noor Olga Pablo Priya Rosa Samuel Tove Yusuf"
)
_FAMILY: Final = _words(
    "Abe Adeyemi Berg Castro Costa Dietrich Eriksen Ferrari Garcia Haddad Hansen Ito Jansen Kim "
    "Kovacs Lindqvist Mbeki Meyer Moreau Nguyen Novak Okafor Park Petrov Rossi Silva Singh Tanaka "
    "Weber Zhang"
)
_SECTORS: Final = _words(
    "bank clinic energy freight games health hotels insure labs media pay retail"
)
_AGENTS: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.4 Safari/605",
    "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "aws-sdk-go-v2/1.39.2 os/linux lang/go#1.25.1 md/GOARCH#amd64",
    "python-requests/2.32.5",
    "okhttp/5.1.0",
    "kubectl/v1.34.1 (linux/amd64) kubernetes/93248f9",
    "Terraform/1.13.4 (+https://www.terraform.io)",
    "curl/8.16.0",
)
_TARGETS: Final = _words(
    "user role group document invoice bucket object pod secret pipeline ticket"
)
_REASONS: Final = (
    "requested by the customer in ticket {n}",
    "scheduled review of access rights, item {n}",
    "incident {n}: restore service for affected users",
    "change {n} approved by the change advisory board",
    "quota raised for the migration, see request {n}",
    "routine maintenance window {n}",
    "policy requires a second factor, attempt {n} was refused",
    "cleanup of unused credentials older than {n} days",
)
_PLACES: Final = _words("eu-central-1 eu-west-1 us-east-1 us-west-2 ap-southeast-1 sa-east-1")


@dataclass(frozen=True)
class Batch:
    """Events as NDJSON, and the fields that a database keeps as columns.

    ends: of each line, without its line feed, as offsets into `data`. Lines are 0-based.
    """

    data: bytes
    ends: tuple[int, ...]
    ids: tuple[bytes, ...]
    times: tuple[bytes, ...]
    tenants: tuple[bytes, ...]
    actors: tuple[bytes, ...]
    actions: tuple[bytes, ...]
    outcomes: tuple[bytes, ...]
    addresses: tuple[bytes, ...]

    @property
    def lines(self) -> list[bytes]:
        """The events, one a line."""
        start, found = 0, []
        for end in self.ends:
            found.append(self.data[start:end])
            start = end + 1
        return found


@dataclass(frozen=True)
class _Template:
    batch: Batch
    stamps: NDArray[np.int64]  # a row an event: the offsets of what is stamped, in order
    fresh: "_Fresh | None" = None


@dataclass(frozen=True)
class _Fresh:
    """Offsets of what differs from event to event besides, where events are searched by it."""

    tickets: NDArray[np.int64]  # a row an event that has a reason
    targets: NDArray[np.int64]  # a row an event, and so the next
    needles: NDArray[np.int64]


@dataclass(frozen=True)
class Pool:
    """What streams draw from, round and round."""

    templates: tuple[_Template, ...]
    tenant_names: tuple[str, ...]  # most frequent first


@dataclass(frozen=True)
class _Actor:
    tenant: str
    id: str
    type: str
    name: str
    session: str
    addresses: tuple[str, ...]
    agent: str
    host: str


def _zipf(count: int, skew: float) -> list[float]:
    """Cumulative weights of the ranks."""
    return list(accumulate(1.0 / rank**skew for rank in range(1, count + 1)))


def _cast(random: Random) -> tuple[tuple[str, ...], list[list[_Actor]]]:
    """Everybody who acts: per tenant, most active first."""
    tenants = tuple(
        f"{_FAMILY[index % len(_FAMILY)].lower()}-{_SECTORS[index % len(_SECTORS)]}-{index:03d}"
        for index in range(TENANTS)
    )
    return tenants, [
        [_actor(random, tenant, rank) for rank in range(ACTORS_A_TENANT)] for tenant in tenants
    ]


def _actor(random: Random, tenant: str, rank: int) -> _Actor:
    given, family = random.choice(_GIVEN), random.choice(_FAMILY)
    is_person = random.random() < 0.8
    network = f"{random.randrange(11, 223)}.{random.randrange(256)}.{random.randrange(256)}"
    number = random.randrange(10**8)
    return _Actor(
        tenant,
        f"usr_{number:08d}{rank:02d}" if is_person else f"svc_{number:08d}{rank:02d}",
        "user" if is_person else "service",
        f"{given} {family}" if is_person else f"{family.lower()}-{random.choice(_SECTORS)}-worker",
        f"ses_{random.randbytes(10).hex()}",
        tuple(f"{network}.{random.randrange(1, 255)}" for _ in range(3)),
        random.choice(_AGENTS),
        f"app-{random.randrange(40):02d}.{random.choice(_PLACES)}.internal",
    )


def make_pool(
    seed: int,
    batches: int = POOL_BATCHES,
    batch_events: int = BATCH_EVENTS,
    is_fresh: bool = False,
) -> Pool:
    """Choose who does what.

    Args:
        seed: The same seed makes the same pool.
        batches, batch_events: 64 of 1,000 hold about 48 MB.
        is_fresh: Tickets and first targets are chosen anew by the stream, as ids are: what a pool
            repeats is found in every part of a long stream.
    """
    random = Random(seed)
    tenants, cast = _cast(random)
    # Shuffled, so that the commonest actions are not all of one area.
    actions = random.sample(ACTIONS, len(ACTIONS))
    who, what = _zipf(ACTORS_A_TENANT, ACTOR_SKEW), _zipf(len(ACTIONS), ACTION_SKEW)
    whose = _zipf(TENANTS, TENANT_SKEW)
    templates = tuple(
        _template(
            random,
            [
                random.choices(actors, cum_weights=who)[0]
                for actors in random.choices(cast, cum_weights=whose, k=batch_events)
            ],
            random.choices(actions, cum_weights=what, k=batch_events),
            is_fresh,
        )
        for _ in range(batches)
    )
    return Pool(templates, tenants)


def _template(
    random: Random, actors: Sequence[_Actor], actions: Sequence[str], is_fresh: bool
) -> _Template:
    lines, outcomes, addresses = [], [], []
    for actor, action in zip(actors, actions, strict=True):
        event = _event(random, actor, action)
        if is_fresh:
            _freshen(event)
        lines.append(json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode())
        outcomes.append(str(event["outcome"]).encode())
        source = event["source"]
        assert isinstance(source, dict)
        addresses.append(str(source["ip"]).encode())
    ends, starts, offset = [], [], 0
    for line in lines:
        starts.append(offset)
        offset += len(line) + 1
        ends.append(offset - 1)

    def places(mark: str, skipped: int = 0, width: int = 0) -> NDArray[np.int64]:
        found = [
            start + line.index(mark.encode()) + skipped
            for start, line in zip(starts, lines, strict=True)
            if mark.encode() in line
        ]
        return np.array(found, np.int64)[:, None] + np.arange(width or len(mark))

    batch = Batch(
        b"\n".join(lines) + b"\n",
        tuple(ends),
        (),
        (),
        tuple(actor.tenant.encode() for actor in actors),
        tuple(actor.id.encode() for actor in actors),
        tuple(action.encode() for action in actions),
        tuple(outcomes),
        tuple(addresses),
    )
    before, skipped = _NEEDLE_AT
    fresh = _Fresh(
        places(_TICKET, len("TCK-"), 6),
        places(_TARGET),
        places(before, len(before) + skipped, len(NEEDLE)),
    )
    stamps = np.hstack([places(mark) for mark in (_ID, _TIME, _REQUEST, _TRACE)])
    return _Template(batch, stamps, fresh if is_fresh else None)


def _freshen(event: dict[str, Any]) -> None:
    """Leave places for what differs from event to event."""
    target = event["targets"][0]
    target["id"] = target["id"][:4] + _TARGET
    if "reason" in event:
        event["reason"] = re.sub(r"\d+", _TICKET, event["reason"])


def _event(random: Random, actor: _Actor, action: str) -> dict[str, object]:
    """One event; about 750 bytes as JSON."""
    luck = random.random()
    outcome = "success" if luck < 0.93 else "denied" if luck < 0.97 else "failure"
    area = action.split(".", 1)[0]
    event: dict[str, object] = {
        "id": _ID,
        "time": _TIME + "Z",
        "tenant": actor.tenant,
        "actor": {"type": actor.type, "id": actor.id, "name": actor.name},
        "action": action,
        "targets": [_target(random) for _ in range(_one_to_three(random))],
        "outcome": outcome,
        "source": {
            "ip": actor.addresses[_one_to_three(random) - 1],
            "user_agent": actor.agent,
            "host": actor.host,
            "service": f"{area}-api",
        },
        "trace": {"request_id": _REQUEST, "trace_id": _TRACE, "session_id": actor.session},
    }
    if random.random() < 0.6:
        event["reason"] = random.choice(_REASONS).format(n=random.randrange(1, 100_000))
    if outcome != "success":
        event["severity"] = "warning"
    event["attributes"] = {
        "region": random.choice(_PLACES),
        "latency_ms": round(random.expovariate(1 / 40), 2),
        "bytes": int(random.expovariate(1 / 20_000)),
    }
    return event


def _one_to_three(random: Random) -> int:
    return random.choices((1, 2, 3), (0.65, 0.25, 0.1))[0]


def _target(random: Random) -> dict[str, str]:
    kind = random.choice(_TARGETS)
    number = random.randbytes(6).hex()
    return {
        "type": kind,
        "id": f"{kind[:3]}_{number}",
        "name": f"{random.choice(_SECTORS)}/{kind}-{random.randrange(10_000):04d}",
    }


# Two hex digits of every byte value.
_HEX: Final = np.frombuffer("".join(f"{n:02x}" for n in range(256)).encode(), np.uint8).reshape(
    256, 2
)
# Where the 32 digits of a UUID stand among its 36 characters.
_UUID_DIGITS: Final = np.array([n for n in range(36) if n not in (8, 13, 18, 23)])


class Stream:
    """An endless row of batches with fresh ids and rising times.

    Args:
        pool: Where the events come from.
        seed: Of the ids; the same seed, pool and times make the same bytes.
        start_us: Time of the first event, µs since 1970, UTC.
        step_us: From one event to the next, µs; may be a fraction.
        needle_every: In one of so many events of a fresh pool, NEEDLE stands within a word.
    """

    def __init__(
        self, pool: Pool, seed: int, start_us: int, step_us: float, needle_every: int = 0
    ) -> None:
        self._needle_every = needle_every
        self._pool = pool
        self._random = np.random.default_rng(seed)
        self._next_us = float(start_us)
        self._step_us = step_us
        self._drawn = 0

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield self.draw()

    def draw(self) -> Batch:
        """The next batch."""
        template = self._pool.templates[self._drawn % len(self._pool.templates)]
        self._drawn += 1
        count = len(template.batch.ends)
        times_us = (self._next_us + self._step_us * np.arange(count)).astype(np.int64)
        self._next_us += self._step_us * count
        noise = self._random.integers(0, 256, size=(count, 48), dtype=np.uint8)
        ids = _uuids(noise[:, :16], 7, times_us // 1000)
        times = np.datetime_as_string(times_us.astype("datetime64[us]")).astype("S26")
        stamps = (
            ids,
            np.frombuffer(times.tobytes(), np.uint8).reshape(count, 26),
            _uuids(noise[:, 16:32], 4, None),
            _HEX[noise[:, 32:]].reshape(count, 32),
        )
        data = np.frombuffer(bytearray(template.batch.data), np.uint8)
        data[template.stamps] = np.hstack(stamps)
        if template.fresh is not None:
            self._freshen(data, template.fresh, (self._drawn - 1) * count)
        return Batch(
            data.tobytes(),
            template.batch.ends,
            tuple(np.frombuffer(ids.tobytes(), "S36").tolist()),
            tuple(text + b"Z" for text in times.tolist()),
            template.batch.tenants,
            template.batch.actors,
            template.batch.actions,
            template.batch.outcomes,
            template.batch.addresses,
        )

    def _freshen(self, data: NDArray[np.uint8], fresh: _Fresh, before: int) -> None:
        """before: how many events were drawn before these."""
        digits = self._random.integers(ord("0"), ord("9") + 1, fresh.tickets.shape, np.uint8)
        data[fresh.tickets] = digits
        octets = self._random.integers(0, 256, (len(fresh.targets), 6), np.uint8)
        data[fresh.targets] = _HEX[octets].reshape(-1, len(_TARGET))
        if self._needle_every:
            numbers = before + np.arange(len(fresh.needles))
            lucky = fresh.needles[numbers % self._needle_every == self._needle_every - 1]
            data[lucky] = np.frombuffer(NEEDLE.encode(), np.uint8)


def _uuids(
    noise: NDArray[np.uint8], version: int, time_ms: NDArray[np.int64] | None
) -> NDArray[np.uint8]:
    """UUIDs as text, a row each (RFC 9562): version 4 from noise, 7 with the time in front."""
    octets = noise.copy()
    if time_ms is not None:
        octets[:, :6] = time_ms.astype(">i8").view(np.uint8).reshape(-1, 8)[:, 2:]
    octets[:, 6] = (octets[:, 6] & 0x0F) | (version << 4)
    octets[:, 8] = (octets[:, 8] & 0x3F) | 0x80
    texts = np.full((len(octets), 36), ord("-"), np.uint8)
    texts[:, _UUID_DIGITS] = _HEX[octets].reshape(-1, 32)
    return texts
