"""The table of resources: the rules and the capabilities that are made of it, and the UIDs that no route sees."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree as Xml

import pytest

from dicouch.app import create_app
from dicouch.config import Config
from dicouch.routes import resources, wadl

UIDS = {"study": "1.2", "series": "1.3", "instance": "1.4", "frames": "1", "bulkdata": "7FE00010"}


@pytest.fixture(scope="module")
def app():
    """An application whose database is not there: what is asked here needs none."""
    return create_app(Config("http://127.0.0.1:1"))


def test_every_rule_is_in_the_table_and_the_other_way_round(app):
    rules = {
        (re.sub(r"<(?:path:)?(\w+)>", r"{\1}", rule.rule.removeprefix("/dicom-web/")), method)
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("dicomweb.")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert rules == {(resource.path, method.name) for resource in resources.TABLE for method in resource.methods}


def test_a_resource_stands_behind_those_that_it_is_below_of():
    paths = [resource.path for resource in resources.TABLE]
    assert len(set(paths)) == len(paths)
    for number, path in enumerate(paths):
        above = [other for other in paths if other and path.startswith(f"{other}/")]
        assert all(paths.index(other) < number for other in above), path


@pytest.mark.parametrize(
    ("path", "method"), [(one.path, method.name) for one in resources.TABLE for method in one.methods]
)
def test_a_path_with_no_uid_is_refused_before_its_route(app, path, method):
    for level in re.findall(r"\{(study|series|instance)\}", path):
        named = {**UIDS, level: "a%20b"}
        answer = app.test_client().open("/dicom-web/" + path.format(**named), method=method)
        assert answer.status_code == 400
        assert answer.json["reason"] == f"the {level} UID 'a b' contains white space"


def test_capabilities_in_xml_and_json_say_the_same():
    namespace = f"{{{wadl.NAMESPACE}}}"
    tree = Xml.fromstring(wadl.as_xml("http://a/b", resources.TABLE))
    document = json.loads(wadl.as_json("http://a/b", resources.TABLE))

    def from_xml(element):
        found = {f"@{name}": value for name, value in element.attrib.items()}
        for child in element:
            found.setdefault(child.tag.removeprefix(namespace), []).append(from_xml(child))
        return found

    listed = document["application"]["resources"]
    assert listed == [from_xml(tree.find(f"{namespace}resources"))]
    assert document["application"]["@xmlns"] == wadl.NAMESPACE


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("", ["OPTIONS"]),
        ("studies", ["GET", "HEAD", "OPTIONS", "POST"]),
        ("studies/1.2", ["DELETE", "GET", "HEAD", "OPTIONS", "POST"]),
        ("studies/1.2/series/3/instances/4/bulkdata/00880200/0/7FE00010", ["GET", "HEAD", "OPTIONS"]),
        ("studies/1.2/series/3/instances/4/frames/1,2/rendered", ["GET", "HEAD", "OPTIONS"]),
        ("studies/1.2/metadata", ["GET", "HEAD", "OPTIONS"]),
        ("patients", ["GET", "HEAD", "OPTIONS"]),
        ("studies/count", ["GET", "HEAD", "OPTIONS"]),
        ("studies/1.2/series/count", ["GET", "HEAD", "OPTIONS"]),
        ("studies/1.2/series/3/instances/count", ["GET", "HEAD", "OPTIONS"]),
    ],
)
def test_methods_of_resources(path, methods):
    assert wadl.allowed(resources.find(path)[0]) == methods
    assert "DELETE" not in wadl.allowed(resources.find(path)[0], delete=False)


@pytest.mark.parametrize("path", ["patients/1", "studies/1/2", "studies//series", "studies/1/metadata/x", "bulkdata"])
def test_no_such_resource(path):
    assert resources.find(path) == ()
