"""The retention page's questions: what regions say of floors and holds, now."""

from typing import Final

from holdfast.serve.console.asking import in_time
from holdfast.serve.console.completeness import where_of
from holdfast.serve.faces import Faces
from holdfast.serve.ui.retention import RetentionView
from holdfast.serve.ui.words import Frame

LOOK_SECONDS: Final = 3.0


async def look(faces: Faces, frame: Frame) -> RetentionView:
    """The page."""
    system = faces.system
    return RetentionView(
        frame=frame,
        rules=system.settings.retention,
        last=system.retention.last,
        seen=await in_time(LOOK_SECONDS, system.retention.seen()),
        where=where_of(system.settings),
    )
