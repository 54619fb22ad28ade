"""Instances from metadata and bulk data (PS3.18 10.5.1.4)."""

import hashlib
import io
import json

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from dicouch.dicom.media.dicom_xml import dataset_to_xml
from dicouch.dicom.media.multipart import MalformedMultipart, TooManyParts
from dicouch.dicom.part10 import read_part10
from dicouch.errors import DicomWebError
from dicouch.write.body import instances
from dicouch.write.outcome import Outcome
from tests.requests_made import Made, attribute, body, content_type, image, metadata, split

BASE = "http://server.example/dicom-web/studies"
PIXELS = bytes(range(12))


def store(*parts, kind="application/dicom+json", size=1 << 30, count=100):
    """Return what a request becomes: file contents, or outcomes."""
    made = instances(
        io.BytesIO(body(*parts)),
        content_type(kind),
        max_size=size,
        max_parts=count,
        folder=None,
        base=BASE,
    )
    results = []
    for result in made:
        if isinstance(result, Outcome):
            results.append(result)
            continue
        with result:
            content = result.file.read()
        assert (result.size, result.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert not read_part10(io.BytesIO(content), len(content)).warnings
        results.append(content)
    return results


def read(content):
    return dcmread(io.BytesIO(content))


def test_a_file_with_meta_information_is_made():
    (content,) = store(metadata(image()), Made(PIXELS, location="bulk/1"))
    made = read(content)
    assert content[128:132] == b"DICM"
    assert made.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert made.file_meta.MediaStorageSOPClassUID == made.SOPClassUID
    assert made.file_meta.MediaStorageSOPInstanceUID == "1.2.3.4.1"
    assert made.file_meta.FileMetaInformationVersion == b"\0\1"
    assert (made.PixelData, made.PatientName, made["PixelData"].VR) == (PIXELS, "Doe^Jane", "OW")


@pytest.mark.parametrize(
    ("uri", "location"),
    [
        ("bulk/1", "bulk/1"),
        ("bulk/1", "./bulk/1"),
        ("bulk/1", f"{BASE.rpartition('/')[0]}/bulk/1"),
        (f"{BASE.rpartition('/')[0]}/bulk/1", "bulk/1"),
        ("http://other.example/a?b=c", "http://other.example/a?b=c"),
        ("urn:uuid:7a1e", "urn:uuid:7a1e"),
        ("bulk/1", "<bulk/1>"),
        ("http://[", "http://["),
    ],
)
def test_locations_are_compared_as_urls(uri, location):
    assert read(*store(metadata(image(pixels=uri)), Made(PIXELS, location=location))).PixelData == PIXELS


def test_a_content_id_is_a_location():
    part = Made(PIXELS, more="Content-ID: <pixels@example>\r\n")
    assert read(*store(metadata(image(pixels="cid:pixels@example")), part)).PixelData == PIXELS


def test_bulk_data_may_come_before_the_metadata_and_be_shared():
    results = store(Made(PIXELS, location="bulk/1"), metadata(image(1), image(2)))
    assert [read(content).SOPInstanceUID for content in results] == ["1.2.3.4.1", "1.2.3.4.2"]
    assert {read(content).PixelData for content in results} == {PIXELS}


def test_an_instance_is_built_as_soon_as_it_is_complete():
    data = body(metadata(image(1, "a"), image(2, "b")), Made(PIXELS, location="b"), Made(PIXELS, location="a"))

    class Body(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 100))

    source = Body(data)
    results = instances(source, content_type(), max_size=10**6, max_parts=9, folder=None, base=BASE)
    with next(results) as first:
        assert read(first.file.read()).SOPInstanceUID == "1.2.3.4.2"
    assert source.tell() < len(data)


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "reportsi.dcm", "waveform_ecg.dcm"])
@pytest.mark.parametrize("kind", ["application/dicom+json", "application/dicom+xml"])
def test_real_files_come_together_again(name, kind):
    original = dcmread(get_testdata_file(name))
    original.pop("DataSetTrailingPadding", None)
    dataset, bulk = split(original)
    first = Made(dataset_to_xml(dataset), kind) if kind.endswith("xml") else metadata(dataset)
    (content,) = store_leniently(first, *(Made(data, location=at) for at, data in bulk.items()), kind=kind)
    made = read(content)
    expected = {tag: value for tag, value in comparable(original).items() if tag != "00080005"}
    assert {tag: value for tag, value in comparable(made).items() if tag != "00080005"} == expected


