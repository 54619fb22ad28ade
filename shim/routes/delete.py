"""Deleting studies, series and instances. PS3.18 has no such transaction; the resources are its own."""

from __future__ import annotations

from flask import Blueprint, Response, current_app

from dicouch.errors import DicomWebError
from dicouch.routes import common
from dicouch.write.delete import Deleter

blueprint = Blueprint("delete", __name__)


@blueprint.delete("/studies/<study>")
def delete_study(study):
    """Delete a study."""
    return delete(study)


@blueprint.delete("/studies/<study>/series/<series>")
def delete_series(study, series):
    """Delete a series."""
    return delete(study, series)


@blueprint.delete("/studies/<study>/series/<series>/instances/<instance>")
def delete_instance(study, series, instance):
    """Delete an instance."""
    return delete(study, series, instance)


def delete(study: str, series: str | None = None, instance: str | None = None) -> Response:
    """Delete and answer 204; 403 where the site forbids it."""
    common.check_uids(study=study, series=series, instance=instance)
    if common.config().allow_delete != "yes":
        raise DicomWebError(403, "this site does not allow deletion (ALLOW_DELETE=no)")
    merged = current_app.extensions["dicouch"]["merged"]
    Deleter(common.couch(), common.store(), merged, common.authorization()).delete(study, series, instance)
    return Response(status=204)
