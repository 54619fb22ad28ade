"""The answer to a store request: status, Store Instances Response Module, warnings (PS3.18 10.5.3, Annex I). Pure."""

from __future__ import annotations

from dicouch.rewrite.query import describe
from dicouch.write.outcome import OUT_OF_RESOURCES, Outcome


def status_of(outcomes: list[Outcome], complaint: str = "") -> int:
    """Return the status of the answer (PS3.18 Table 10.5.3-1).

    Parameters
    ----------
    outcomes : list of Outcome
        At least one.
    complaint : str
        What ended the request early, if anything did.
    """
    failed = [outcome for outcome in outcomes if outcome.failure]
    if len(failed) == len(outcomes):
        if all(outcome.too_large for outcome in failed):
            return 413
        if all(outcome.refused for outcome in failed):
            return failed[0].refused
        return 503 if all(outcome.failure == OUT_OF_RESOURCES for outcome in failed) else 409
    return 202 if failed or complaint or any(outcome.warning for outcome in outcomes) else 200


def response_dataset(outcomes: list[Outcome], study: str | None, base: str) -> dict:
    """Return the Store Instances Response Module (PS3.18 Table I.1-1) in the DICOM JSON Model.

    Parameters
    ----------
    outcomes : list of Outcome
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
    """Return the ``Content-Location`` of the answer (PS3.18 Table 10.5.3-2): the one resource that was stored.

    Returns
    -------
    str
        Of the instance or, when there are several, their study; empty when they are of several studies.
    """
    places = {outcome.place for outcome in outcomes if not outcome.failure}
    studies = {study for study, _series, _instance in places}
    if len(studies) != 1:
        return ""
    if len(places) > 1:
        return f"{base}/studies/{studies.pop()}"
    ((study, series, instance),) = places
    return f"{base}/studies/{study}/series/{series}/instances/{instance}"


def _item(outcome: Outcome, base: str) -> dict:
    item: dict[str, dict] = {}
    if outcome.comment:
        # Error Comment, as Microsoft's server gives it; 64 characters are what its VR allows.
        item["00000902"] = {"vr": "LO", "Value": [outcome.comment[:64]]}
    if outcome.sop_class:
        item["00081150"] = {"vr": "UI", "Value": [outcome.sop_class]}
    if outcome.instance:
        item["00081155"] = {"vr": "UI", "Value": [outcome.instance]}
    if outcome.failure:
        item["00081197"] = {"vr": "US", "Value": [outcome.failure]}
        return item
    url = f"{base}/studies/{outcome.study}/series/{outcome.series}/instances/{outcome.instance}"
    item["00081190"] = {"vr": "UR", "Value": [url]}
    if outcome.warning:
        item["00081196"] = {"vr": "US", "Value": [outcome.warning]}
    return item


def warnings(outcomes: list[Outcome], complaint: str) -> list[str]:
    """Return the texts of the answer's ``Warning`` headers."""
    texts = []
    if complaint:
        texts.append(f"The request ended early: {complaint}")
    differing = sorted({tag for outcome in outcomes for tag in outcome.variants})
    if differing:
        texts.append("Values differ within a study or series: " + ", ".join(describe(tag) for tag in differing))
    elsewhere = [outcome for outcome in outcomes if outcome.elsewhere]
    if elsewhere:
        named = ", ".join(f"{outcome.instance} in {outcome.elsewhere}" for outcome in elsewhere[:10])
        texts.append(f"SOP Instance UIDs that other series have too: {named}")
    return texts
