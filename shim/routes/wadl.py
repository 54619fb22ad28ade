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
WADL, WADL_JSON = "application/vnd.sun.wadl+xml", "application/json"

Handler = Callable[..., Response]
# A WADL element: its name, its attributes and the elements below it.
Element = tuple[str, dict[str, str], list[Any]]


@dataclass(frozen=True)
class Method:
    """One transaction.

    Attributes
    ----------
    name : str
        HTTP method.
    id : str
        Transaction, as PS3.18 calls it.
    handler : callable
        Answers it, called with what the path names.
    produces, consumes, query : tuple of str
        Media types of response and request; query parameters.
    statuses : tuple of int
        Status codes of success.
    """

    name: str
    id: str
    handler: Handler
    produces: tuple[str, ...] = ()
    consumes: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    statuses: tuple[int, ...] = (200,)


@dataclass(frozen=True)
class Resource:
    """A resource with its methods.

    Attributes
    ----------
    path : str
        Below the DICOMweb root, with ``{templates}``; empty for the root.
    methods : tuple of Method
    """

    path: str
    methods: tuple[Method, ...] = ()


def allowed(resource: Resource, *, delete: bool = True) -> list[str]:
    """Return the HTTP methods of a resource."""
    names = {method.name for method in resource.methods if delete or method.name != "DELETE"}
    return sorted({*names, "OPTIONS", *(["HEAD"] if "GET" in names else [])})


def as_xml(base: str, resources: Iterable[Resource], *, delete: bool = True) -> bytes:
    """Write capabilities as ``application/vnd.sun.wadl+xml``.

    Parameters
    ----------
    base : str
        Absolute URL of the DICOMweb root.
    resources : iterable of Resource
        Each behind those that it is below of.
    delete : bool
        Whether the site allows deletion.
    """
    Xml.register_namespace("", NAMESPACE)
    tree = Xml.Element(f"{{{NAMESPACE}}}application")
    _fill(Xml.SubElement(tree, f"{{{NAMESPACE}}}resources", base=base + "/"), _described(resources, delete))
    Xml.indent(tree)
    return Xml.tostring(tree, encoding="utf-8", xml_declaration=True)


def as_json(base: str, resources: Iterable[Resource], *, delete: bool = True) -> bytes:
    """Write capabilities as JSON: the elements of WADL as objects, attributes with an @ (PS3.18 8.9.4)."""
    listed = {"@base": base + "/", **_grouped(_described(resources, delete))}
    document = {"application": {"@xmlns": NAMESPACE, "resources": [listed]}}
    return json.dumps(document, indent=1).encode("utf-8")


def _described(resources: Iterable[Resource], delete: bool) -> list[Element]:
    """Return the WADL elements of resources, each below the one whose path its own goes on."""
    found: list[Element] = []
    children = {"": found}
    for resource in resources:
        if not resource.path:
            continue  # the root has no element of its own
        above = resource.path
        while above not in children:
            above = above.rpartition("/")[0]
        path = resource.path.removeprefix(f"{above}/")
        inner = [_param(part[1:-1], "template") for part in path.split("/") if part.startswith("{")]
        inner += [_method(method) for method in resource.methods if delete or method.name != "DELETE"]
        children[above].append(("resource", {"path": path}, inner))
        children[resource.path] = inner
    return found


def _method(method: Method) -> Element:
    asked = [*(_param(name, "query") for name in method.query), *map(_representation, method.consumes)]
    status = " ".join(str(status) for status in method.statuses)
    answer: Element = ("response", {"status": status}, [_representation(name) for name in method.produces])
    request: list[Element] = [("request", {}, asked)] if asked else []
    return "method", {"name": method.name, "id": method.id}, [*request, answer]


def _representation(media_type: str) -> Element:
    return "representation", {"mediaType": media_type}, []


def _param(name: str, style: str) -> Element:
    return "param", {"name": name, "style": style, **({"required": "true"} if style == "template" else {})}, []


def _fill(parent: Xml.Element, described: list[Element]) -> None:
    for name, attributes, children in described:
        _fill(Xml.SubElement(parent, f"{{{NAMESPACE}}}{name}", attributes), children)


def _grouped(described: list[Element]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name, attributes, children in described:
        entry = {**{f"@{key}": value for key, value in attributes.items()}, **_grouped(children)}
        found.setdefault(name, []).append(entry)
    return found
