"""Native DICOM Model XML: equal to the DICOM JSON Model it came from, and of the structure that PS3.19 A.1 gives."""

import contextlib
import json
import warnings
from pathlib import Path
from xml.etree import ElementTree

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from dicouch.dicom.media.dicom_xml import MAX_NESTING, NAMESPACE, MalformedNativeDicom, dataset_to_xml, xml_to_dataset

Q = f"{{{NAMESPACE}}}"

EVERYTHING = {
    "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
    "00080008": {"vr": "CS", "Value": ["ORIGINAL", None, "AXIAL"]},
    "00080050": {"vr": "SH"},
    "00081115": {
        "vr": "SQ",
        "Value": [{"0020000E": {"vr": "UI", "Value": ["1.2.3"]}, "00081199": {"vr": "SQ", "Value": [{}, {}]}}, {}],
    },
    "00090010": {"vr": "LO", "Value": ['A "C" <M>&E']},
    "00091002": {"vr": "UN", "InlineBinary": "AAECAw=="},
    "00091110": {"vr": "LO", "Value": ["orphan"]},
    "00100010": {
        "vr": "PN",
        "Value": [
            {"Alphabetic": "Yamada^Tarou^^Dr^II", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"},
            {"Alphabetic": "Doe^^^^"},
            None,
        ],
    },
    "00101030": {"vr": "DS", "Value": [72.5, 70, "072.50", "1e2", 1e-05]},
    "00180086": {"vr": "IS", "Value": [1, "+2", -3]},
    "00189073": {"vr": "FD", "Value": [0.1, -1e300, "NaN"]},
    "00204000": {"vr": "LT", "Value": [' a\r\nb\tc\rd\ne & <f> ]]> "ü" \U0001f600 ']},
    "00280010": {"vr": "US", "Value": [512]},
    "00281101": {"vr": "US", "Value": [256, 0, 16]},
    "00720026": {"vr": "AT", "Value": ["00280010"]},
    "00720082": {"vr": "SV", "Value": [-(2**63)]},
    "00720083": {"vr": "UV", "Value": [2**64 - 1]},
    "60003000": {"vr": "OW", "BulkDataURI": "http://x/bulkdata/60003000?a=1&b=%20"},
    "7FE00010": {"vr": "OW", "BulkDataURI": "bulkdata/7FE00010"},
}


def test_round_trip_of_every_kind_of_value():
    assert xml_to_dataset(dataset_to_xml(EVERYTHING)) == EVERYTHING


def test_structure_is_that_of_the_standard():
    root = ElementTree.fromstring(dataset_to_xml(EVERYTHING))
    assert root.tag == f"{Q}NativeDicomModel"
    assert root.get("{http://www.w3.org/XML/1998/namespace}space") == "preserve"
    attributes = {(a.get("tag"), a.get("privateCreator")): a for a in root}
    assert all(a.tag == f"{Q}DicomAttribute" and len(a.get("vr")) == 2 for a in root)

    def outline(tag, creator=None):
        a = attributes[tag, creator]
        return a.get("keyword"), [(child.tag.replace(Q, ""), dict(child.attrib), child.text) for child in a]

    assert outline("00280010") == ("Rows", [("Value", {"number": "1"}, "512")])
    assert outline("00080050") == ("AccessionNumber", [])
    assert outline("00080008")[1][1:] == [("Value", {"number": "2"}, None), ("Value", {"number": "3"}, "AXIAL")]
    assert outline("7FE00010") == ("PixelData", [("BulkData", {"uri": "bulkdata/7FE00010"}, None)])
    assert outline("60003000")[0] == "OverlayData"
    assert outline("00090010") == (None, [("Value", {"number": "1"}, 'A "C" <M>&E')])
    assert outline("00090002", 'A "C" <M>&E') == (None, [("InlineBinary", {}, "AAECAw==")])
    assert outline("00091110") == (None, [("Value", {"number": "1"}, "orphan")])
    item = attributes["00081115", None][0]
    assert (item.tag, item.attrib) == (f"{Q}Item", {"number": "1"})
    assert [a.get("keyword") for a in item] == ["SeriesInstanceUID", "ReferencedSOPSequence"]
    name = attributes["00100010", None][0]
    assert (name.tag, name.get("number")) == (f"{Q}PersonName", "1")
    assert [group.tag.replace(Q, "") for group in name] == ["Alphabetic", "Ideographic", "Phonetic"]
    assert [(part.tag.replace(Q, ""), part.text) for part in name[0]] == [
        ("FamilyName", "Yamada"),
        ("GivenName", "Tarou"),
        ("NamePrefix", "Dr"),
        ("NameSuffix", "II"),
    ]


def as_xml_says_it(dataset):
    """DICOM JSON with its several ways to say "empty" made one."""
    plain = {}
    for tag, attribute in dataset.items():
        if tag.endswith("0000"):
            continue
        values = attribute.get("Value") or []
        if attribute["vr"] == "SQ":
            values = [as_xml_says_it(item) for item in values]
        plain[tag] = {key: value for key, value in attribute.items() if key != "Value"}
        if values:
            plain[tag]["Value"] = [None if value == "" else value for value in values]
    return plain


FILES = sorted(path for path in (Path(pydicom.__file__).parent / "data").rglob("*.dcm") if path.is_file())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_round_trip_of_real_data_sets(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = dcmread(path, force=True).to_json_dict(1024, lambda element: f"bulkdata/{element.tag}", True)
        except Exception as e:  # noqa: BLE001 - pydicom raises nearly anything on its deliberately broken files
            pytest.skip(f"pydicom makes no DICOM JSON of it: {e}")
    dataset = json.loads(json.dumps(dataset))
    assert xml_to_dataset(dataset_to_xml(dataset)) == as_xml_says_it(dataset)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\ufffe\uffff", exclude_categories=["Cc"]), min_size=1)


@given(
    st.lists(st.one_of(st.none(), TEXT, st.sampled_from(["\r", "\n", "\t", "\r\n", " ", "]]>", "&amp;"])), min_size=1)
)
def test_any_text_comes_back(values):
    dataset = {"00204000": {"vr": "LT", "Value": values}}
    assert xml_to_dataset(dataset_to_xml(dataset)) == dataset


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1), min_size=1))
def test_any_number_comes_back(values):
    for vr in ("FD", "DS"):
        dataset = {"00189073": {"vr": vr, "Value": values}}
        assert xml_to_dataset(dataset_to_xml(dataset)) == dataset


