"""Rules of retention: which class an event is of, and for how long a class is kept. Pure."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from msgspec import Struct

from holdfast.proof.errors import MalformedError
from holdfast.regions.units import CLASS_DEFAULT, DAY_US, check_class

RULES_MAX = 32  # each class has rows waiting while a unit is made


class Rule(
    Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"name": "class"}
):
    """A class: what is of it, and how long that is kept.

    tenants, payload_types, actions: globs, of which one must match, each in its list; an empty list
    asks nothing. min, max: days after the end of the unit; before the one nothing is deleted, after
    the other everything is; a max of 0: never.
    """

    name: str
    tenants: tuple[str, ...] = ()
    payload_types: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    min: int = 0
    max: int = 0

    @property
    def takes_all(self) -> bool:
        return not (self.tenants or self.payload_types or self.actions)

    @property
    def max_us(self) -> int:
        return self.max * DAY_US

    @property
    def text(self) -> str:
        """The rule in one line, as statements and people have it."""
        named = (("tenants", self.tenants), ("payload types", self.payload_types))
        asked = [
            f"{what} {' '.join(globs)!r}"
            for what, globs in (*named, ("actions", self.actions))
            if globs
        ]
        kept = f"min {self.min}, max {self.max} days" if self.max else f"min {self.min} days"
        return f"class {self.name}: {', '.join([*asked, kept])}"

    def matches(self, tenant: str, payload_type: str, action: str) -> bool:
        """Whether an event is of it, if no earlier rule takes it."""
        return (
            _matches(self.tenants, tenant)
            and _matches(self.payload_types, payload_type)
            and _matches(self.actions, action)
        )


def class_of(rules: Iterable[Rule], tenant: str, payload_type: str, action: str) -> str:
    """The class of the first rule that takes an event."""
    for rule in rules:
        if rule.matches(tenant, payload_type, action):
            return rule.name
    return CLASS_DEFAULT


def find_wrong(rules: Sequence[Rule]) -> tuple[str, str] | None:
    """The first rule that makes no sense, by its class, and why; None: all do."""
    if len(rules) > RULES_MAX:
        return rules[RULES_MAX].name, f"is one too many: at most {RULES_MAX} rules"
    before: dict[str, Rule] = {}
    for rule in rules:
        if why := _why_wrong(rule, before):
            return rule.name, why
        before[rule.name] = rule
    return None


def _why_wrong(rule: Rule, before: dict[str, Rule]) -> str:
    try:
        check_class(rule.name)
    except MalformedError:
        return "a class is 1 to 32 of a-z, 0-9 and -, and begins with a letter"
    if rule.name in before:
        return "is the class of an earlier rule too: a class has one"
    if all_taken := [earlier.name for earlier in before.values() if earlier.takes_all]:
        return f"comes after {all_taken[0]}, which takes every event"
    if rule.name == CLASS_DEFAULT and not rule.takes_all:
        return "takes what no other rule does, so it asks for nothing"
    if rule.min < 0 or rule.max < 0:
        return "min and max are days, 0 or more"
    if rule.max and rule.max < rule.min:
        return f"max is {rule.max} days, and min {rule.min}: nothing could ever be deleted"
    return ""


def _matches(globs: tuple[str, ...], text: str) -> bool:
    return not globs or any(fnmatchcase(text, glob) for glob in globs)
