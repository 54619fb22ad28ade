"""Structured reports as text: the content tree (PS3.3 C.17.3) as text/html and text/plain (PS3.18 8.7.4).

Key object selections are such reports; structure sets come in the same form.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from dicouch.dicom import structures
from dicouch.dicom.json_model import JsonDataset
from dicouch.dicom.pixels.image import items, numbers, text

_DEEPEST = 64
# Elements of the values of one element, by Value Type (PS3.3 C.17.3.2.1).
_VALUES = {
    "TEXT": "0040A160", "DATE": "0040A121", "TIME": "0040A122", "DATETIME": "0040A120", "PNAME": "0040A123",
    "UIDREF": "0040A124", "SCOORD": "00700023", "SCOORD3D": "00700023", "TCOORD": "0040A130",
}  # fmt: skip


def is_report(dataset: JsonDataset) -> bool:
    """Return whether a data set is shown as text: it has a tree of content, or regions of interest."""
    return "0040A730" in dataset or bool(text(dataset, "0040A040")) or structures.is_structures(dataset)


def as_html(dataset: JsonDataset) -> str:
    """Return a report as an HTML document without links to elsewhere."""
    title = escape(_title(dataset))
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in _header(dataset))
    lines, depth = [], 0
    for level, name, value in _lines(dataset):
        lines.append("<ul>" * (level - depth) + "</ul>" * (depth - level))
        depth = level
        shown = escape(value).replace("\n", "<br>")
        lines.append(f"<li>{f'<b>{escape(name)}</b>: ' if name and value else f'<b>{escape(name)}</b>'}{shown}</li>")
    lines.append("</ul>" * depth)
    return (
        f'<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>{title}</title></head>\n'
        f"<body><h1>{title}</h1>\n<table>{rows}</table>\n{''.join(lines)}\n</body></html>\n"
    )


def as_text(dataset: JsonDataset) -> str:
    """Return a report as plain text, one content item a line."""
    lines = [_title(dataset), ""]
    lines += [f"{name}: {value}" for name, value in _header(dataset)] + [""]
    for level, name, value in _lines(dataset):
        shown = value.replace("\n", "\n" + "  " * (level + 1))
        lines.append("  " * (level - 1) + (f"{name}: {shown}" if name and shown else name or shown))
    return "\n".join(lines) + "\n"


def _title(dataset: JsonDataset) -> str:
    if structures.is_structures(dataset):
        return structures.title(dataset)
    return _code(dataset, "0040A043") or text(dataset, "0008103E") or "Structured Report"


def _header(dataset: JsonDataset) -> list[tuple[str, str]]:
    found = [
        ("Patient", text(dataset, "00100010").replace("^", " ")),
        ("Patient ID", text(dataset, "00100020")),
        ("Study", text(dataset, "00081030")),
        ("Date", text(dataset, "00080023") or text(dataset, "30060008") or text(dataset, "00080020")),
        ("Completion", text(dataset, "0040A491")),
        ("Verification", text(dataset, "0040A493")),
    ]
    return [(name, value) for name, value in found if value]


def _lines(dataset: JsonDataset) -> Iterator[tuple[int, str, str]]:
    """Yield level, name and value of each line of the body."""
    return structures.tree(dataset) if structures.is_structures(dataset) else _tree(dataset, dataset, 0)


def _tree(dataset: JsonDataset, root: JsonDataset, level: int) -> Iterator[tuple[int, str, str]]:
    if level >= _DEEPEST:
        return
    for item in items(dataset, "0040A730"):
        if numbers(item, "0040DB73"):
            yield level + 1, text(item, "0040A010"), _referenced(item, root)
        else:
            name, value = _code(item, "0040A043"), _value(item)
            # Containers need no name.
            yield level + 1, name or ("" if value else text(item, "0040A040")), value
        yield from _tree(item, root, level + 1)


def _referenced(item: JsonDataset, root: JsonDataset) -> str:
    """Return what a by-reference relationship points to: a position in the tree of `root` (PS3.3 C.17.3.2.5)."""
    position = [int(number) for number in numbers(item, "0040DB73")]
    found: JsonDataset = root
    for number in position[1:]:
        content = items(found, "0040A730")
        found = content[number - 1] if 1 <= number <= len(content) else {}
    said = ": ".join(filter(None, (_code(found, "0040A043"), _value(found))))
    return f"{said} (item {'.'.join(map(str, position))})".strip()


def _code(dataset: JsonDataset, tag: str) -> str:
    """Return the meaning of a coded concept (PS3.3 8.8)."""
    found = _first_item(dataset, tag)
    return text(found, "00080104") or text(found, "00080100")


def _first_item(dataset: JsonDataset, tag: str) -> JsonDataset:
    return next(iter(items(dataset, tag)), {})


def _object(reference: JsonDataset) -> str:
    """Return an instance that is referred to, with the frames or segments that are meant (PS3.3 C.18.4)."""
    said = text(reference, "00081155")
    for name, tag in (("frame", "00081160"), ("segment", "0062000B")):
        if told := numbers(reference, tag):
            said += f", {name} {', '.join(f'{number:g}' for number in told)}"
    return said


def _value(item: JsonDataset) -> str:
    """Return what a content item says, by its Value Type (0040,A040)."""
    kind = text(item, "0040A040")
    if kind == "NUM":
        measured = _first_item(item, "0040A300")
        unit = text(_first_item(measured, "004008EA"), "00080100")
        value = f"{text(measured, '0040A30A')} {'' if unit == '1' else unit}".strip()
        # Why there is no value, or what is wrong with it (PS3.3 C.18.1).
        qualifier = _code(item, "0040A301")
        return f"{value} ({qualifier})" if value and qualifier else value or qualifier
    if kind == "CODE":
        return _code(item, "0040A168")
    if kind in ("IMAGE", "COMPOSITE", "WAVEFORM"):
        return ", ".join(_object(reference) for reference in items(item, "00081199"))
    value = text(item, _VALUES[kind]) if kind in _VALUES else ""
    return value.replace("^", " ") if kind == "PNAME" else value
