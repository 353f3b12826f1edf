"""The first rule that takes an event says its class; rules that make no sense are refused."""

import pytest

from holdfast.archive.rules import Rule, class_of, find_wrong

RULES = (
    Rule("payments", tenants=("acme", "blå*"), actions=("pay.*",), min=10, max=20),
    Rule("trails", payload_types=("aws.*",)),
    Rule("nameless", tenants=("",), max=1),
)


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        (("acme", "", "pay.out"), "payments"),
        (("blåbær", "aws.cloudtrail", "pay.in"), "payments"),
        (("acme", "aws.cloudtrail", "login"), "trails"),
        (("acmes", "", "pay.out"), "default"),
        (("ACME", "", "pay.out"), "default"),
        (("acme", "", "repay.out"), "default"),
        (("", "", "pay.out"), "nameless"),
    ],
)
def test_the_first_rule_that_takes_an_event_says_its_class(
    event: tuple[str, str, str], wanted: str
) -> None:
    assert class_of(RULES, *event) == wanted


def test_a_rule_is_told_in_one_line() -> None:
    assert (
        RULES[0].text == "class payments: tenants 'acme blå*', actions 'pay.*', min 10, max 20 days"
    )


@pytest.mark.parametrize(
    ("rules", "name", "why"),
    [
        ([Rule("A")], "A", "a class is 1 to 32 of a-z"),
        ([Rule("x", actions=("a",)), Rule("x")], "x", "is the class of an earlier rule too"),
        ([Rule("x"), Rule("y")], "y", "comes after x, which takes every event"),
        ([Rule("default", actions=("a",))], "default", "takes what no other rule does"),
        ([Rule("x", min=-1)], "x", "min and max are days, 0 or more"),
        ([Rule("x", min=9, max=8)], "x", "max is 8 days, and min 9"),
        ([Rule(f"x{n}", actions=("a",)) for n in range(33)], "x32", "at most 32"),
    ],
)
def test_rules_that_make_no_sense_are_named(rules: list[Rule], name: str, why: str) -> None:
    found = find_wrong(rules)

    assert found is not None and found[0] == name and why in found[1]


def test_rules_that_make_sense_are_taken() -> None:
    assert find_wrong([*RULES, Rule("default", min=5, max=5)]) is None
