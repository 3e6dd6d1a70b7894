"""The tissue region that the scanner declares: Sequence of Ultrasound Regions (PS3.3, C.8.5.5)."""

from service.imaging.dicom.dataset.values import Values
from service.imaging.dicom.header import Header
from service.imaging.sector import Box

_TWO_D, _TISSUE = 1, 1  # Region Spatial Format, Region Data Type
_LEAST_SIDE = 32  # pixels; a smaller region is a color bar or an icon
_LEAST_SHARE = 0.05  # of the frame


def tissue_region(header: Header) -> Box | None:
    """Return the largest two-dimensional tissue region, clipped to the frame.

    Real objects contain regions that reach outside the frame, have swapped corners, or are empty. A region counts only
    if its part within the frame is large enough to be a picture. None where no region counts.
    """
    items = header.values.items("SequenceOfUltrasoundRegions")
    boxes = [box for item in items if (box := _box(item, header)) is not None]
    return max(boxes, key=lambda box: box.width * box.height, default=None)


def _box(item: Values, header: Header) -> Box | None:
    if item.first("RegionSpatialFormat") != _TWO_D or item.first("RegionDataType") != _TISSUE:
        return None
    corners = [item.first(f"RegionLocation{name}") for name in ("MinX0", "MinY0", "MaxX1", "MaxY1")]
    if None in corners:
        return None
    left, top, right, bottom = (int(corner or 0) for corner in corners)
    box = Box(max(0, left), max(0, top), min(header.columns, right + 1), min(header.rows, bottom + 1))
    large = min(box.width, box.height) >= _LEAST_SIDE
    return box if large and box.width * box.height >= _LEAST_SHARE * header.rows * header.columns else None
