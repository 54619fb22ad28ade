"""Where the elements of the top level lie in a file, for corrections that replace some of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from dicouch.dicom.json_model import JsonDataset
from dicouch.dicom.part10.byte_source import ByteSource
from dicouch.dicom.part10.dataset import DatasetReader
from dicouch.dicom.part10.meta import Meta, read_meta
from dicouch.dicom.part10.model import Warnings


@dataclass(frozen=True)
class Span:
    """One element: header and value, from `start` up to `end` (bytes of the file)."""

    tag: int
    start: int
    end: int


@dataclass
class Spans:
    """The elements of the top level, in the order of the file.

    Attributes
    ----------
    meta : Meta
        What precedes them, and how they are encoded.
    character_set : list of str
        Specific Character Set (0008,0005), as in the file.
    elements : list of Span
    dataset : dict
        The elements in the DICOM JSON Model.
    end : int
        Where reading ended: at the first element after the wanted ones, or at the end of the file.
    """

    meta: Meta
    character_set: list[str]
    elements: list[Span] = field(default_factory=list)
    dataset: JsonDataset = field(default_factory=dict)
    end: int = 0


def read_spans(source: ByteSource, last: int | None) -> Spans:
    """Find the elements of the top level up to the tag `last`; the rest of the file is not read.

    Parameters
    ----------
    source : ByteSource
        The file, of a deflated one the inflated stream.
    last : int or None
        Tag; None for all elements, when they are not in ascending order.

    Raises
    ------
    dicouch.dicom.part10.Part10Error
        It is no DICOM file, or passes a limit of `dicouch.dicom.part10.model`.
    """
    meta = read_meta(source, Warnings())
    reader = DatasetReader(source, Warnings())
    starts: list[tuple[int, int]] = []
    stopped = source.size

    def visit(tag: int, position: int) -> bool:
        nonlocal stopped
        if last is not None and tag > last:
            stopped = position
            return True
        starts.append((tag, position))
        return False

    reader.visit = visit
    dataset = reader.read(meta.start, meta.explicit, meta.little)
    ends = [position for _tag, position in starts[1:]] + [stopped]
    elements = [Span(tag, start, end) for (tag, start), end in zip(starts, ends, strict=True)]
    return Spans(meta, reader.character_set, elements, dataset, stopped)