def store_leniently(*parts, kind):
    made = instances(
        io.BytesIO(body(*parts)), content_type(kind), max_size=1 << 30, max_parts=9, folder=None, base=BASE
    )
    contents = []
    for result in made:
        assert not isinstance(result, Outcome), result.comment
        with result:
            contents.append(result.file.read())
    return contents


def comparable(dataset):
    return json.loads(json.dumps(dataset.to_json_dict()))


def test_text_becomes_utf_8_in_items_too():
    nested = [{"00080005": attribute("CS", "ISO_IR 100"), "00081150": attribute("UI", "1.2")}]
    (content,) = store(
        metadata(
            image(
                x00100010=attribute("PN", {"Alphabetic": "Müller", "Ideographic": "山田", "Phonetic": "やまだ"}),
                x00080005=attribute("CS", "ISO_IR 100"),
                x00081140=attribute("SQ", *nested),
            )
        ),
        Made(PIXELS, location="bulk/1"),
    )
    made = read(content)
    assert made.SpecificCharacterSet == "ISO_IR 192"
    assert str(made.PatientName) == "Müller=山田=やまだ"
    assert "SpecificCharacterSet" not in made.ReferencedImageSequence[0]


def test_what_belongs_to_the_file_or_the_answer_is_no_attribute():
    more = {
        "x00020010": attribute("UI", "1.2.840.10008.1.2.1"),
        "x00083002": attribute("UI", "1.2.840.10008.1.2.1"),
        "x00280000": attribute("UL", 12),
    }
    made = read(*store(metadata(image(**more)), Made(PIXELS, location="bulk/1")))
    assert "AvailableTransferSyntaxUID" not in made
    assert "TransferSyntaxUID" not in made


def test_metadata_alone_as_one_part():
    for kind, data in (
        ("application/dicom+json", json.dumps([image(x7FE00010=None)]).encode()),
        ("application/dicom+json; charset=utf-8", json.dumps(image(x7FE00010=None)).encode()),
        ("application/dicom+xml", dataset_to_xml(image(x7FE00010=None))),
    ):
        (part,) = instances(io.BytesIO(data), kind, max_size=10**6, max_parts=1, folder=None, base=BASE)
        with part:
            assert read(part.file.read()).PatientID == "4711"


def test_part_10_files_among_the_parts_go_through():
    (built,) = store(metadata(image(1)), Made(PIXELS, location="bulk/1"))
    results = store(metadata(image(2)), Made(PIXELS, location="bulk/1"), Made(built, "application/dicom"))
    assert {read(content).SOPInstanceUID for content in results} == {"1.2.3.4.1", "1.2.3.4.2"}


def test_encapsulated_documents_say_what_they_are():
    document = image(
        x7FE00010=None,
        x00420011={"vr": "OB", "BulkDataURI": "report"},
        x00080016=attribute("UI", "1.2.840.10008.5.1.4.1.1.104.1"),
    )
    made = read(*store(metadata(document), Made(b"%PDF-1.4 x", "application/pdf", "report")))
    assert made.EncapsulatedDocument == b"%PDF-1.4 x"
    assert made.MIMETypeOfEncapsulatedDocument == "application/pdf"
    made = read(
        *store(metadata(document), Made(b"%PDF-1.4", "application/pdf", "report"), kind="application/dicom+json")
    )
    odd = read(*store(metadata(document), Made(b"%PDF-1.42", "application/pdf", "report")))
    assert (odd.EncapsulatedDocument, odd.EncapsulatedDocumentLength) == (b"%PDF-1.42\0", 9)


