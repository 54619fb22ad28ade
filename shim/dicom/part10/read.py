"""Reading one file: the order of the steps, and the identifiers without which nothing is stored."""

import zlib
from tempfile import SpooledTemporaryFile
from typing import BinaryIO

from dicouch.dicom.part10 import model
from dicouch.dicom.part10.dictionary import label
from dicouch.dicom.part10.frames import locate_frames
from dicouch.dicom.part10.meta import Meta, read_meta
from dicouch.dicom.part10.model import MissingIdentifier, Part10, Unreadable, Warnings
from dicouch.dicom.part10.walk import Walk
from dicouch.dicom.part10.window import WINDOW, Window
from dicouch.dicom.uids import series_uid_problem, uid_problem

INFLATED_LIMIT = 256 * 1024 * 1024
"""A deflated data set may inflate to this size (bytes), or to `INFLATED_RATIO` times the file, whichever is more."""

INFLATED_RATIO = 100

_SPOOLED = 8 * 1024 * 1024


def read_part10(source: BinaryIO, size: int) -> Part10:
    """Read a DICOM Part 10 file in one pass, leaving bulk values where they are.

    Parameters
    ----------
    source : BinaryIO
        The file as received, seekable; its position is changed.
    size : int
        Its length in bytes.

    Returns
    -------
    Part10
        Identifiers, DICOM JSON, and the byte ranges of bulk values and frames.

    Raises
    ------
    Unreadable
        It is no DICOM file, or passes a limit of `dicouch.dicom.part10.model`.
    MissingIdentifier
        A UID that names the instance is missing, empty or unusable.
    """
    warnings = Warnings()
    window = Window(source, size)
    meta = read_meta(window, warnings)
    if not meta.deflated:
        return _read(window, meta, warnings)
    with SpooledTemporaryFile(max_size=_SPOOLED) as inflated:
        length = _inflate(window, meta.start, inflated, warnings)
        return _read(Window(inflated, length), meta, warnings)


def _read(window: Window, meta: Meta, warnings: Warnings) -> Part10:
    """Walk the data set and put the result together."""
    walk = Walk(window, warnings)
    dataset = walk.read(meta.start, meta.explicit, meta.little)
    bulk = walk.elements.bulk
    sop_class = _sop_class(dataset, meta, warnings)
    identifiers = _identifiers(dataset, meta, sop_class)
    if meta.sop_instance_uid and meta.sop_instance_uid != identifiers["sop_instance_uid"]:
        warnings.add("(0002,0003) MediaStorageSOPInstanceUID differs from (0008,0018) SOPInstanceUID.")
    frames = locate_frames(walk.pixels, dataset, bulk, meta.transfer_syntax, meta.little, window, warnings)
    return Part10(
        **identifiers,
        sop_class_uid=sop_class,
        transfer_syntax=meta.transfer_syntax,
        dataset=dataset,
        bulk=bulk,
        frames=frames,
        deflated=meta.deflated,
        character_set=walk.character_set,
        warnings=warnings.sentences(),
    )


def _identifiers(dataset: dict, meta: Meta, sop_class: str) -> dict[str, str]:
    """Return the UIDs that name the instance; where one cannot be had, the error tells the others."""
    found, problem = {}, None
    for name, tag, problem_of in (
        ("study_uid", 0x0020000D, uid_problem),
        ("series_uid", 0x0020000E, series_uid_problem),
        ("sop_instance_uid", 0x00080018, uid_problem),
    ):
        try:
            found[name] = _identifier(dataset, tag, problem_of)
        except MissingIdentifier as missing:
            problem = problem or missing
    if problem:
        if not uid_problem(meta.sop_instance_uid):
            found.setdefault("sop_instance_uid", meta.sop_instance_uid)
        problem.identifiers = {**found, "sop_class_uid": sop_class}
        raise problem
    return found


def _identifier(dataset: dict, tag: int, problem_of) -> str:
    """Return a UID of the data set, or raise `MissingIdentifier`."""
    key = f"{tag:08X}"
    if key not in dataset:
        raise MissingIdentifier(key, f"{label(tag)} is missing")
    values = dataset[key].get("Value")
    if not values:
        raise MissingIdentifier(key, f"{label(tag)} is empty", model.MISSING_VALUE)
    uid = values[0]
    if len(values) > 1 or not isinstance(uid, str):
        raise MissingIdentifier(key, f"{label(tag)} is not one UID", model.INVALID_VALUE)
    problem = problem_of(uid)
    if problem:
        raise MissingIdentifier(key, f"{label(tag)} {problem}", model.INVALID_VALUE)
    return uid


def _sop_class(dataset: dict, meta: Meta, warnings: Warnings) -> str:
    """Return the SOP Class UID: of the data set, else of the meta group, else nothing."""
    values = dataset.get("00080016", {}).get("Value")
    uid = values[0] if values and isinstance(values[0], str) else ""
    if not uid:
        warnings.add("(0008,0016) SOPClassUID is missing.")
        uid = meta.sop_class_uid
    if uid and uid_problem(uid):
        warnings.add(f"(0008,0016) SOPClassUID {uid_problem(uid)}.")
        return ""
    return uid


def _inflate(window: Window, start: int, target: BinaryIO, warnings: Warnings) -> int:
    """Write the file with its data set inflated (PS3.5 A.5) to `target`; return the length.

    Raises
    ------
    Unreadable
        The data set is not deflated, or inflates beyond the limit.
    """
    limit = max(INFLATED_LIMIT, INFLATED_RATIO * window.size)
    position = 0
    while position < start:
        position += target.write(window.read(position, min(WINDOW, start - position)))
    # RFC 1951; some writers add the header of RFC 1950.
    zlib_header = window.read(position, 2)
    wrapped = len(zlib_header) == 2 and zlib_header[0] & 0x0F == 8 and int.from_bytes(zlib_header, "big") % 31 == 0
    inflater = zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
    written = start
    try:
        while position < window.size and not inflater.eof:
            chunk = window.read(position, min(WINDOW, window.size - position))
            position += len(chunk)
            while chunk and not inflater.eof:
                written += target.write(inflater.decompress(chunk, 16 * WINDOW))
                if written > limit:
                    raise Unreadable(f"inflates to more than {limit} bytes", model.OUT_OF_RESOURCES)
                chunk = inflater.unconsumed_tail
    except zlib.error:
        if written == start:
            raise Unreadable("the data set is not deflated as its transfer syntax says") from None
        warnings.add("The deflated data set is damaged; what precedes the damage is read.")
    else:
        if not inflater.eof:
            warnings.add("The deflated data set is cut off.")
    return written
