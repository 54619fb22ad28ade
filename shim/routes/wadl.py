"""What the server can do, as the Retrieve Capabilities transaction tells it: WADL, in XML and in JSON (PS3.18 8.9).

The table below is the one place that lists resources, methods, media types and parameters. Pure functions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from xml.etree import ElementTree as Xml

NAMESPACE = "http://wadl.dev.java.net/2009/02"
WADL, WADL_JSON = "application/vnd.sun.wadl+xml", "application/json"

DATASETS = ("application/dicom+json", "application/json", 'multipart/related; type="application/dicom+xml"')
FILES = ('multipart/related; type="application/dicom"', "application/dicom", "application/zip")
PICTURES = ("image/jpeg", "image/png", "image/gif", "image/jp2")
PIXELS = (
    'multipart/related; type="application/octet-stream"',
    "application/octet-stream",
    *(f'multipart/related; type="{name}"' for name in ("image/jpeg", "image/jls", "image/jp2", "image/dicom-rle")),
)
RENDERED = (*PICTURES, *(f'multipart/related; type="{name}"' for name in PICTURES))
OTHERS = ("text/html", "text/plain", "application/pdf", "video/mp4", "video/mpeg")
# Of PS3.18 are neither `patients` nor the counts; both are searches (see docs/conformance.md).
COUNT, PLAIN_JSON = "count", ("application/json", "application/dicom+json")
_RENDERING = ("annotation", "quality", "viewport", "window", "iccprofile")
_SEARCH = ("limit", "offset", "fuzzymatching", "includefield", "{attributeID}")


@dataclass(frozen=True)
class Method:
    """One transaction.

    Attributes
    ----------
    name : str
        HTTP method.
    id : str
        Transaction, as PS3.18 calls it.
    produces, consumes, query : tuple of str
        Media types of response and request; query parameters.
    statuses : tuple of int
        Status codes of success.
    """

    name: str
    id: str
    produces: tuple[str, ...] = ()
    consumes: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    statuses: tuple[int, ...] = (200,)


def _retrieve(what: str, produces: tuple[str, ...], query: tuple[str, ...] = ()) -> Method:
    return Method("GET", f"Retrieve{what}", produces, query=("accept", *query))


def _search(what: str) -> Method:
    return Method("GET", f"SearchFor{what}", DATASETS, query=("accept", *_SEARCH))


def _count(what: str) -> Resource:
    return Resource(COUNT, (Method("GET", f"Count{what}", PLAIN_JSON, query=("accept", *_SEARCH)),))


def _store(what: str) -> Method:
    return Method(
        "POST",
        f"Store{what}",
        ("application/dicom+json", "application/dicom+xml"),
        ('multipart/related; type="application/dicom"', "application/dicom"),
        statuses=(200, 202),
    )


def _delete(what: str) -> Method:
    return Method("DELETE", f"Delete{what}", statuses=(204,))


@dataclass(frozen=True)
class Resource:
    """A resource below another, with its methods.

    Attributes
    ----------
    path : str
        Relative, with ``{templates}``.
    methods : tuple of Method
    children : tuple of Resource
    """

    path: str
    methods: tuple[Method, ...] = ()
    children: tuple[Resource, ...] = field(default=())


def _common(level: str) -> tuple[Resource, ...]:
    return (
        Resource("metadata", (_retrieve(f"{level}Metadata", DATASETS),)),
        Resource("bulkdata", (_retrieve(f"{level}Bulkdata", PIXELS),)),
        Resource("pixeldata", (_retrieve(f"{level}PixelData", PIXELS),)),
        Resource("rendered", (_retrieve(f"Rendered{level}", (*RENDERED, *OTHERS), _RENDERING),)),
        Resource("thumbnail", (_retrieve(f"{level}Thumbnail", PICTURES, ("viewport",)),)),
    )


_FRAMES = Resource(
    "frames/{frames}",
    (_retrieve("Frames", PIXELS),),
    (
        Resource("rendered", (_retrieve("RenderedFrames", RENDERED, _RENDERING),)),
        Resource("thumbnail", (_retrieve("FrameThumbnail", PICTURES, ("viewport",)),)),
    ),
)
_INSTANCES = Resource(
    "instances",
    (_search("SeriesInstances"),),
    (
        _count("SeriesInstances"),
        Resource(
            "{instance}",
            (_retrieve("Instance", FILES), _delete("Instance")),
            (
                *_common("Instance"),
                Resource("bulkdata/{bulkdata}", (_retrieve("BulkdataValue", (*PIXELS, "application/pdf")),)),
                _FRAMES,
            ),
        ),
    ),
)
_SERIES = Resource(
    "series",
    (_search("StudySeries"),),
    (
        _count("StudySeries"),
        Resource("{series}", (_retrieve("Series", FILES), _delete("Series")), (*_common("Series"), _INSTANCES)),
    ),
)
_STUDY_INSTANCES = Resource("instances", (_search("StudyInstances"),), (_count("StudyInstances"),))
ROOT = (
    Resource(
        "studies",
        (_search("Studies"), _store("Instances")),
        (
            _count("Studies"),
            Resource(
                "{study}",
                (_retrieve("Study", FILES), _store("StudyInstances"), _delete("Study")),
                (*_common("Study"), _STUDY_INSTANCES, _SERIES),
            ),
        ),
    ),
    *(Resource(what.lower(), (_search(what),), (_count(what),)) for what in ("Series", "Instances", "Patients")),
)


def find(path: str) -> tuple[Resource, ...] | None:
    """Return the resource at a path with everything below it; None when there is none.

    Parameters
    ----------
    path : str
        Below the DICOMweb root, without slashes at its ends; empty for the root.
    """
    return ROOT if not path else _find(path.split("/"), ROOT, "")


def _find(parts: list[str], resources: tuple[Resource, ...], above: str) -> tuple[Resource, ...] | None:
    for resource in resources:
        pattern = resource.path.split("/")
        rest = len(parts) - len(pattern)
        # A bulk value's path has as many parts as its depth in sequences needs.
        tail = pattern[-1] == "{bulkdata}"
        if rest < 0 or not all(_fits(one, part) for one, part in zip(pattern, parts, strict=False)):
            continue
        full = f"{above}{resource.path}"
        if rest == 0 or tail:
            return (Resource(full, resource.methods, resource.children),)
        found = _find(parts[len(pattern) :], resource.children, full + "/")
        if found is not None:
            return found
    return None


def _fits(pattern: str, part: str) -> bool:
    return pattern == part or (pattern.startswith("{") and bool(part))


def allowed(resources: tuple[Resource, ...], *, delete: bool = True) -> list[str]:
    """Return the HTTP methods of a resource."""
    names = {method.name for resource in resources[:1] for method in resource.methods} if len(resources) == 1 else set()
    if not delete:
        names.discard("DELETE")
    return sorted({*names, "OPTIONS", *(["HEAD"] if "GET" in names else [])})


def as_xml(base: str, resources: tuple[Resource, ...], *, delete: bool = True) -> bytes:
    """Write capabilities as ``application/vnd.sun.wadl+xml``.

    Parameters
    ----------
    base : str
        Absolute URL of the DICOMweb root.
    resources : tuple of Resource
        From `find`.
    delete : bool
        Whether the site allows deletion.
    """
    Xml.register_namespace("", NAMESPACE)
    tree = Xml.Element(f"{{{NAMESPACE}}}application")
    _fill(Xml.SubElement(tree, f"{{{NAMESPACE}}}resources", base=base + "/"), _described(resources, delete))
    Xml.indent(tree)
    return Xml.tostring(tree, encoding="utf-8", xml_declaration=True)


def as_json(base: str, resources: tuple[Resource, ...], *, delete: bool = True) -> bytes:
    """Write capabilities as JSON: the elements of WADL as objects, attributes with an @ (PS3.18 8.9.4)."""
    listed = {"@base": base + "/", **_grouped(_described(resources, delete))}
    document = {"application": {"@xmlns": NAMESPACE, "resources": [listed]}}
    return json.dumps(document, indent=1).encode("utf-8")


def _described(resources: tuple[Resource, ...], delete: bool) -> list[tuple[str, dict, list]]:
    """Return WADL elements as (name, attributes, children)."""
    found = []
    for resource in resources:
        templates = [part[1:-1] for part in resource.path.split("/") if part.startswith("{")]
        children = [_param(name, "template") for name in templates]
        children += [_method(method) for method in resource.methods if delete or method.name != "DELETE"]
        children += _described(resource.children, delete)
        found.append(("resource", {"path": resource.path}, children))
    return found


def _method(method: Method) -> tuple[str, dict, list]:
    query = [_param(name, "query") for name in method.query]
    consumed = [("representation", {"mediaType": name}, []) for name in method.consumes]
    produced = [("representation", {"mediaType": name}, []) for name in method.produces]
    request = [("request", {}, query + consumed)] if query or consumed else []
    answer = ("response", {"status": " ".join(str(status) for status in method.statuses)}, produced)
    return "method", {"name": method.name, "id": method.id}, [*request, answer]


def _param(name: str, style: str) -> tuple[str, dict, list]:
    return "param", {"name": name, "style": style, **({"required": "true"} if style == "template" else {})}, []


def _fill(parent: Xml.Element, described: list[tuple[str, dict, list]]) -> None:
    for name, attributes, children in described:
        _fill(Xml.SubElement(parent, f"{{{NAMESPACE}}}{name}", attributes), children)


def _grouped(described: list[tuple[str, dict, list]]) -> dict:
    found: dict[str, list] = {}
    for name, attributes, children in described:
        entry = {**{f"@{key}": value for key, value in attributes.items()}, **_grouped(children)}
        found.setdefault(name, []).append(entry)
    return found
