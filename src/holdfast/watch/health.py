"""What the reports mean: is this process of use right now? Pure."""

from collections.abc import Sequence

from holdfast.read.reader import ReaderReport
from holdfast.regions.region import RegionReport, why_too_few
from holdfast.write.node import NodeReport


def reasons_not_ready(
    nodes: Sequence[NodeReport], reader: ReaderReport, regions: Sequence[RegionReport], quorum: int
) -> tuple[str, ...]:
    """Why it cannot do what it is there for; empty when it can.

    Where events are written one node must be able to acknowledge: the port leads to those that
    are. Who only reads must have something to answer from. A region more or less is no reason:
    that is what the quorum is for.

    Args:
        nodes: that write behind this port; none where nothing is written.
        reader: always there.
        regions: all of the settings'.
        quorum: regions that an acknowledgement needs.
    """
    if not nodes:
        return () if reader.passes else (f"no pass over the regions yet {reader.failed}".strip(),)
    reasons = []
    if all(node.state != "open" for node in nodes):
        reasons += [f"the node accepts nothing yet: {node.why}" for node in nodes]
    if too_few := why_too_few(regions, quorum):
        reasons.append(too_few)
    return tuple(reasons)
