"""The Native DICOM Model, ``application/dicom+xml`` (PS3.19 A.1), from the DICOM JSON Model and back (PS3.18 F.3).

Both have the same content, with one difference: in XML the tag of a private attribute has no block number, and the
attribute names its private creator instead (``00091002`` in the block that "ACME" reserves: ``00090002`` of "ACME").
"""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Iterator
from functools import lru_cache
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag

from dicouch.dicom.errors import DicomError
from dicouch.dicom.json_model import Attribute, JsonDataset

NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
MAX_NESTING = 100  # levels of sequences in a received document
MAX_GAP = 100  # values that a received attribute may leave out between those it has

_INTEGERS = {"SS", "US", "SL", "UL", "SV", "UV"}
_NUMBERS = _INTEGERS | {"FL", "FD", "DS", "IS"}
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_NAME_COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")

# What XML 1.0 cannot hold, not even as a character reference (https://www.w3.org/TR/xml/#charsets).
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class MalformedNativeDicom(DicomError):
    """A document is not a Native DICOM Model."""


def dataset_to_xml(dataset: JsonDataset) -> bytes:
    """Write a data set (DICOM JSON Model) as a Native DICOM Model document in UTF-8.

    Characters that XML cannot hold (control characters such as form feed) become U+FFFD. Group lengths are left out, as
    PS3.19 A.1.1 asks.
    """
    out = [f'<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel xmlns="{NAMESPACE}" xml:space="preserve">']
    _write_dataset(dataset, out)
    out.append("</NativeDicomModel>\n")
    return "".join(out).encode("utf-8")


def _write_dataset(dataset: JsonDataset, out: list[str]) -> None:
    blocks = _private_blocks(dataset)
    creators = list(blocks.values())
    for tag, attribute in dataset.items():
        if tag.endswith("0000"):
            continue
        vr = attribute.get("vr") or "UN"
        creator = blocks.get((tag[:4], tag[4:6]))
        if creator is None:
            named, shown = _keyword(tag), tag
        else:
            # A creator with two blocks in a group would leave open which one is meant: then the tag stays as it is.
            named = f" privateCreator={quoteattr(_text(creator[1]))}"
            shown = f"{tag[:4]}00{tag[6:]}" if creators.count(creator) == 1 else tag
        out.append(f'<DicomAttribute{named} tag="{shown}" vr={quoteattr(vr)}>')
        if "BulkDataURI" in attribute:
            out.append(f"<BulkData uri={quoteattr(_text(attribute['BulkDataURI']))}/>")
        elif "InlineBinary" in attribute:
            out.append(f"<InlineBinary>{_escaped(attribute['InlineBinary'])}</InlineBinary>")
        else:
            for number, value in enumerate(attribute.get("Value") or (), 1):
                if vr == "SQ":
                    out.append(f'<Item number="{number}">')
                    _write_dataset(value or {}, out)
                    out.append("</Item>")
                elif vr == "PN":
                    out.append(f'<PersonName number="{number}">{_person_name(value)}</PersonName>')
                else:
                    out.append(f'<Value number="{number}">{"" if value is None else _escaped(value)}</Value>')
        out.append("</DicomAttribute>")


@lru_cache(maxsize=8192)
def _keyword(tag: str) -> str:
    keyword = keyword_for_tag(int(tag, 16))
    return f' keyword="{keyword}"' if keyword else ""


def _private_blocks(dataset: JsonDataset) -> dict[tuple[str, str], tuple[str, str]]:
    """Group and block number of each reserved private block -> group and private creator (PS3.5 7.8.1)."""
    blocks = {}
    for tag, attribute in dataset.items():
        if _is_private(tag) and tag[4:6] == "00" and tag[6] != "0":
            value = attribute.get("Value") or [None]
            if isinstance(value[0], str) and value[0]:
                blocks[tag[:4], tag[6:]] = (tag[:4], value[0])
    return blocks


def _is_private(tag: str) -> bool:
    return tag[3] in "13579BDF"


def _person_name(value: dict[str, str] | str | None) -> str:
    # Before 2013 a name was a string in DICOM JSON; files of that time are still in use.
    groups = {"Alphabetic": value} if isinstance(value, str) else value or {}
    out = []
    for group in _NAME_GROUPS:
        if group in groups:
            components = (groups[group] or "").split("^", len(_NAME_COMPONENTS) - 1)
            last = len(components) - 1  # written even if empty: "Doe^John^^" keeps its delimiters
            named = enumerate(zip(_NAME_COMPONENTS, components, strict=False))
            inner = "".join(
                f"<{name}>{_escaped(text)}</{name}>" for number, (name, text) in named if text or 0 < number == last
            )
            out.append(f"<{group}>{inner}</{group}>")
    return "".join(out)