def test_characters_that_xml_cannot_hold_are_replaced():
    text = "".join(map(chr, range(0x20))) + "\ud800\ufffe"
    [value] = xml_to_dataset(dataset_to_xml({"00204000": {"vr": "LT", "Value": [text]}}))["00204000"]["Value"]
    assert value == "".join(c if c in "\t\n\r" else "\ufffd" for c in text)


def test_group_lengths_are_left_out():
    assert xml_to_dataset(dataset_to_xml({"00080000": {"vr": "UL", "Value": [8]}})) == {}


def test_private_attributes_of_two_blocks_of_one_creator():
    dataset = {
        "00090010": {"vr": "LO", "Value": ["ACME"]},
        "00090011": {"vr": "LO", "Value": ["ACME"]},
        "00091002": {"vr": "LO", "Value": ["first"]},
        "00091102": {"vr": "LO", "Value": ["second"]},
    }
    assert xml_to_dataset(dataset_to_xml(dataset)) == dataset


def document(inner, root="NativeDicomModel"):
    return f"<{root}>{inner}</{root}>".encode()


def private(tag, creator="ACME"):
    return f'<DicomAttribute tag="{tag}" vr="LO" privateCreator="{creator}"><Value>{tag}</Value></DicomAttribute>'


def test_private_attributes_without_their_creator_element_get_a_block():
    # as dcm4che writes them
    dataset = xml_to_dataset(document(private("00090002") + private("00090003") + private("00090002", "OTHER")))
    assert dataset == {
        "00090010": {"vr": "LO", "Value": ["ACME"]},
        "00090011": {"vr": "LO", "Value": ["OTHER"]},
        "00091002": {"vr": "LO", "Value": ["00090002"]},
        "00091003": {"vr": "LO", "Value": ["00090003"]},
        "00091102": {"vr": "LO", "Value": ["00090002"]},
    }


def test_private_attributes_with_their_block_number_keep_it():
    dataset = xml_to_dataset(document(private("0009A002") + private("00090003")))  # the first as fo-dicom writes it
    assert list(dataset) == ["000900A0", "0009A002", "0009A003"]


def test_private_attributes_do_not_enter_a_block_of_others():
    orphan = '<DicomAttribute tag="00091002" vr="LO"><Value>orphan</Value></DicomAttribute>'
    dataset = xml_to_dataset(document(private("00090002") + orphan))
    assert dataset["00091002"]["Value"] == ["orphan"]
    assert dataset["00091102"]["Value"] == ["00090002"]


def attribute(inner, tag="00280010", vr="US"):
    return document(f'<DicomAttribute tag="{tag}" vr="{vr}">{inner}</DicomAttribute>')


