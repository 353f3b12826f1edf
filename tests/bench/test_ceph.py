"""What the part about object stores says can be kept."""

import msgspec

from bench.ceph import Acked, findings


def test_figures_of_acks_are_plain_numbers() -> None:
    acked = Acked(1.0, [10.0, 20.0, 30.0], [5.0])

    kept = msgspec.json.decode(msgspec.json.encode(findings(acked, acked)))

    assert [each["value"] for each in kept] == [20.0, 20.0]
