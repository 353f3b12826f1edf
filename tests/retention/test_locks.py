"""A bucket's lock that is shorter than a `min`, or longer than a `max`, is named with its rule."""

import pytest

from holdfast.archive.rules import Rule
from holdfast.cli.doctor import disagreements
from holdfast.regions.port import Unknown
from holdfast.regions.versions import Protection

RULES = (Rule("debug", actions=("debug.*",), min=30, max=90), Rule("default", min=400))


@pytest.mark.parametrize(
    ("days", "wanted"),
    [
        (0, []),
        (10, ["debug is to be kept for 30 days", "default is to be kept for 400 days"]),
        (60, ["default is to be kept for 400 days"]),
        (90, ["default is to be kept for 400 days"]),
        (365, ["debug is to go after 90 days", "default is to be kept for 400 days"]),
        (400, ["debug is to go after 90 days"]),
    ],
)
def test_rules_that_a_lock_does_not_suit_are_named(days: int, wanted: list[str]) -> None:
    found = list(disagreements(Protection(True, "governance", f"{days} days", days), RULES))

    assert len(found) == len(wanted)
    for told, start in zip(found, wanted, strict=True):
        assert told.startswith(f"the class {start}") and f"for {days}: " in told


def test_of_what_could_not_be_asked_nothing_is_said() -> None:
    assert list(disagreements(Unknown("away"), RULES)) == []
