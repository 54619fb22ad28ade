"""RT Structure Sets as a tree of text, as reports are (PS3.3 A.19, C.8.8.5, C.8.8.6, C.8.8.8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from dicouch.dicom.json_model import JsonDataset
from dicouch.dicom.pixels.image import integer, items, numbers, text

_ROIS, _CONTOURS, _OBSERVATIONS = "30060020", "30060039", "30060080"


def is_structures(dataset: JsonDataset) -> bool:
    """Return whether a data set is a structure set: it has a label (Type 1) or regions of interest."""
    return bool(text(dataset, "30060002") or items(dataset, _ROIS))


def title(dataset: JsonDataset) -> str:
    """Return what a structure set is called."""
    named = dict.fromkeys(filter(None, (text(dataset, "30060002"), text(dataset, "30060004"))))
    return ": ".join(("RT Structure Set", ", ".join(named))) if named else "RT Structure Set"


def tree(dataset: JsonDataset) -> Iterator[tuple[int, str, str]]:
    """Yield level, name and value of each line: the regions of interest, and what is known of each."""
    contours, observed = (
        {integer(item, "30060084"): item for item in items(dataset, tag)} for tag in (_CONTOURS, _OBSERVATIONS)
    )
    for roi in items(dataset, _ROIS):
        number = integer(roi, "30060022")
        drawn, seen = contours.get(number, {}), observed.get(number, {})
        yield 1, f"ROI {'' if number is None else number}".strip(), text(roi, "30060026")
        volume = text(roi, "3006002C")
        lines = [
            ("Description", text(roi, "30060028")),
            ("Interpreted type", text(seen, "300600A4")),
            ("Observation", text(seen, "30060085")),
            ("Interpreter", text(seen, "300600A6").replace("^", " ")),
            ("Generated", text(roi, "30060036")),
            ("Volume", f"{volume} cm³" if volume else ""),
            ("Colour", " ".join(f"{part:g}" for part in numbers(drawn, "3006002A"))),
            ("Contours", _contours(drawn)),
        ]
        for name, value in lines:
            if value:
                yield 2, name, value
        for measured in items(seen, "300600B0"):
            yield 2, text(measured, "300600B2") or "Physical property", text(measured, "300600B4")


def _contours(drawn: JsonDataset) -> str:
    """Return how many contours of each Contour Geometric Type there are, and of how many points."""
    counted, points = Counter[str](), Counter[str]()
    for contour in items(drawn, "30060040"):
        kind = text(contour, "30060042") or "contour"
        counted[kind] += 1
        points[kind] += integer(contour, "30060046") or len(numbers(contour, "30060050")) // 3
    return ", ".join(f"{count} {kind} with {points[kind]} points" for kind, count in counted.items())