def test_bulk_data_of_any_vr_and_in_items():
    more = {
        "x00283010": attribute(
            "SQ", {"00283002": attribute("US", 6, 0, 16), "00283006": {"vr": "OW", "BulkDataURI": "lut"}}
        ),
        "x0040A160": {"vr": "UT", "BulkDataURI": "text"},
        "x00189321": {"vr": "SQ"},
        "x00091001": {"vr": "UN", "InlineBinary": "AAEC"},
        "x00090010": attribute("LO", "ACME"),
    }
    made = read(
        *store(
            metadata(image(**more)),
            Made(b"ab" * 6, location="lut"),
            Made("Größe".encode(), "text/plain; charset=utf-8", "text"),
            Made(PIXELS, location="bulk/1"),
        )
    )
    assert made.VOILUTSequence[0].LUTData == b"ab" * 6
    assert made.TextValue.strip() in ("Größe", "Gr\u00c3\u00b6\u00c3\u009fe")
    assert made[0x00091001].value == b"\0\1\2\0"


def outcome(*parts, **options) -> Outcome:
    (result,) = store(*parts, **options)
    assert isinstance(result, Outcome), "stored"
    assert (result.study, result.series, result.instance) in (("1.2.3", "1.2.3.4", "1.2.3.4.1"), ("", "", ""))
    return result


@pytest.mark.parametrize(
    ("changes", "reason", "said"),
    [
        ({"x00100010": {"Value": ["a"]}}, 0xC000, "(0010,0010) PatientName has no vr"),
        ({"x00100010": {"vr": "XX", "Value": ["a"]}}, 0xC000, "the vr 'XX'"),
        ({"x00100010": {"vr": "LO", "Value": ["a"]}}, 0xC000, "has the vr LO, not PN"),
        ({"x00100010": {"vr": "PN", "Value": [7]}}, 0xC000, "no PN"),
        ({"x00100010": {"vr": "PN", "Value": [{"Family": "a"}]}}, 0xC000, "Alphabetic"),
        ({"x00100010": {"vr": "PN", "Value": [{"Alphabetic": 7}]}}, 0xC000, "no string"),
        ({"x00100010": {"vr": "PN", "Value": "Doe"}}, 0xC000, "no array"),
        ({"x00100010": "Doe"}, 0xC000, "is a string, not an object"),
        ({"x00280010": {"vr": "US", "Value": ["many"]}}, 0xC000, "(0028,0010) Rows"),
        ({"x00280103": {"vr": "US", "Value": [70000]}}, 0xC000, "no US"),
        ({"x00280103": {"vr": "US", "Value": [True]}}, 0xC000, "a boolean"),
        ({"x00280103": {"vr": "US", "Value": [0.5]}}, 0xC000, "whole number"),
        ({"x00280009": {"vr": "AT", "Value": ["frame"]}}, 0xC000, "eight hexadecimal digits"),
        ({"x00189087": {"vr": "FD", "Value": [{}]}}, 0xC000, "an object where a number is due"),
        ({"x00081140": {"vr": "SQ", "Value": [7]}}, 0xC000, "a number, not an object"),
        ({"x00081140": {"vr": "SQ", "BulkDataURI": "bulk/1"}}, 0xC000, "cannot be bulk data"),
        ({"x00204000": {"vr": "LT", "Value": ["a", "b"]}}, 0xC000, "LT can have one"),
        ({"x00091001": {"vr": "UN", "Value": ["a"]}}, 0xC000, "UN cannot have"),
        ({"x00091001": {"vr": "UN", "InlineBinary": "a"}}, 0xC000, "not base64"),
        ({"x00091001": {"vr": "UN", "InlineBinary": 5}}, 0xC000, "not base64"),
        ({"x00100020": {"vr": "LO", "InlineBinary": "YWI="}}, 0xC000, "LO cannot have"),
        ({"x00100020": {"vr": "LO", "Value": ["a"], "InlineBinary": "YWI="}}, 0xC000, "both"),
        ({"x00100020": {"vr": "LO", "BulkDataURI": 7}}, 0xC000, "no string"),
        ({"PatientID": {"vr": "LO", "Value": ["a"]}}, 0xC000, "'PatientID' is not a tag"),
        ({"xFFFEE000": {"vr": "UN"}}, 0xC000, "cannot stand in a data set"),
        ({"x7fe00010": {"vr": "OW"}}, 0xC000, "appears twice"),
        ({"x00280010": None}, 0x0120, "Rows is missing"),
        ({"x00280008": {"vr": "IS", "Value": ["none"]}}, 0xC000, "no number of frames"),
        ({"x00280008": {"vr": "IS", "Value": ["2"]}}, 0xA900, "12 bytes, the image 24"),
        ({"x00280011": {"vr": "US", "Value": [9]}}, 0xA900, "12 bytes, the image 36"),
        (
            {"x00081140": {"vr": "SQ", "Value": [{"00420011": {"vr": "OB", "BulkDataURI": "x"}}]}},
            0xA922,
            "not in the request",
        ),
    ],
)
def test_metadata_that_make_no_instance_are_told(changes, reason, said):
    told = outcome(metadata(image(**changes)), Made(PIXELS, location="bulk/1"))
    assert told.failure == reason
    assert said in told.comment


