"""The npm package dicouch-logic: the same as the server makes of tags, queries, documents and files, in node."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom.datadict import tag_for_keyword

from dicouch.dicom.part10 import Part10, Part10Error, read_part10
from dicouch.errors import DicomWebError
from dicouch.rewrite import query
from dicouch.rewrite.values import known_vr
from tests import offline
from tests.designdocs.test_views import DOCUMENTS
from tests.files import identifiers, real_files
from tests.server import ROOT

LOGIC = ROOT / "scripts/logic"
# What dcmjs reads otherwise than the server, which no converter can mend.
BEYOND_DCMJS = {
    # No preamble (PS3.10 7.1), or no header; it reads none of these.
    **dict.fromkeys(
        ("OT-PAL-8-face.dcm", "ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm", "rtstruct.dcm"), "header"
    ),
    # The code extensions of ISO 2022 (PS3.5 6.1.2.5) are left as they are; private VRs of PS3.6's makers are not known.
    **dict.fromkeys(
        ("chrH31.dcm", "chrH32.dcm", "chrI2.dcm", "chrJapMulti.dcm", "chrJapMultiExplicitIR6.dcm"), "charset"
    ),
    **dict.fromkeys(("chrKoreanMulti.dcm",), "charset"),
    # Broken files, of which it reads less, and an empty item that it drops.
    **dict.fromkeys(("bad_sequence.dcm", "SC_rgb_jpeg.dcm", "rtplan_truncated.dcm", "badVR.dcm"), "broken"),
    **dict.fromkeys(("rtdose_rle.dcm", "rtdose_rle_1frame.dcm"), "broken"),
    "JPGLosslessP14SV1_1s_1f_8b.dcm": "empty item",
    # A number without a value is 0 to it.
    "reportsi_with_empty_number_tags.dcm": "empty number",
}
SEARCHES = [
    *("/studies", "/studies?PatientName=*&includefield=all", "/studies?ModalitiesInStudy=CT,MR", "/series?Modality=CT"),
    *(
        "/instances?Rows=256&limit=20",
        "/instances?limit=40&includefield=all",
        "/studies?PatientName=comp*&fuzzymatching=true",
    ),
    *("/series?includefield=all", "/instances?ImageType=DERIVED", "/studies?StudyDate=19970101-20051231"),
]


@cache
def read(path: Path) -> Part10 | None:
    try:
        return read_part10(BytesIO(real_files()[path]), len(real_files()[path]))
    except Part10Error:
        return None


@pytest.fixture(scope="module")
def package() -> Path:
    """Give the package's script, made anew."""
    subprocess.run(["node", "pack.js"], cwd=LOGIC, check=True, timeout=60)
    return LOGIC / "dist/index.js"


@pytest.fixture(scope="module")
def asked() -> dict[str, Any]:
    """Give what is asked of the package."""
    odd = (offline.FIXTURES / "odd_queries.txt").read_text(encoding="utf-8").splitlines()
    files = {path: found for path in real_files() if (found := read(path))}
    same = [
        path.name not in BEYOND_DCMJS
        and identifiers(path)
        and {"dataset": found.dataset, "syntax": found.transfer_syntax}
        for path, found in files.items()
    ]
    return {
        "keywords": [entry[4] for entry in DicomDictionary.values() if entry[4]]
        + ["Nonsense", "studydate", "RETIRED_Copies"],
        "tags": [f"{tag:08X}" for tag in DicomDictionary if tag < 0xFFFE0000]
        + [mask.replace("x", "2") for mask in RepeatersDictionary if mask[:2] in ("50", "60")]
        + ["00091001", "12345678"],
        "queries": [*offline.QUERIES, *offline.REFUSED, *(f"/studies?{text}" for text in odd)],
        "documents": DOCUMENTS,
        "files": [str(path) for path in files],
        "same": same,
        "searches": SEARCHES,
    }


