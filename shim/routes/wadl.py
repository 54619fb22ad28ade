"""What the server can do, as the Retrieve Capabilities transaction tells it: WADL, in XML and in JSON (PS3.18 8.9).

`dicouch.routes.resources` has the table; here are its entries and how they are written. Pure functions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as Xml

from flask import Response

NAMESPACE = "http://wadl.dev.java.net/2009/02"

Handler = Callable[..., Response]


@dataclass(frozen=True)
class Method:
    """One transaction: its HTTP method, its name in PS3.18, and what answers it, called with what the path names."""

    name: str
    id: str
    handler: Handler
    # Media types of the response and of the request.
    produces: tuple[str, ...] = ()
    consumes: tuple[str, ...] = ()
    # Query parameters.
    query: tuple[str, ...] = ()
    # Status codes of success.
    statuses: tuple[int, ...] = (200,)

    @property
    def deletes(self) -> bool:
        """Whether it deletes what is stored, which a site can forbid: a subscription is nothing of that kind."""
        return self.id.startswith("Delete")


@dataclass(frozen=True)
class Resource:
    """A resource: its path below the DICOMweb root, with ``{templates}`` and empty for the root, and its methods."""

    path: str
    methods: tuple[Method, ...] = ()


def allowed(resource: Resource, *, delete: bool = True) -> list[str]:
    """Return the HTTP methods of a resource."""
    names = {method.name for method in resource.methods if delete or not method.deletes}
    return sorted({*names, "OPTIONS", *(["HEAD"] if "GET" in names else [])})


def as_xml(base: str, resources: Iterable[Resource], *, delete: bool = True) -> bytes:
    """Write capabilities as ``application/vnd.sun.wadl+xml``.

    `base` is the absolute URL of the DICOMweb root; each resource comes behind those that it is below of; `delete` says
    whether the site allows deletion.
    """
    tree = _described(base, resources, delete)
    Xml.indent(tree)
    return Xml.tostring(tree, encoding="utf-8", xml_declaration=True)


def as_json(base: str, resources: Iterable[Resource], *, delete: bool = True) -> bytes:
    """Write capabilities as JSON: the elements of WADL as objects, attributes with an @ (PS3.18 8.9.4)."""
    return json.dumps({"application": _grouped(_described(base, resources, delete))}, indent=1).encode("utf-8")


def _described(base: str, resources: Iterable[Resource], delete: bool) -> Xml.Element:
    """Return the WADL of resources, each below the one whose path its own goes on."""
    application = Xml.Element("application", xmlns=NAMESPACE)
    places = {"": Xml.SubElement(application, "resources", base=base + "/")}
    for resource in resources:
        if not resource.methods:
            continue  # the root, and the URI service
        above = resource.path
        while above not in places:
            above = above.rpartition("/")[0]
        path = resource.path.removeprefix(f"{above}/")
        element = places[resource.path] = Xml.SubElement(places[above], "resource", path=path)
        for part in path.split("/"):
            if part.startswith("{"):
                Xml.SubElement(element, "param", name=part[1:-1], style="template", required="true")
        for method in resource.methods:
            if delete or not method.deletes:
                _add_method(element, method)
    return application


def _add_method(resource: Xml.Element, method: Method) -> None:
    element = Xml.SubElement(resource, "method", name=method.name, id=method.id)
    if method.query or method.consumes:
        request = Xml.SubElement(element, "request")
        for name in method.query:
            Xml.SubElement(request, "param", name=name, style="query")
        for kind in method.consumes:
            Xml.SubElement(request, "representation", mediaType=kind)
    response = Xml.SubElement(element, "response", status=" ".join(map(str, method.statuses)))
    for kind in method.produces:
        Xml.SubElement(response, "representation", mediaType=kind)


def _grouped(element: Xml.Element) -> dict[str, Any]:
    found: dict[str, Any] = {f"@{name}": value for name, value in element.attrib.items()}
    for child in element:
        found.setdefault(child.tag, []).append(_grouped(child))
    return found
