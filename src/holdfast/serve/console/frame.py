"""What every page of the console knows of the trail and of this server, as it stands now."""

from collections.abc import Mapping

from holdfast import __version__
from holdfast.serve.faces import Faces
from holdfast.serve.session import cookie_in
from holdfast.serve.status import RegionShape, StatusAnswer, status_answer
from holdfast.serve.ui.words import Frame, RegionView
from holdfast.times import parse_time


def frame_of(faces: Faces, headers: Mapping[bytes, bytes]) -> Frame:
    """The frame. Taken before a page's questions are asked, its statement covers their answers.

    headers: of the request, in which a cookie says that there is a way out.
    """
    said = faces.system.reader.completeness()
    status = status_answer(faces.system, faces.writers(), faces.alarms.report())
    return Frame(
        version=__version__,
        trail=status.trail.id,
        trail_name=status.trail.name,
        node=status.node.node if status.node else "",
        now_us=faces.system.host.now_us(),
        said=said,
        needed=status.trail.needed,
        quorum=status.trail.quorum,
        regions=tuple(_region(each, status) for each in status.regions),
        is_empty=_is_empty(status),
        alerts_open=status.alerts.open if status.alerts else 0,
        signed_in=faces.asks_token and bool(cookie_in(headers)),
    )


def _is_empty(status: StatusAnswer) -> bool:
    """Nothing was ever stored, as far as is known."""
    here = status.node.events + status.node.waiting.events if status.node else 0
    return status.complete_through is not None and not here and not status.reader.events


def _region(region: RegionShape, status: StatusAnswer) -> RegionView:
    listed = [basis.listed_to for basis in status.basis if basis.region == region.region]
    lag = region.lag
    offset = region.clock_offset_seconds
    clock = () if offset is None else (("clock", f"{offset:+.3f} s from ours"),)
    return RegionView(
        id=region.region,
        url=region.url,
        usable=region.usable,
        why_not="" if region.usable and region.state == "ok" else region.why,
        listed_us=parse_time(listed[0]) if listed else None,
        ok_us=parse_time(region.answered) if region.answered else None,
        facts=(("breaker", _breaker(region)), *clock),
        lag_segments=lag.segments if lag else None,
        lag_bytes=lag.bytes if lag else None,
        lag_us=int(lag.seconds * 1e6) if lag else None,
    )


def _breaker(region: RegionShape) -> str:
    if region.reading == region.writing:
        return region.reading
    return f"reading {region.reading}, writing {region.writing}"
