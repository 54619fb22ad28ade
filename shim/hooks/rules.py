"""The webhooks file: to whom which events are sent.

[[webhook]]
name = "worklist"
url = "https://ris.example/hooks/dicom"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
kinds = ["stored", "deleted"]
modality = ["CT"]
"""

from __future__ import annotations

import tomllib
from base64 import b64decode
from binascii import Error as NoBase64
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydicom.datadict import tag_for_keyword

from dicouch.config import split_url
from dicouch.rewrite.events import KINDS, Event, Filter
from dicouch.tables import STUDY_TAGS

PREFIX = "whsec_"


@dataclass(frozen=True)
class Hook:
    """One receiver.

    Attributes
    ----------
    name : str
        Names what it has received so far: with another name it begins anew.
    secret : str
        Of the signature; ``whsec_`` and base64, as the Standard Webhooks specification has it, or any text.
    kinds, modality, studies : tuple of str
        Which events: of one of the values of each list, where that is not empty.
    attributes : tuple of str
        Keywords of attributes of the study that are sent along; none are unless they are named.
    from_the_beginning : bool
        Whether a hook that is new gets what was stored before.
    timeout : int
        Seconds that the receiver has for its answer.
    ca : str
        File with the certificates that sign the receiver's; empty: those that the system trusts.
    """

    name: str
    url: str
    secret: str = ""
    kinds: tuple[str, ...] = ()
    modality: tuple[str, ...] = ()
    studies: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    from_the_beginning: bool = False
    timeout: int = 10
    ca: str = ""

    @property
    def wanted(self) -> Filter:
        """Which events it gets."""
        return Filter(frozenset(self.kinds), frozenset(self.studies), frozenset(self.modality))

    @property
    def key(self) -> bytes:
        """The key of its signature; empty where it has none."""
        if self.secret.startswith(PREFIX):
            return b64decode(self.secret.removeprefix(PREFIX), validate=True)
        return self.secret.encode()

    @property
    def tags(self) -> list[str]:
        """Tags of the attributes that are sent along."""
        return [f"{tag_for_keyword(name) or 0:08X}" for name in self.attributes]

    def body_of(self, event: Event, header: dict[str, Any] | None) -> dict[str, Any]:
        """Return what is sent of an event; `header` is the study's document where attributes are sent along."""
        body: dict[str, Any] = {"type": event.kind, "timestamp": event.at, "data": event.told()}
        if self.attributes:
            dataset = (header or {}).get("dataset", {})
            body["data"]["dataset"] = {tag: dataset[tag] for tag in self.tags if tag in dataset}
        return body


def read(path: str | Path) -> list[Hook]:
    """Read a webhooks file.

    Raises
    ------
    ValueError
        If it cannot be read or says what makes no sense; the message names the file and the place.
    """
    try:
        told = tomllib.loads(Path(path).read_text("utf-8"))
        tables = told.pop("webhook", [])
        if told or not isinstance(tables, list) or not tables:
            raise ValueError("it has [[webhook]] tables and nothing else")
        hooks = [_hook(number, table) for number, table in enumerate(tables, 1)]
        if len({hook.name for hook in hooks}) < len(hooks):
            raise ValueError("two webhooks have the same name")
    except (OSError, UnicodeDecodeError, ValueError) as problem:
        raise ValueError(f"{path}: {problem}") from problem
    return hooks


def _hook(number: int, table: object) -> Hook:
    place = f"webhook {number}"
    if not isinstance(table, dict):
        raise ValueError(f"{place} must be a table")
    known = {one.name: str(one.type) for one in fields(Hook)}
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name not in known:
            raise ValueError(f"{place}: there is no setting {name!r}; there are {', '.join(known)}")
        listed = isinstance(value, list) and all(isinstance(one, str) for one in value)
        if type(value).__name__ != known[name] and not (listed and known[name].startswith("tuple")):
            kinds = {"str": "a text", "int": "a whole number", "bool": "true or false"}
            raise ValueError(f"{place}: {name} must be {kinds.get(known[name], 'a list of texts')}")
        values[name] = tuple(value) if listed else value
    if not values.get("name") or not values.get("url"):
        raise ValueError(f"{place} needs a name and a url")
    hook = Hook(**values)
    split_url(hook.url)
    try:
        signs = bool(hook.key)
    except NoBase64:
        raise ValueError(f"{place}: secret: behind {PREFIX} comes base64") from None
    if hook.secret and not signs:
        raise ValueError(f"{place}: secret: it is empty")
    if strange := set(hook.kinds) - set(KINDS):
        raise ValueError(f"{place}: kinds: {min(strange)!r} is not one of {', '.join(KINDS)}")
    if strange := {name for name, tag in zip(hook.attributes, hook.tags, strict=True) if tag not in STUDY_TAGS}:
        raise ValueError(f"{place}: attributes: {min(strange)!r} is no attribute of a study")
    if not 0 < hook.timeout <= 300:
        raise ValueError(f"{place}: timeout must be from 1 to 300 seconds")
    return hook
