"""The fragments of an encapsulated value (PS3.5 A.4): walking from item to item without reading what they hold."""

from struct import Struct

from dicouch.dicom.part10 import model
from dicouch.dicom.part10.model import Unreadable
from dicouch.dicom.part10.window import Window

UNDEFINED = 0xFFFFFFFF
_ITEM, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE0DD
_HEADER = {True: Struct("<HHI").unpack_from, False: Struct(">HHI").unpack_from}
# Headers closer together than this are read together.
_NEAR = 4096


def walk_fragments(
    window: Window, position: int, end: int, little: bool
) -> tuple[list[tuple[int, int]], int, int, str | None]:
    """Find the fragments of an encapsulated value.

    Parameters
    ----------
    window : Window
        The file.
    position : int
        The first byte of the value: the item of the Basic Offset Table.
    end : int
        Where the value must end.
    little : bool
        Byte order.

    Returns
    -------
    fragments : list of (int, int)
        Offset and length of the data of every item, the Basic Offset Table first.
    value_end : int
        Where the value ends, its delimiter left out.
    position : int
        Where the next element begins; `end` when that cannot be known.
    problem : str or None
        What was wrong.

    Raises
    ------
    Unreadable
        There are more than `dicouch.dicom.part10.model.MAX_NODES` fragments.
    """
    unpack = _HEADER[little]
    fragments: list[tuple[int, int]] = []
    odd, length = False, 0
    while end - position >= 8:
        if position < window.base or position + 8 > window.limit:
            if length > _NEAR:
                head, offset = window.read(position, 8), 0
            else:
                window.fill(position, 8)
                head, offset = window.buffer, position - window.base
        else:
            head, offset = window.buffer, position - window.base
        group, element, length = unpack(head, offset)
        tag = group << 16 | element
        if tag == _ITEM:
            start = position + 8
            position = start + length
            if position > end:
                fragments.append((start, end - start))
                return fragments, end, end, "is cut off within a fragment"
            fragments.append((start, length))
            if len(fragments) > model.MAX_NODES:
                raise Unreadable(f"more than {model.MAX_NODES} fragments", model.OUT_OF_RESOURCES)
            odd = bool(length & 1)
        elif tag == _SEQUENCE_END:
            return fragments, position, position + 8, None
        elif odd:
            # Writers that pad a fragment without counting the pad byte.
            position, odd = position + 1, False
        else:
            return fragments, position, end, "has something between its fragments that is no item"
    return fragments, end, end, "has no end"
