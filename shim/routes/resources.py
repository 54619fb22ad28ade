"""The resources below the DICOMweb root: what answers each of them, and what clients are told of it (PS3.18 8.9).

`TABLE` is the one place that lists them. `register` makes Flask's rules of it, `dicouch.routes.wadl` the capabilities.
"""

from __future__ import annotations

import re
from functools import partial

from flask import Blueprint

from dicouch.routes import (
    bulkdata,
    changefeed,
    channels,
    delete,
    events,
    frames,
    instances,
    metadata,
    rendered,
    replica,
    search,
    store,
    thumbnails,
    workitems,
)
from dicouch.routes.wadl import Handler, Method, Resource

JSON = ("application/dicom+json", "application/json")
DATASETS = (*JSON, 'multipart/related; type="application/dicom+xml"')
UPLOADS = ('multipart/related; type="application/dicom"', "application/dicom")
FILES = (*UPLOADS, "application/zip", 'multipart/related; type="application/octet-stream"')
PICTURES = ("image/jpeg", "image/png", "image/gif", "image/jp2")
PIXELS = (
    'multipart/related; type="application/octet-stream"',
    "application/octet-stream",
    *(f'multipart/related; type="{name}"' for name in ("image/jpeg", "image/jls", "image/jp2", "image/dicom-rle")),
)
RENDERED = (*PICTURES, *(f'multipart/related; type="{name}"' for name in PICTURES))
OTHERS = ("text/html", "text/plain", "application/pdf", "video/mp4", "video/mpeg")
RENDERING = ("annotation", "quality", "viewport", "window", "iccprofile")
FEED = ("includeMetadata", "offset", "limit", "startTime", "endTime")
SEARCH = ("accept", "limit", "offset", "fuzzymatching", "includefield", "{attributeID}")

STUDY = "studies/{study}"
SERIES = f"{STUDY}/series/{{series}}"
INSTANCE = f"{SERIES}/instances/{{instance}}"
WORKITEM = "workitems/{workitem}"
SUBSCRIBER = f"{WORKITEM}/subscribers/{{aetitle}}"
VALUE = f"{INSTANCE}/bulkdata/{{bulkdata}}"
FRAMES = f"{INSTANCE}/frames/{{frames}}"
REPLICA = "documents/{study}"


def _get(what: str, handler: Handler, produces: tuple[str, ...], query: tuple[str, ...] = ()) -> Method:
    return Method("GET", f"Retrieve{what}", handler, produces, query=("accept", *query))


def _store(what: str) -> Method:
    produces = ("application/dicom+json", "application/dicom+xml")
    return Method("POST", f"Store{what}", store.store, produces, UPLOADS, statuses=(200, 202))


def _works(id_: str, handler: Handler, statuses: tuple[int, ...] = (200,), name: str = "POST") -> Method:
    """Return a transaction on the worklist whose answer has no body."""
    return Method(name, id_, handler, (), (*JSON, "application/dicom+xml"), statuses=statuses)


def _search(path: str, what: str, level: str, *more: Method) -> tuple[Resource, ...]:
    """Return a search and its count. PS3.18 has neither counts nor patients; see docs/conformance.md."""
    found = Method("GET", f"SearchFor{what}", partial(search.search, level), DATASETS, query=SEARCH)
    counted = Method("GET", f"Count{what}", partial(search.count, level), JSON[::-1], query=SEARCH)
    return Resource(path, (found, *more)), Resource(f"{path}/count", (counted,))


def _level(path: str, what: str, rendering: Handler, *more: Method) -> tuple[Resource, ...]:
    """Return what studies, series and instances have alike."""
    gone = Method("DELETE", f"Delete{what}", delete.delete, statuses=(204,))
    return (
        Resource(path, (_get(what, instances.retrieve, FILES), *more, gone)),
        Resource(f"{path}/metadata", (_get(f"{what}Metadata", metadata.retrieve, DATASETS),)),
        Resource(f"{path}/bulkdata", (_get(f"{what}Bulkdata", bulkdata.retrieve_all, PIXELS),)),
        Resource(f"{path}/pixeldata", (_get(f"{what}PixelData", frames.retrieve_all, PIXELS),)),
        Resource(f"{path}/rendered", (_get(f"Rendered{what}", rendering, (*RENDERED, *OTHERS), RENDERING),)),
        Resource(f"{path}/thumbnail", (_get(f"{what}Thumbnail", thumbnails.retrieve, PICTURES, ("viewport",)),)),
    )


