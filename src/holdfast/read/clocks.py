"""When a pass began, by a clock that can be trusted. Pure."""

from collections.abc import Callable, Mapping
from typing import Protocol

from holdfast.regions.port import Unknown
from holdfast.regions.regions import Regions


class Offset(Protocol):
    """How far a region's clock is from ours, as far as one can tell: an interval in µs."""

    def is_within(self, allowed_us: int, /) -> bool: ...


Clocks = Callable[[], Mapping[str, Offset | Unknown]]


def start_of(
    begun: int, regions: Regions, allowed_us: int, clocks: Clocks | None, newest_us: int
) -> tuple[int | None, str]:
    """The time at which the pass began, by a clock that R regions agree with; None, and why not.

    Where no own clock could be compared with theirs (whoever may not write cannot), the newest
    heartbeat that was seen takes its place: a region's clock showed that time before any birth was
    listed. If the own clock is behind even that, it is believed: earlier is safe.
    """
    if clocks is not None:
        offsets = clocks().items()
        good = [id for id, o in offsets if not isinstance(o, Unknown) and o.is_within(allowed_us)]
        if regions.are_enough(good):
            return begun, ""
    if not newest_us:
        return None, "no region shows a heartbeat, which would tell what time it is there"
    return min(begun, newest_us), ""
