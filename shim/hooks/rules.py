"""The webhooks file: to whom which events are sent.

[[webhook]]
name = "worklist"
url = "https://ris.example/hooks/dicom"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
kinds = ["stored", "deleted"]
modality = ["CT"]
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NoBase64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.datadict import tag_for_keyword

from dicouch import settings_file
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
    return settings_file.read(path, _hooks)


def _hooks(told: dict[str, Any]) -> list[Hook]:
    tables = told.pop("webhook", [])
    if told or not isinstance(tables, list) or not tables:
        raise ValueError("it has [[webhook]] tables and nothing else")
    hooks = [_hook(f"webhook {number}", table) for number, table in enumerate(tables, 1)]
    if len({hook.name for hook in hooks}) < len(hooks):
        raise ValueError("two webhooks have the same name")
    return hooks


def _hook(place: str, table: object) -> Hook:
    hook = settings_file.made_of(Hook, place, table)
    if not hook.name or not hook.url:
        raise ValueError(f"{place} needs a name and a url")
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