def _text(value: object) -> str:
    return _NOT_IN_XML.sub("\ufffd", value if isinstance(value, str) else repr(value))


def _escaped(value: object) -> str:
    # A parser makes a line feed of a carriage return that is not written as a reference.
    return escape(_text(value), {"\r": "&#13;"})


def xml_to_dataset(data: bytes) -> JsonDataset:
    """Read a Native DICOM Model document, with or without the namespace, into the DICOM JSON Model, ordered by tag.

    Document type declarations, and with them entities, are refused. A private attribute is given the block that its
    creator reserves in the document, or else the next free one, whose Private Creator is then added.

    Raises
    ------
    MalformedNativeDicom
        When it is not XML, not a Native DICOM Model, or nested deeper than `MAX_NESTING` sequences.
    """
    root = _parse(data)
    if root.tag != "NativeDicomModel":
        raise MalformedNativeDicom(f"the root element is {root.tag}, not NativeDicomModel")
    return _read_dataset(root)


def _parse(data: bytes) -> Element:
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        # A level is an attribute and an item; below, down to a FamilyName, are four more.
        if depth > 2 * MAX_NESTING + 5:
            raise MalformedNativeDicom(f"nested deeper than {MAX_NESTING} sequences")
        builder.start(name.rpartition("}")[2], attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name.rpartition("}")[2])

    def refuse(*_: object) -> None:
        raise MalformedNativeDicom("a document type declaration is not accepted")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as e:
        raise MalformedNativeDicom(f"not well-formed XML: {e}") from e
    except MalformedNativeDicom:
        raise
    except (LookupError, ValueError) as e:
        raise MalformedNativeDicom(f"text in an encoding that cannot be read: {e}") from e
    return builder.close()


def _read_dataset(parent: Element) -> JsonDataset:
    dataset: JsonDataset = {}
    private: list[tuple[str, str, Attribute]] = []
    for element in _children(parent, "DicomAttribute"):
        tag = element.get("tag", "").upper()
        if not re.fullmatch("[0-9A-F]{8}", tag):
            raise MalformedNativeDicom(f"{element.get('tag')!r} is no tag")
        creator = element.get("privateCreator")
        attribute = _read_attribute(element, tag, creator)
        if creator and _is_private(tag):
            private.append((tag, creator, attribute))
        elif tag in dataset:
            raise MalformedNativeDicom(f"{tag} appears twice")
        else:
            dataset[tag] = attribute
    if private:
        _place_private(dataset, private)
    return dict(sorted(dataset.items()))


def _place_private(dataset: JsonDataset, private: list[tuple[str, str, Attribute]]) -> None:
    """Give private attributes the block of their creator, reserving one where there is none yet (PS3.5 7.8.1)."""
    owners = _private_blocks(dataset)
    own: dict[tuple[str, str], list[str]] = {}
    for (_, block), owner in owners.items():
        own.setdefault(owner, []).append(block)
    used = {tag[:6] for tag in dataset} | {group + block for group, block in owners}
    for tag, creator, attribute in private:
        group, block, element = tag[:4], tag[4:6], tag[6:]
        if block == "00":
            candidates = own.get((group, creator), [])
        else:
            candidates = [block] if owners.get((group, block), (group, creator)) == (group, creator) else []
        for candidate in candidates:
            if f"{group}{candidate}{element}" not in dataset:
                block = candidate
                break
        else:
            free = (f"{number:02X}" for number in range(0x10, 0x100) if f"{group}{number:02X}" not in used)
            block = next(free, "") if block == "00" else ""
            if not block:
                raise MalformedNativeDicom(f"{tag} of {creator!r}: no block is left for it, or it appears twice")
        if (group, block) not in owners:
            owners[group, block] = (group, creator)
            own.setdefault((group, creator), []).append(block)
            dataset[f"{group}00{block}"] = {"vr": "LO", "Value": [creator]}
        used.add(group + block)
        dataset[f"{group}{block}{element}"] = attribute


