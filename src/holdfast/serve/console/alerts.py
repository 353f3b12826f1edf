"""The page of alerts: as this server's watch has them now."""

from holdfast.serve.console.completeness import where_of
from holdfast.serve.faces import Faces
from holdfast.serve.ui.alerts import AlertsView
from holdfast.serve.ui.words import Frame


def look(faces: Faces, frame: Frame) -> AlertsView:
    """The page."""
    where = where_of(faces.system.settings)
    return AlertsView(frame=frame, report=faces.alarms.report(), where=where)