# Each resource stands behind those that it is below of.
TABLE = (
    Resource(""),
    *_search("studies", "Studies", "study", _store("Instances")),
    *_level(STUDY, "Study", rendered.retrieve_all, _store("StudyInstances")),
    *_search(f"{STUDY}/instances", "StudyInstances", "instance"),
    *_search(f"{STUDY}/series", "StudySeries", "series"),
    *_level(SERIES, "Series", rendered.retrieve_all),
    *_search(f"{SERIES}/instances", "SeriesInstances", "instance"),
    *_level(INSTANCE, "Instance", rendered.retrieve),
    Resource(VALUE, (_get("BulkdataValue", bulkdata.retrieve_value, (*PIXELS, "application/pdf")),)),
    Resource(FRAMES, (_get("Frames", frames.retrieve, PIXELS),)),
    Resource(f"{FRAMES}/rendered", (_get("RenderedFrames", rendered.retrieve, RENDERED, RENDERING),)),
    Resource(f"{FRAMES}/thumbnail", (_get("FrameThumbnail", thumbnails.retrieve, PICTURES, ("viewport",)),)),
    *_search("series", "Series", "series"),
    *_search("instances", "Instances", "instance"),
    *_search("patients", "Patients", "patient"),
    Resource("changefeed", (_get("ChangeFeed", changefeed.retrieve, JSON[::-1], FEED),)),
    Resource("changefeed/latest", (_get("LatestChange", changefeed.latest, JSON[::-1], FEED[:1]),)),
    Resource("events", (_get("Events", events.stream, (events.KIND,), ("kind", "StudyInstanceUID", "Modality")),)),
    *_search("workitems", "Workitems", "workitem", _works("CreateWorkitem", workitems.create, (201,))),
    Resource(
        WORKITEM,
        (
            _get("Workitem", workitems.retrieve, (*DATASETS, "application/dicom+xml")),
            _works("UpdateWorkitem", workitems.update),
        ),
    ),
    Resource(f"{WORKITEM}/state", (_works("ChangeWorkitemState", workitems.change_state, name="PUT"),)),
    Resource(
        f"{WORKITEM}/state/{{requester}}", (_works("ChangeWorkitemStateFor", workitems.change_state, name="PUT"),)
    ),
    Resource(
        f"{WORKITEM}/cancelrequest", (_works("RequestWorkitemCancellation", workitems.request_cancellation, (202,)),)
    ),
    Resource(
        f"{WORKITEM}/cancelrequest/{{requester}}",
        (_works("RequestWorkitemCancellationFor", workitems.request_cancellation, (202,)),),
    ),
    Resource(
        SUBSCRIBER,
        (
            Method("POST", "Subscribe", workitems.subscribe, query=("deletionlock", "filter"), statuses=(201,)),
            Method("DELETE", "Unsubscribe", workitems.unsubscribe),
        ),
    ),
    Resource(f"{SUBSCRIBER}/suspend", (Method("POST", "SuspendGlobalSubscription", workitems.suspend),)),
    Resource("subscribers/{aetitle}", (Method("GET", "OpenEventChannel", channels.open_channel, statuses=(101,)),)),
    # What replicating a study takes (docs/offline/README.md).
    Resource(REPLICA, (Method("GET", "RetrieveReplica", replica.information, JSON[1:]),)),
    Resource(f"{REPLICA}/_changes", (Method("GET", "RetrieveReplicaChanges", replica.changes, JSON[1:]),)),
    Resource(f"{REPLICA}/_bulk_get", (Method("POST", "RetrieveDocuments", replica.documents, JSON[1:], JSON[1:]),)),
    Resource("wado"),  # the URI service, which PS3.18 has no capabilities of
)


def register(blueprint: Blueprint) -> None:
    """Add a rule for each method of each resource; its handler is called with what the path names."""
    for resource in TABLE:
        rule = re.sub(r"\{(\w+)\}", r"<\1>", f"/{resource.path}").replace("<bulkdata>", "<path:bulkdata>")
        for method in resource.methods:
            blueprint.add_url_rule(rule, method.id, method.handler, methods=[method.name])
            if 101 in method.statuses:
                # Werkzeug keeps the handshakes of WebSockets apart; what is none is told that by the rule above.
                blueprint.add_url_rule(rule, method.id, method.handler, methods=[method.name], websocket=True)


def find(path: str) -> tuple[Resource, ...]:
    """Return the resource at a path below the DICOMweb root, and those below it; nothing when there is none."""
    for resource in TABLE:
        # A bulk value's path has as many parts as its depth in sequences needs.
        template = resource.path.replace("{bulkdata}", ".+")
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            below = f"{resource.path}/" if resource.path else ""
            return (resource, *(other for other in TABLE[1:] if other.path.startswith(below) and other is not resource))
    return ()