def _read_attribute(element: Element, tag: str, creator: str | None) -> Attribute:
    vr = element.get("vr")
    if vr is None:
        vr = dictionary_VR(int(tag, 16)) if not creator and dictionary_has_tag(int(tag, 16)) else "UN"
        vr = vr.partition(" ")[0]  # "US or SS" in the dictionary
    if not re.fullmatch("[A-Z]{2}", vr):
        raise MalformedNativeDicom(f"{tag}: {vr!r} is no VR")
    attribute: Attribute = {"vr": vr}
    kinds = {child.tag for child in element}
    if len(kinds) > 1 or not kinds <= {"Value", "Item", "PersonName", "BulkData", "InlineBinary"}:
        raise MalformedNativeDicom(f"{tag}: {' and '.join(sorted(kinds))} in one DicomAttribute")
    if "BulkData" in kinds:
        uri, uuid = element[0].get("uri"), element[0].get("uuid")
        if not uri and not uuid:
            raise MalformedNativeDicom(f"{tag}: BulkData without uri")
        attribute["BulkDataURI"] = uri or f"urn:uuid:{uuid}"
    elif "InlineBinary" in kinds:
        attribute["InlineBinary"] = _read_base64(element[0].text, tag)
    elif kinds:
        if ("Item" in kinds) != (vr == "SQ") or ("PersonName" in kinds) != (vr == "PN"):
            raise MalformedNativeDicom(f"{tag}: {kinds.pop()} in an attribute of VR {vr}")
        attribute["Value"] = _read_values(element, vr, tag)
    return attribute


def _read_values(element: Element, vr: str, tag: str) -> list[object]:
    """The values at the places that their ``number`` attributes give (from 1); places left out are empty."""
    placed: dict[int, object] = {}
    for child in element:
        if vr == "SQ":
            value: object = _read_dataset(child)
        else:
            value = _read_person_name(child, tag) if vr == "PN" else _read_text(child.text, vr, tag)
        text = child.get("number", str(len(placed) + 1))
        if not re.fullmatch("[0-9]{1,9}", text) or int(text) < 1 or int(text) in placed:
            raise MalformedNativeDicom(f"{tag}: {text!r} is no number of a value, or there twice")
        placed[int(text)] = value
    if max(placed) > len(placed) + MAX_GAP:
        raise MalformedNativeDicom(f"{tag}: more than {MAX_GAP} values left out")
    return [placed.get(number, {} if vr == "SQ" else None) for number in range(1, max(placed) + 1)]


def _read_person_name(element: Element, tag: str) -> dict[str, str] | None:
    name = {}
    for group in _children(element, *_NAME_GROUPS):
        components = {child.tag: child.text or "" for child in _children(group, *_NAME_COMPONENTS)}
        if group.tag in name or len(components) != len(group):
            raise MalformedNativeDicom(f"{tag}: the same part of a name twice")
        count = max((_NAME_COMPONENTS.index(part) + 1 for part in components), default=0)
        name[group.tag] = "^".join(components.get(part, "") for part in _NAME_COMPONENTS[:count])
    return name or None


def _read_text(text: str | None, vr: str, tag: str) -> str | int | float | None:
    """A number stays as it is written where JSON would write it otherwise ("1.50" in DS), so that nothing is lost."""
    if not text:
        return None
    if vr not in _NUMBERS:
        return text
    stripped = text.strip()
    if re.fullmatch(r"[+-]?[0-9]{1,20}", stripped):
        whole = int(stripped)
        if -(2**63) <= whole < 2**64 and (vr in _INTEGERS or str(whole) == stripped):
            return whole
    if vr in _INTEGERS:
        raise MalformedNativeDicom(f"{tag}: {text[:40]!r} is no whole number")
    try:
        number = float(stripped)
    except ValueError:
        if vr in ("DS", "IS"):
            return text
        raise MalformedNativeDicom(f"{tag}: {text[:40]!r} is no number") from None
    if not math.isfinite(number):  # JSON has these as strings only
        return stripped
    return number if vr in ("FL", "FD") or repr(number) == stripped else text


def _read_base64(text: str | None, tag: str) -> str:
    encoded = "".join((text or "").split())
    try:
        binascii.a2b_base64(encoded, strict_mode=True)
    except (binascii.Error, ValueError) as e:
        raise MalformedNativeDicom(f"{tag}: InlineBinary is not base64: {e}") from e
    return encoded


def _children(parent: Element, *names: str) -> Iterator[Element]:
    for child in parent:
        if child.tag not in names:
            raise MalformedNativeDicom(f"{child.tag} in {parent.tag}")
        yield child