def test_leniency():
    data = (
        '<?xml version="1.0" encoding="ISO-8859-1"?><!-- note --><n:NativeDicomModel '
        f'xmlns:n="{NAMESPACE}"> <n:DicomAttribute tag="0008103e" keyword="SeriesDescription">'
        ' <n:Value number="3">Köln</n:Value> <n:Value number="1"><![CDATA[<a>]]></n:Value></n:DicomAttribute>'
        '<n:DicomAttribute tag="00280010"><n:Value> 7 </n:Value></n:DicomAttribute>'
        '<n:DicomAttribute tag="00420011" vr="OB"><n:InlineBinary> AAEC\n Aw== </n:InlineBinary></n:DicomAttribute>'
        '<n:DicomAttribute tag="7FE00010" vr="OW"><n:BulkData uuid="ab-cd"/></n:DicomAttribute></n:NativeDicomModel>'
    ).encode("latin-1")
    assert xml_to_dataset(data) == {
        "0008103E": {"vr": "LO", "Value": ["<a>", None, "Köln"]},
        "00280010": {"vr": "US", "Value": [7]},
        "00420011": {"vr": "OB", "InlineBinary": "AAECAw=="},
        "7FE00010": {"vr": "OW", "BulkDataURI": "urn:uuid:ab-cd"},
    }


BOMB = b'<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;">]><NativeDicomModel>&c;</NativeDicomModel>'
EXTERNAL = b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><NativeDicomModel/>'


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not well-formed"),
        (b"<NativeDicomModel>", "not well-formed"),
        (b"<NativeDicomModel>&c;</NativeDicomModel>", "not well-formed"),
        (b"\xff\xfe\x00", "not well-formed"),
        (b'<?xml version="1.0" encoding="nonsense"?><NativeDicomModel/>', "encoding"),
        (BOMB, "document type"),
        (EXTERNAL, "document type"),
        (document("", "html"), "html"),
        (document("<Value/>"), "Value in NativeDicomModel"),
        (document('<DicomAttribute vr="US"/>'), "no tag"),
        (document('<DicomAttribute tag="Rows" vr="US"/>'), "'Rows' is no tag"),
        (document('<DicomAttribute tag="00280010" vr="US"/>' * 2), "00280010 appears twice"),
        (document(private("00091002") * 2), "appears twice"),
        (document(private("00091002") + private("00091003", "OTHER")), "00091003 of 'OTHER'"),
        (attribute("<Value>1</Value>", vr="us"), "'us' is no VR"),
        (attribute("<Value>1.5</Value>"), "'1.5' is no whole number"),
        (attribute("<Value>99999999999999999999</Value>", vr="UV"), "no whole number"),
        (attribute("<Value>x</Value>", vr="FD"), "'x' is no number"),
        (attribute("<Value number='0'>1</Value>"), "'0' is no number of a value"),
        (attribute("<Value number='1'>1</Value>" * 2), "twice"),
        (attribute("<Value number='999999999'>1</Value>"), "left out"),
        (attribute("<Value>1</Value><BulkData uri='x'/>"), "BulkData and Value"),
        (attribute("<Wrong/>"), "Wrong"),
        (attribute("<Item/>"), "Item in an attribute of VR US"),
        (attribute("<Value>1</Value>", vr="SQ"), "Value in an attribute of VR SQ"),
        (attribute("<Value>Doe</Value>", vr="PN"), "Value in an attribute of VR PN"),
        (attribute("<PersonName><Alphabetic/><Alphabetic/></PersonName>", vr="PN"), "twice"),
        (attribute("<PersonName><Latin/></PersonName>", vr="PN"), "Latin in PersonName"),
        (attribute("<BulkData/>", vr="OW"), "without uri"),
        (attribute("<InlineBinary>A</InlineBinary>", vr="OB"), "not base64"),
        (attribute("<InlineBinary>ä</InlineBinary>", vr="OB"), "not base64"),
    ],
)
def test_malformed_document_is_refused_by_name(data, reason):
    with pytest.raises(MalformedNativeDicom, match=reason):
        xml_to_dataset(data)


def nested(levels):
    opening = '<DicomAttribute tag="00081115" vr="SQ"><Item number="1">'
    name = '<DicomAttribute tag="00100010" vr="PN"><PersonName><Alphabetic><FamilyName>x</FamilyName>'
    name += "</Alphabetic></PersonName></DicomAttribute>"
    return document(opening * levels + name + "</Item></DicomAttribute>" * levels)


def test_nesting_is_bounded():
    dataset = xml_to_dataset(nested(MAX_NESTING))
    assert xml_to_dataset(dataset_to_xml(dataset)) == dataset
    for levels in (MAX_NESTING + 1, 100_000):
        with pytest.raises(MalformedNativeDicom, match="nested"):
            xml_to_dataset(nested(levels))


@given(st.data())
def test_a_mutated_document_is_read_or_refused(data):
    mutant = bytearray(dataset_to_xml(EVERYTHING))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(mutant)))
        mutant[start : start + data.draw(st.integers(0, 30))] = data.draw(
            st.sampled_from([b"", b"<", b">", b'"', b"0", b"A", b"\xff", b"&", b"<Item>", b"</Value>"])
        )
    with contextlib.suppress(MalformedNativeDicom):
        xml_to_dataset(bytes(mutant))
