"""The answer to a store request: status, Store Instances Response Module, warnings (PS3.18 10.5.3, Annex I). Pure."""

from __future__ import annotations

from dicouch.dicom.errors import CANNOT_UNDERSTAND
from dicouch.errors import shortened
from dicouch.rewrite.query import describe
from dicouch.write.outcome import OUT_OF_RESOURCES, Outcome


def status_of(outcomes: list[Outcome], complaint: str = "") -> int:
    """Return the status of the answer (PS3.18 Table 10.5.3-1); `complaint` is what ended the request early."""
    failed = [outcome for outcome in outcomes if outcome.failure]
    if len(failed) == len(outcomes):
        if all(outcome.too_large for outcome in failed):
            return 413
        if all(outcome.refused for outcome in failed):
            return failed[0].refused
        if all(outcome.failure == CANNOT_UNDERSTAND and not outcome.instance for outcome in failed):
            return 400  # nothing in the request is DICOM
        # What passes a limit passes it each time: only what is out of resources for now is told to come again.
        busy = all(outcome.failure == OUT_OF_RESOURCES and not outcome.too_large for outcome in failed)
        return 503 if busy else 409
    return 202 if failed or complaint or any(outcome.warning for outcome in outcomes) else 200


def response_dataset(outcomes: list[Outcome], study: str | None, base: str) -> dict:
    """Return the Store Instances Response Module (PS3.18 Table I.1-1) in the DICOM JSON Model.

    Parameters
    ----------
    study : str or None
        The study that the request names.
    base : str
        Absolute URL of the DICOMweb root.
    """
    stored = [outcome for outcome in outcomes if not outcome.failure]
    failed = [outcome for outcome in outcomes if outcome.failure and outcome.instance]
    unread = [outcome for outcome in outcomes if outcome.failure and not outcome.instance]
    dataset: dict[str, dict] = {}
    studies = {outcome.study for outcome in stored} | ({study} if study and stored else set())
    if len(studies) == 1:
        dataset["00081190"] = {"vr": "UR", "Value": [f"{base}/studies/{studies.pop()}"]}
    for tag, items in (("00081198", failed), ("00081199", stored), ("0008119A", unread)):
        if items:
            dataset[tag] = {"vr": "SQ", "Value": [_item(outcome, base) for outcome in items]}
    return dataset


def location_of(outcomes: list[Outcome], base: str) -> str:
    """Return the ``Content-Location`` of the answer (PS3.18 Table 10.5.3-2): the instance or the study that was stored.

    Empty when instances of several studies were.
    """
    places = {outcome.place for outcome in outcomes if not outcome.failure}
    studies = {study for study, _series, _instance in places}
    if len(studies) != 1:
        return ""
    return f"{base}/studies/{studies.pop()}" if len(places) > 1 else _url(places.pop(), base)


def _url(place: tuple[str, str, str], base: str) -> str:
    return "{}/studies/{}/series/{}/instances/{}".format(base, *place)


def _item(outcome: Outcome, base: str) -> dict:
    told: list[tuple[str, str, str | int]] = [
        # Error Comment, as Microsoft's server gives it; 64 characters are what its VR allows.
        ("00000902", "LO", shortened(outcome.comment.replace("\\", "/"), 64)),
        ("00081150", "UI", outcome.sop_class),
        ("00081155", "UI", outcome.instance),
    ]
    if outcome.failure:
        told += [("00081197", "US", outcome.failure)]
    else:
        told += [("00081190", "UR", _url(outcome.place, base)), ("00081196", "US", outcome.warning)]
    return {tag: {"vr": vr, "Value": [value]} for tag, vr, value in told if value}


def warnings(outcomes: list[Outcome], complaint: str) -> list[str]:
    """Return the texts of the answer's ``Warning`` headers."""
    texts = [f"The request ended early: {complaint}"] if complaint else []
    if differing := sorted({tag for outcome in outcomes for tag in outcome.variants}):
        texts.append("Values differ within a study or series: " + ", ".join(describe(tag) for tag in differing))
    if also := [outcome for outcome in outcomes if outcome.also]:
        texts.append("; ".join(f"{outcome.instance}: {outcome.also}" for outcome in also[:10]))
    if elsewhere := [outcome for outcome in outcomes if outcome.elsewhere]:
        named = ", ".join(f"{outcome.instance} in {outcome.elsewhere}" for outcome in elsewhere[:10])
        texts.append(f"SOP Instance UIDs that other series have too: {named}")
    return texts