def test_one_failure_leaves_the_others_alone():
    wrong = image(2, x00280010=attribute("US", 50))
    results = store(
        metadata(image(1), wrong, "nothing", image(3, "missing"), image(4)),
        Made(PIXELS, location="bulk/1"),
        Made(b"spare", location="unused"),
        Made(b"", kind="application/octet-stream"),
    )
    assert [read(content).SOPInstanceUID for content in results if isinstance(content, bytes)] == [
        "1.2.3.4.1",
        "1.2.3.4.4",
    ]
    told = [(result.instance, result.failure) for result in results if isinstance(result, Outcome)]
    assert sorted(told) == sorted(
        [("1.2.3.4.2", 0xA900), ("", 0xC000), ("1.2.3.4.3", 0xA922), ("", 0xA922), ("", 0xA922)]
    )
    assert any("unused" in result.comment for result in results if isinstance(result, Outcome))


def test_two_parts_of_one_location_are_not_guessed_at():
    told = outcome(
        Made(PIXELS, location="lut"),
        Made(PIXELS, location="lut"),
        metadata(image(x7FE00010=None, x00283006={"vr": "OW", "BulkDataURI": "lut"})),
    )
    assert "2 parts have the location" in told.comment


def test_nesting_has_a_limit():
    dataset = {}
    for _ in range(70):
        dataset = {"00081140": {"vr": "SQ", "Value": [dataset]}}
    assert "nested more than 64 deep" in outcome(metadata(image() | dataset), Made(PIXELS, location="bulk/1")).comment


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[", "not JSON"),
        (b"7", "not an array"),
        (b"\xff\xfe", "not JSON"),
        (b'[{"00081140":{"vr":"SQ","Value":' * 9999 + b"[]" + b"}}]" * 9999, "not JSON"),
    ],
)
def test_metadata_that_are_no_json_are_bad_syntax(text, said):
    with pytest.raises(DicomWebError, match=said) as refused:
        store(Made(text, "application/dicom+json"))
    assert refused.value.status == 400


def test_bulk_data_without_metadata_are_bad_syntax():
    with pytest.raises(DicomWebError, match="no metadata") as refused:
        store(Made(PIXELS, location="bulk/1"))
    assert refused.value.status == 400


def test_xml_that_cannot_be_read_is_one_failure():
    good = dataset_to_xml(image(2))
    results = store(
        Made(b"<nothing", "application/dicom+xml"),
        Made(good, "application/dicom+xml"),
        Made(PIXELS, location="bulk/1"),
        kind="application/dicom+xml",
    )
    assert [type(result) for result in results] == [Outcome, bytes]
    assert results[0].failure == 0xC000


def test_limits():
    assert outcome(metadata(image()), Made(PIXELS, location="bulk/1"), size=300).too_large
    assert outcome(metadata(image()), Made(bytes(2000), location="bulk/1"), size=1500).failure == 0xA700
    with pytest.raises(TooManyParts):
        store(metadata(image(1), image(2), image(3)), Made(PIXELS, location="bulk/1"), count=2)


def test_a_body_that_breaks_off_stores_what_is_complete():
    results = instances(
        io.BytesIO(
            body(metadata(image(1), image(2, "b")), Made(PIXELS, location="bulk/1"), Made(PIXELS, location="b"))[:-25]
        ),
        content_type(),
        max_size=10**6,
        max_parts=9,
        folder=None,
        base=BASE,
    )
    with next(results) as first:
        assert read(first.file.read()).SOPInstanceUID == "1.2.3.4.1"
    assert next(results).failure == 0xA922
    with pytest.raises(MalformedMultipart):
        next(results)
