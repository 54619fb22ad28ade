"""Structured reports as text: what each content item says (PS3.3 C.17.3, C.18)."""

import io

import pytest
from pydicom import Dataset, dcmread

from dicouch.dicom.report import as_html, as_text
from tests.made_objects import report
from tests.unit.made_images import document_of, sample


def coded(value: str, meaning: str, scheme: str = "DCM") -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return [item]


def item(kind: str, name: str | None = "Concept", relationship: str = "CONTAINS", **attributes: object) -> Dataset:
    made = Dataset()
    made.RelationshipType = relationship
    made.ValueType = kind
    if name:
        made.ConceptNameCodeSequence = coded("1", name)
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def measured(value: object, unit: str = "mm") -> list[Dataset]:
    made = Dataset()
    made.NumericValue, made.MeasurementUnitsCodeSequence = value, coded(unit, "millimeter", "UCUM")
    return [made]


def reference(*position: int, relationship: str = "INFERRED FROM") -> Dataset:
    made = Dataset()
    made.RelationshipType, made.ReferencedContentItemIdentifier = relationship, list(position)
    return made


def instance(uid: str, **attributes: object) -> list[Dataset]:
    made = Dataset()
    made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", uid
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return [made]


def lines(*content: Dataset) -> list[str]:
    root = Dataset()
    root.ContentSequence = list(content)
    dataset = root.to_json_dict()
    assert as_html(dataset).count("<li>") == as_text(dataset).count("\n") - 3
    return as_text(dataset).splitlines()[3:]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (item("NUM", "Length", MeasuredValueSequence=measured("12")), "Length: 12 mm"),
        (item("NUM", "Length", MeasuredValueSequence=measured("12.50")), "Length: 12.5 mm"),
        (item("NUM", "Ratio", MeasuredValueSequence=measured("0.5", "1")), "Ratio: 0.5"),
        # PS3.3 C.18.1: without a value the qualifier says why.
        (
            item(
                "NUM",
                MeasuredValueSequence=[],
                NumericValueQualifierCodeSequence=coded("114006", "Measurement failure"),
            ),
            "Concept: Measurement failure",
        ),
        (
            item(
                "NUM",
                MeasuredValueSequence=measured("7"),
                NumericValueQualifierCodeSequence=coded("114009", "Value out of range"),
            ),
            "Concept: 7 mm (Value out of range)",
        ),
        (item("TCOORD", "Moment", TemporalRangeType="POINT"), "Moment: POINT"),
        (
            item("IMAGE", "Source", ReferencedSOPSequence=instance("1.2.5", ReferencedFrameNumber=[3, 4])),
            "Source: 1.2.5, frame 3, 4",
        ),
        (
            item("IMAGE", "Segment", ReferencedSOPSequence=instance("1.2.5", ReferencedSegmentNumber=2)),
            "Segment: 1.2.5, segment 2",
        ),
        (item("PNAME", "Observer", PersonName="Müller^Anna"), "Observer: Müller Anna"),
        (item("CONTAINER", None), "CONTAINER"),
        (item("CODE", "Finding", ConceptCodeSequence=coded("1", "Mass")), "Finding: Mass"),
    ],
)
def test_content_items(content, line):
    assert lines(content) == [line]


def test_items_by_reference_say_what_they_refer_to():
    # PS3.3 C.17.3.2.5: the position counts from the root, which is 1.
    group = item("CONTAINER", "Group")
    group.ContentSequence = [item("NUM", "Length", MeasuredValueSequence=measured("12"))]
    conclusion = item("TEXT", "Conclusion", TextValue="Small")
    conclusion.ContentSequence = [reference(1, 1, 1), reference(1, 2), reference(1, 9, 4), reference(1, 2, 2)]
    assert lines(group, conclusion) == [
        "Group",
        "  Length: 12 mm",
        "Conclusion: Small",
        "  INFERRED FROM: Length: 12 mm (item 1.1.1)",
        "  INFERRED FROM: Conclusion: Small (item 1.2)",
        "  INFERRED FROM: (item 1.9.4)",
        "  INFERRED FROM: (item 1.2.2)",
    ]


def test_whole_numbers_whatever_the_database_writes():
    # CouchDB gives 12 back as 12.0, the embedded database as 12.
    for value in (12, 12.0):
        content = {"0040A040": {"vr": "CS", "Value": ["NUM"]}}
        content["0040A300"] = {"vr": "SQ", "Value": [{"0040A30A": {"vr": "DS", "Value": [value]}}]}
        assert as_text({"0040A730": {"vr": "SQ", "Value": [content]}}).splitlines()[3] == "12"


@pytest.mark.parametrize("name", ["test-SR.dcm", "reportsi.dcm", "reportsi_with_empty_number_tags.dcm"])
def test_every_item_of_real_reports_says_something(name):
    said = as_text(document_of(sample(name))["dataset"]).split("\n\n", 2)[2]
    assert len(said.splitlines()) >= len(dcmread(io.BytesIO(sample(name))).ContentSequence)
    assert "<li><b></b></li>" not in as_html(document_of(sample(name))["dataset"])


def test_reports_as_text():
    dataset = document_of(report())["dataset"]
    text, html = as_text(dataset), as_html(dataset)
    assert "    Length: 12.5 mm" in text
    assert "Person Observer Name: Müller Anna" in text
    assert "<b>Tracking Identifier</b>: Lesion &lt;1&gt;" in html
    assert html.count("<ul>") == html.count("</ul>") > 1
    assert as_text({}).strip() == "Structured Report"
    nested: dict = {}
    for _ in range(200):
        nested = {"0040A730": {"vr": "SQ", "Value": [nested]}}
    assert as_html(nested)
