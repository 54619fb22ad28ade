"""Content negotiation, with what real clients send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicouch.dicom.media.negotiate import (
    MalformedMediaType,
    MediaType,
    accepts_utf8,
    choose,
    mixes_dicom_and_rendered,
    parse_accept,
    parse_media_type,
)

EXPLICIT = "1.2.840.10008.1.2.1"
JPEG_2000 = "1.2.840.10008.1.2.4.90"


def related(item_type, syntax=None):
    params = {"type": item_type} | ({"transfer-syntax": syntax} if syntax else {})
    return MediaType("multipart", "related", params)


# What the resources offer, each in the server's order.
SEARCH = [parse_media_type("application/dicom+json"), related("application/dicom+xml")]
METADATA = [*SEARCH, parse_media_type("application/json")]
INSTANCE = [
    related("application/dicom", EXPLICIT),
    related("application/dicom", JPEG_2000),
    parse_media_type(f"application/dicom; transfer-syntax={EXPLICIT}"),
    parse_media_type(f"application/dicom; transfer-syntax={JPEG_2000}"),
    parse_media_type("application/zip"),
]
STORED_ONLY = [related("application/dicom", JPEG_2000)]
FRAMES = [
    related("application/octet-stream", JPEG_2000),
    related("application/octet-stream", EXPLICIT),
    related("image/jp2", JPEG_2000),
    parse_media_type(f"application/octet-stream; transfer-syntax={EXPLICIT}"),
    parse_media_type(f"image/jp2; transfer-syntax={JPEG_2000}"),
]
RENDERED = [parse_media_type(f"image/{name}") for name in ("jpeg", "png", "gif")]

OHIF_FRAMES = "multipart/related; type=application/octet-stream; transfer-syntax=*"
OHIF_QUOTED = 'multipart/related; type="application/octet-stream"; transfer-syntax="*"'
OHIF_MIXED = f"application/dicom+json, {OHIF_FRAMES}"
WEASIS = 'multipart/related;type="application/dicom";'
JAVA = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"
BROWSER_IMAGE = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
CHROMIUM_156 = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/jxl,image/avif,image/webp,image/apng,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7"
)
FIREFOX_IMAGE = "image/avif,image/jxl,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"
PYTHON_CLIENT_JSON = "application/dicom+json, application/json"
PYTHON_CLIENT_INSTANCE = f'multipart/related; type="application/dicom"; transfer-syntax={JPEG_2000}'
PYTHON_CLIENT_FRAMES = 'multipart/related; type="image/jp2", multipart/related; type="application/octet-stream"'
JS_CLIENT_FRAMES = f'multipart/related; type="image/jp2"; transfer-syntax={JPEG_2000}'
AXIOS = "application/json, text/plain, */*"


@pytest.mark.parametrize(
    ("accept", "available", "expected"),
    [
        (None, SEARCH, 0),
        ("", SEARCH, 0),
        ("*/*", SEARCH, 0),
        (PYTHON_CLIENT_JSON, SEARCH, 0),
        (PYTHON_CLIENT_JSON, METADATA, 0),
        (OHIF_MIXED, METADATA, 0),
        (BROWSER, SEARCH, 0),
        (JAVA, SEARCH, 0),
        (AXIOS, SEARCH, 0),
        (AXIOS, METADATA, 2),
        ("application/*", METADATA, 0),
        ('multipart/related; type="application/dicom+xml"', SEARCH, 1),
        ("multipart/related; type=application/dicom+xml", SEARCH, 1),
        ("multipart/related", SEARCH, 1),
        ("multipart/*", SEARCH, 1),
        ("MULTIPART/Related; Type=Application/DICOM+XML", SEARCH, 1),
        ("application/dicom+json;q=0.5, multipart/related; type=application/dicom+xml; q=0.6", SEARCH, 1),
        ("application/dicom+json;q=0, */*", SEARCH, 1),
        ("application/dicom+json; charset=utf-8", SEARCH, 0),
        ("application/dicom+xml", SEARCH, None),
        ("image/jpeg", SEARCH, None),
        ("*/*;q=0", SEARCH, None),
        (WEASIS, INSTANCE, 0),
        (f"{WEASIS[:-1]};transfer-syntax=*", INSTANCE, 0),
        (PYTHON_CLIENT_INSTANCE, INSTANCE, 1),
        (PYTHON_CLIENT_INSTANCE.replace("1.2.840.10008.1.2.4.90", "1.2.3"), INSTANCE, None),
        ('multipart/related; type="application/dicom; transfer-syntax=1.2.840.10008.1.2.4.90"', INSTANCE, 1),
        ("application/dicom", INSTANCE, 2),
        ("application/dicom; transfer-syntax=*", INSTANCE, 2),
        (f"application/dicom; transfer-syntax={JPEG_2000}", INSTANCE, 3),
        (f"application/dicom; transfer-syntax={JPEG_2000}; q=.4, application/dicom; q=.9", INSTANCE, 2),
        ("application/zip", INSTANCE, 4),
        (WEASIS, STORED_ONLY, None),
        (f"{WEASIS} transfer-syntax=*", STORED_ONLY, 0),
        ("*/*", STORED_ONLY, 0),
        ("multipart/related", STORED_ONLY, 0),
        (OHIF_FRAMES, FRAMES, 0),
        (OHIF_QUOTED, FRAMES, 0),
        (OHIF_MIXED, FRAMES, 0),
        ("multipart/related; type=application/octet-stream", FRAMES, 1),
        (PYTHON_CLIENT_FRAMES, FRAMES, 1),
        (JS_CLIENT_FRAMES, FRAMES, 2),
        ('multipart/related; type="image/jp2"', FRAMES, 2),
        ("multipart/related; type=image/*", FRAMES, 2),
        ("image/jp2", FRAMES, 4),
        ("application/octet-stream", FRAMES, 3),
        ('multipart/related; type="image/jls"', FRAMES, None),
        # dicomweb-client for JavaScript has these for JPEG-LS and RLE: PS3.18-2017 Table 6.1.1.8-3b
        ('multipart/related; type="image/x-jls"', [related("image/jls", "1.2.840.10008.1.2.4.80")], 0),
        (
            'multipart/related; type="image/x-dicom-rle"; transfer-syntax=1.2.840.10008.1.2.5',
            [related("image/dicom-rle", "1.2.840.10008.1.2.5")],
            0,
        ),
        ("image/x-dicom-rle", [parse_media_type("image/dicom-rle; transfer-syntax=1.2.840.10008.1.2.5")], 0),
        (BROWSER_IMAGE, RENDERED, 0),
        (FIREFOX_IMAGE, RENDERED, 1),
        ("image/jpeg", RENDERED, 0),
        ("image/gif;q=1.0, image/png;q=0.999", RENDERED, 2),
        ("image/*;q=0.1, image/png;q=0", RENDERED, 0),
    ],
)
def test_choice(accept, available, expected):
    ranges = parse_accept([] if accept is None else [accept])
    assert choose(ranges, available) == (None if expected is None else available[expected])


@pytest.mark.parametrize(
    ("accept", "header", "available", "expected"),
    [
        ("image/jpeg", "*/*", RENDERED, 0),
        ("image/png", BROWSER_IMAGE, RENDERED, 1),
        ("image/png;q=0.1", "image/jpeg", RENDERED, 1),
        ("image/webp, image/gif", "*/*", RENDERED, 2),
        ("image/webp", "image/png", RENDERED, 1),  # none of the query's is supported: the header decides
        ("image/webp", "image/avif", RENDERED, None),
        ("application/dicom+json", BROWSER, SEARCH, 0),
        ("application/dicom json", BROWSER, SEARCH, 0),  # an unescaped plus sign, after form decoding
        ('multipart/related; type="application/dicom xml"', BROWSER, SEARCH, 1),
    ],
)
def test_query_counts_before_the_header(accept, header, available, expected):
    chosen = choose(parse_accept([header], [accept]), available)
    assert chosen == (None if expected is None else available[expected])


def test_several_headers_are_one_list():
    ranges = parse_accept(["image/png;q=0.5", "image/gif;q=0.7, ,", ""])
    assert [(r.essence, r.q) for r in ranges] == [("image/png", 0.5), ("image/gif", 0.7)]
    assert choose(ranges, RENDERED).subtype == "gif"


def test_commas_and_semicolons_in_quotes_do_not_separate():
    [only] = parse_accept(['multipart/related; start="<a,b;c\\"d>"; type="application/dicom" ; q=0.25'])
    assert only.params == {"start": '<a,b;c"d>', "type": "application/dicom"}
    assert only.q == 0.25


def test_what_a_range_says():
    [quoted] = parse_accept([OHIF_QUOTED])
    [bare] = parse_accept([OHIF_FRAMES])
    assert quoted == bare
    assert (bare.item_type, bare.transfer_syntax) == ("application/octet-stream", "*")
    [plain] = parse_accept(["application/dicom"])
    assert (plain.item_type, plain.transfer_syntax) == ("application/dicom", None)
    [open_type] = parse_accept(["multipart/related"])
    assert open_type.item_type == "*/*"


@pytest.mark.parametrize(
    ("header", "piece"),
    [
        ("application", "application"),
        ("image/png, application/", "application/"),
        ("/json", "/json"),
        ("*/json", "*/json"),
        ("a b/c", "a b/c"),
        ("image/png;q=2", "image/png;q=2"),
        ("image/png;q=-1", "q=-1"),
        ("image/png;q=high", "q=high"),
        ("image/png;q=.", "q=."),
        ("image/png;q=nan", "q=nan"),
        ("image/png;q=", "''"),
        ("image/png;quality", "quality"),
        ("image/png;=1", "=1"),
        ('multipart/related; type="application/dicom', "no end"),
        ('multipart/related; type="a/b"c', '"a/b"c'),
        ("multipart/related; type=dicom", "dicom"),
    ],
)
def test_malformed_range_is_passed_over_or_named(header, piece):
    with pytest.raises(MalformedMediaType) as e:
        parse_accept([header], strict=True)
    assert piece in str(e.value)
    found = parse_accept([f"{header}, application/dicom+json"])
    assert found[-1].essence == "application/dicom+json"
    assert [one.essence for one in found[:-1]] == (["image/png"] if header == "image/png, application/" else [])


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("toto, application/dicom+json", ["application/dicom+json"]),
        ("application/json, toto;q=1, text/html", ["application/json", "text/html"]),
        ("application/dicom;q=5, */*;q=0.1", ["*/*"]),
        ('multipart/related; type="application/dicom, application/json', ["application/json"]),
        ("toto", []),
    ],
)
def test_what_cannot_be_parsed_is_passed_over(accept, expected):
    assert [one.essence for one in parse_accept([accept])] == expected


@pytest.mark.parametrize("name", ["image/jpg", "IMAGE/JPG", "image/pjpeg"])
def test_other_names_of_jpeg(name):
    assert parse_media_type(name).essence == "image/jpeg"
    assert parse_media_type(f'multipart/related; type="{name}"').item_type == "image/jpeg"
    assert choose(parse_accept([name]), RENDERED).subtype == "jpeg"
    assert choose(parse_accept([], [name]), RENDERED).subtype == "jpeg"


@pytest.mark.parametrize("value", ["*/*", "image/*", "*", "nonsense"])
def test_malformed_query_parameter(value):
    with pytest.raises(MalformedMediaType):
        parse_accept(["*/*"], [value])


@pytest.mark.parametrize(
    ("accept", "mixed"),
    [
        ("application/dicom, image/jpeg", True),
        ('multipart/related; type="application/dicom", image/png', True),
        ("application/dicom+json, text/html", True),
        ("multipart/related; type=application/octet-stream, image/gif", True),
        ("application/dicom, application/pdf;q=0.1", True),
        ("application/dicom, image/png;q=0", False),
        ("application/dicom, */*", False),
        ("image/jpeg, */*", False),
        ("image/*, application/dicom", False),
        (OHIF_MIXED, False),
        (OHIF_FRAMES, False),
        (PYTHON_CLIENT_FRAMES, False),
        (PYTHON_CLIENT_JSON, False),
        ("multipart/related; type=application/dicom, multipart/related; type=image/jpeg", False),
        ("application/octet-stream, image/jp2", False),
        (BROWSER, False),
        (BROWSER_IMAGE, False),
        (FIREFOX_IMAGE, False),
        (CHROMIUM_156, False),
        ("image/jxl, image/png", False),
        ("application/dicom, image/jxl", True),
        (JAVA, False),
        (AXIOS, False),
        ("", False),
    ],
)
def test_dicom_and_rendered_media_types_do_not_mix(accept, mixed):
    assert mixes_dicom_and_rendered(parse_accept([accept])) is mixed


def test_query_and_header_do_not_mix_with_each_other():
    assert not mixes_dicom_and_rendered(parse_accept(["application/dicom+json"], ["image/jpeg"]))
    assert mixes_dicom_and_rendered(parse_accept(["*/*"], ["image/jpeg", "application/dicom"]))


@pytest.mark.parametrize(
    ("text", "essence", "params"),
    [
        (
            "multipart/related; type=application/dicom; boundary=abc",
            "multipart/related",
            {"type": "application/dicom", "boundary": "abc"},
        ),
        (
            'Multipart/Related;TYPE="application/dicom";boundary==_a/b:c?d;',
            "multipart/related",
            {"type": "application/dicom", "boundary": "=_a/b:c?d"},
        ),
        (' a/b ; x = "1;2" ; x=3;; y=z ', "a/b", {"x": "1;2", "y": "z"}),
        ("application/dicom+json", "application/dicom+json", {}),
    ],
)
def test_content_type(text, essence, params):
    media_type = parse_media_type(text)
    assert (media_type.essence, media_type.params) == (essence, params)


VALUE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, blacklist_categories=["Cc"]), min_size=1)
NAME = st.from_regex(r"[a-z0-9!#$&^_.+-]{1,10}", fullmatch=True)


@given(NAME, NAME, st.dictionaries(NAME, VALUE, max_size=4))
def test_a_written_media_type_reads_back_equal(main, sub, params):
    media_type = MediaType(main, sub, params)
    assert parse_media_type(str(media_type)) == media_type


@given(st.lists(st.text(st.sampled_from('abq*/;,="\\ .019+')), max_size=3))
def test_any_header_is_read_or_refused(headers):
    ranges = parse_accept(headers)
    choose(ranges, FRAMES)
    mixes_dicom_and_rendered(ranges)


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("", True),
        ("utf-8", True),
        ("UTF8", True),
        ("ISO-8859-1,utf-8;q=0.7,*;q=0.7", True),
        ("*", True),
        ("iso-8859-1", False),
        ("utf-8;q=0", False),
    ],
)
def test_accept_charset(header, accepted):
    assert accepts_utf8([header]) is accepted


def test_charset_query_parameter():
    assert accepts_utf8(["iso-8859-1"], ["utf-8"])
    assert accepts_utf8([], ["iso-8859-1;q=0.5,UTF-8"])
    assert accepts_utf8([], ["ISO_IR 192"])
    assert accepts_utf8(["utf-8"], [""])
    for value in ("iso-8859-1", "*", "nonsense"):
        with pytest.raises(MalformedMediaType, match="utf-8"):
            accepts_utf8(["*"], [value])
