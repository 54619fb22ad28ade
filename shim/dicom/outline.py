"""A data set (PS3.18 F.2) as a page can show it: with the names of attributes, no longer than a person reads."""

from __future__ import annotations

import re
from typing import Any

from pydicom.datadict import dictionary_description, dictionary_has_tag, keyword_for_tag
from pydicom.uid import UID_dictionary

# Values of an attribute, characters of a value, levels of items, and elements in all that are shown.
VALUES, CHARACTERS, LEVELS, ELEMENTS = 100, 10_000, 16, 5_000

TAG = re.compile("[0-9A-F]{8}")
GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


class Outline:
    """The outline of one data set.

    Attributes
    ----------
    names : dict
        Keyword and name of each tag that is shown and that PS3.6 has.
    uids : dict
        Name of each UID that is shown and that PS3.6 has.
    """

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}
        self.uids: dict[str, str] = {}
        self._left = ELEMENTS

    def of(self, dataset: dict[str, Any], level: int = 1) -> dict[str, Any]:
        """Return the data set without what is too much; `more` of an attribute counts what its values lack."""
        shown: dict[str, Any] = {}
        for tag in sorted(dataset):
            self._left -= 1
            if self._left < 0:
                shown["more"] = len(dataset) - len(shown)
                break
            shown[tag] = self._attribute(tag, dataset[tag], level)
        return shown

    def _attribute(self, tag: str, attribute: dict[str, Any], level: int) -> dict[str, Any]:
        # The database checks the first level only.
        if not isinstance(attribute, dict):
            return {"vr": "UN"}
        number = int(tag, 16) if TAG.fullmatch(tag) else 0
        if dictionary_has_tag(number):
            self.names[tag] = [keyword_for_tag(number), dictionary_description(number)]
        values = attribute.get("Value")
        if not isinstance(values, list):
            inline = attribute.get("InlineBinary")
            cut = {} if inline is None else {"InlineBinary": str(inline)[:CHARACTERS]}
            return {name: attribute[name] for name in ("vr", "BulkDataURI") if name in attribute} | cut
        if attribute.get("vr") == "SQ":
            kept = values[:VALUES] if level < LEVELS and self._left > 0 else []
            some: list[Any] = [self.of(item if isinstance(item, dict) else {}, level + 1) for item in kept]
        else:
            some = [self._value(value) for value in values[:VALUES]]
        more = len(values) - len(some)
        return {"vr": attribute.get("vr"), "Value": some, **({"more": more} if more else {})}

    def _value(self, value: object) -> object:
        if isinstance(value, str):
            if value in UID_dictionary:
                self.uids[value] = UID_dictionary[value][0]
            return value if len(value) <= CHARACTERS else f"{value[:CHARACTERS]}\N{HORIZONTAL ELLIPSIS}"
        if isinstance(value, dict):  # a name in up to three groups
            return {name: self._value(str(value[name])) for name in GROUPS if value.get(name)}
        return value if value is None or isinstance(value, int | float) else str(value)[:CHARACTERS]