@pytest.fixture(scope="module")
def told(package, asked) -> dict[str, Any]:
    """Give the answers of one process."""
    given = {**asked, "module": str(package), "dcmjs": str(LOGIC / "node_modules/dcmjs")}
    node = ["node", str(ROOT / "tests/js/logic.js")]
    done = subprocess.run(node, input=json.dumps(given), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_dictionary_is_that_of_the_standard(asked, told):
    """PS3.6, as pydicom has it."""
    expected = [None if tag is None else f"{tag:08X}" for tag in map(tag_for_keyword, asked["keywords"])]
    assert [pair for pair in zip(asked["keywords"], expected, told["tags"], strict=True) if pair[1] != pair[2]] == []
    vrs = [known_vr(tag) for tag in asked["tags"]]
    assert [found for found in zip(asked["tags"], vrs, told["vrs"], strict=True) if found[1] != found[2]] == []


def understood(text: str) -> dict[str, Any]:
    path, _, query_string = text.partition("?")
    level = {"studies": "study", "series": "series", "instances": "instance"}[path.rpartition("/")[2]]
    try:
        found = query.parse(parse_qsl(query_string, keep_blank_values=True), 1000)
    except DicomWebError as problem:
        return {"refused": problem.reason}
    found.level = level
    found.drop_below(level)
    return {name: getattr(found, name) for name in ("keys", "include", "limit", "offset", "unknown")}


def test_queries_are_understood_as_by_the_server(asked, told):
    different = [
        (text, mine, theirs)
        for text, theirs in zip(asked["queries"], told["queries"], strict=True)
        if (mine := understood(text)) != theirs
    ]
    assert different == []
    assert sum("refused" in one for one in told["queries"]) > 12


def test_views_emit_what_the_design_document_emits(ddoc, told):
    for name in ddoc.source["views"]:
        if name != "lib":
            found = [[[row["key"], row.get("value")] for row in rows] for rows in told["rows"][name]]
            assert found == [ddoc.map(name, document) for document in DOCUMENTS], name


def test_dcmjs_gives_the_data_sets_of_the_server(asked, told):
    """DICOM JSON of pydicom's and other files (PS3.18 F.2), all of each."""
    compared = 0
    for name, own in zip(asked["files"], told["read"], strict=True):
        expected = json.loads(json.dumps(read(Path(name)).dataset))
        if Path(name).name in BEYOND_DCMJS:
            assert own != expected, f"{name} is read as the server reads it: BEYOND_DCMJS does not need it"
            continue
        compared += 1
        tags = expected.keys() | own.keys()
        assert {tag: (expected.get(tag), own.get(tag)) for tag in tags if expected.get(tag) != own.get(tag)} == {}, name
    assert compared > 200


def test_files_go_through_the_same_lists(told):
    for text, here, there in zip(SEARCHES, told["here"], told["there"], strict=True):
        assert here["rows"], text
        assert here == there, text
        # No server has the bytes of files that were opened here (PS3.3 C.4.23.1.1).
        assert {row["00080056"]["Value"][0] for row in here["rows"]} == {"UNAVAILABLE"}, text
        assert not any("00083002" in row for row in here["rows"]), text


def test_modules_that_are_required_are_packed(package):
    text = package.read_text("utf-8")
    packed = re.findall(r'^"([\w/-]+)": function \(require, exports', text, re.MULTILINE)
    assert set(re.findall(r"\brequire\('([\w/-]+)'\)", text)) <= {*packed, "registry"}


def test_npm_pack(tmp_path):
    """What is packed can be required and imported, and its types name what it has."""
    pack = ["npm", "pack", "--silent", "--offline", "--pack-destination", str(tmp_path)]
    done = subprocess.run(pack, cwd=LOGIC, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    with tarfile.open(tmp_path / done.stdout.split()[-1]) as packed:
        assert {"package/README.md", "package/index.d.ts", "package/dist/index.mjs"} <= set(packed.getnames())
        packed.extractall(tmp_path / "node_modules", filter="data")
    (tmp_path / "node_modules/package").rename(tmp_path / "node_modules/dicouch-logic")
    script = """
        import * as one from 'dicouch-logic';
        import { createRequire } from 'module';
        const other = createRequire(import.meta.url)('dicouch-logic');
        const { rows } = await one.search([], '/studies');
        console.log(JSON.stringify([Object.keys(one).sort(), Object.keys(other).sort(), rows]));
    """
    (tmp_path / "try.mjs").write_text(script)
    ran = subprocess.run(["node", "try.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    imported, required, rows = json.loads(ran.stdout)
    assert imported == required
    assert rows == []
    types = (LOGIC / "index.d.ts").read_text("utf-8")
    assert set(re.findall(r"^export (?:function|const|class) (\w+)", types, re.MULTILINE)) == set(imported)
