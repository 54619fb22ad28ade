"""Reading one file: the order of the steps, and the identifiers that every instance must have."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from tempfile import SpooledTemporaryFile

from dicouch.dicom.errors import INVALID_VALUE, MISSING_VALUE
from dicouch.dicom.json_model import JsonDataset, first_value
from dicouch.dicom.part10.byte_source import ByteSource, Seekable
from dicouch.dicom.part10.dataset import DatasetReader
from dicouch.dicom.part10.dictionary import key_of, label
from dicouch.dicom.part10.find_frames import find_frames
from dicouch.dicom.part10.form import find_form
from dicouch.dicom.part10.inflate import SPOOLED, inflate
from dicouch.dicom.part10.meta import Meta, read_meta
from dicouch.dicom.part10.model import MissingIdentifier, Part10, Unreadable, Warnings
from dicouch.dicom.uids import series_uid_problem, uid_problem


def read_part10(file: Seekable, size: int) -> Part10:
    """Read a DICOM Part 10 file of `size` bytes in one pass, leaving bulk values where they are.

    Raises
    ------
    Unreadable
        It is no DICOM file, or passes a limit of `dicouch.dicom.part10.model`.
    MissingIdentifier
        A UID that names the instance is missing, empty or unusable.
    """
    warnings = Warnings()
    source = ByteSource(file, size)
    meta = read_meta(source, warnings)
    if not meta.deflated:
        return _read(source, meta, warnings)
    with SpooledTemporaryFile(max_size=SPOOLED) as inflated:
        try:
            length = inflate(source, meta.start, inflated, warnings)
        except Unreadable as problem:
            problem.identifiers = _known({}, meta)
            raise
        return _read(ByteSource(inflated, length), meta, warnings)


def _read(source: ByteSource, meta: Meta, warnings: Warnings) -> Part10:
    """Read the data set and put the result together."""
    reader = DatasetReader(source, warnings)
    try:
        dataset = reader.read(meta.start, meta.explicit, meta.little)
    except Unreadable as problem:
        problem.identifiers = _known(reader.begun, meta)
        raise
    bulk = reader.attributes.bulk
    sop_class = _sop_class(dataset, meta, warnings)
    identifiers = _identifiers(dataset, meta, sop_class, warnings.damage)
    if meta.sop_instance_uid and meta.sop_instance_uid != identifiers["sop_instance_uid"]:
        warnings.add("(0002,0003) MediaStorageSOPInstanceUID differs from (0008,0018) SOPInstanceUID.")
    form = find_form(reader.pixels, dataset, bulk, meta, source, warnings)
    frames = find_frames(form.pixels, dataset, bulk, meta, source, warnings)
    if not meta.proper:
        header = meta.header(source, sop_class, identifiers["sop_instance_uid"])
        form.mended.insert(0, (0, meta.start, b64encode(header).decode("ascii")))
    return Part10(
        **identifiers,
        sop_class_uid=sop_class,
        transfer_syntax=meta.transfer_syntax,
        dataset=dataset,
        bulk=bulk,
        frames=frames,
        deflated=meta.deflated,
        character_set=reader.character_set,
        warnings=warnings.sentences(),
        ordered=reader.ordered,
        mended=form.mended,
        recoded=form.recoded,
    )


_NAMED: tuple[tuple[str, int, Callable[[str], str | None]], ...] = (
    ("study_uid", 0x0020000D, uid_problem),
    ("series_uid", 0x0020000E, series_uid_problem),
    ("sop_instance_uid", 0x00080018, uid_problem),
)


def _known(dataset: JsonDataset, meta: Meta) -> dict[str, str]:
    """Return the UIDs of a data set that cannot be read to its end, as far as they are told."""
    found = {"sop_instance_uid": meta.sop_instance_uid, "sop_class_uid": meta.sop_class_uid}
    for name, tag, problem_of in (*_NAMED, ("sop_class_uid", 0x00080016, uid_problem)):
        with suppress(MissingIdentifier):
            found[name] = _identifier(dataset, tag, problem_of)
    return {name: uid for name, uid in found.items() if not uid_problem(uid)}


def _identifiers(dataset: JsonDataset, meta: Meta, sop_class: str, damage: str) -> dict[str, str]:
    """Return the UIDs that name the instance; the error for a missing one has the others, and the `damage` before."""
    found, problem = {}, None
    for name, tag, problem_of in _NAMED:
        try:
            found[name] = _identifier(dataset, tag, problem_of)
        except MissingIdentifier as missing:
            problem = problem or missing
    if problem:
        if not uid_problem(meta.sop_instance_uid):
            found.setdefault("sop_instance_uid", meta.sop_instance_uid)
        if damage:
            problem = MissingIdentifier(problem.tag, f"{damage}, so that {problem.reason}", problem.failure_reason)
        problem.identifiers = {**found, "sop_class_uid": sop_class}
        raise problem
    return found


def _identifier(dataset: JsonDataset, tag: int, problem_of: Callable[[str], str | None]) -> str:
    """Return a UID of the data set, or raise `MissingIdentifier`."""
    key = key_of(tag)
    if key not in dataset:
        raise MissingIdentifier(key, f"{label(tag)} is missing")
    values = dataset[key].get("Value")
    if not values:
        raise MissingIdentifier(key, f"{label(tag)} is empty", MISSING_VALUE)
    uid = values[0]
    if len(values) > 1 or not isinstance(uid, str):
        raise MissingIdentifier(key, f"{label(tag)} is not one UID", INVALID_VALUE)
    problem = problem_of(uid)
    if problem:
        raise MissingIdentifier(key, f"{label(tag)} {problem}", INVALID_VALUE)
    return uid


def _sop_class(dataset: JsonDataset, meta: Meta, warnings: Warnings) -> str:
    """Return the SOP Class UID: of the data set, else of the meta group, else nothing."""
    uid = first_value(dataset, "00080016")
    if not uid or not isinstance(uid, str):
        warnings.add("(0008,0016) SOPClassUID is missing.", first=True)
        uid = meta.sop_class_uid
    if uid and uid_problem(uid):
        warnings.add(f"(0008,0016) SOPClassUID {uid_problem(uid)}.")
        return ""
    return uid
