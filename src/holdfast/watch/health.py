"""What the reports mean: is this process of use right now? Pure."""

from collections.abc import Sequence

from holdfast.read.reader import ReaderReport
from holdfast.regions.region import RegionReport, why_too_few
from holdfast.write.node import NodeReport


def reasons_not_ready(
    node: NodeReport | None, reader: ReaderReport, regions: Sequence[RegionReport], quorum: int
) -> tuple[str, ...]:
    """Why it cannot do what it is there for; empty when it can.

    A process that writes must be able to acknowledge, one that only reads must have something to
    answer from. A region more or less is no reason: that is what the quorum is for.

    Args:
        node: None where this process does not write.
        reader: always there.
        regions: all of the settings'.
        quorum: regions that an acknowledgement needs.
    """
    if node is None:
        return () if reader.passes else (f"no pass over the regions yet {reader.failed}".strip(),)
    reasons = []
    if node.state != "open":
        reasons.append(f"the node accepts nothing yet: {node.why}")
    if too_few := why_too_few(regions, quorum):
        reasons.append(too_few)
    return tuple(reasons)
