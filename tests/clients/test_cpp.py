"""A client in C++, from tests/cpp: it stores, searches and retrieves, and compares every attribute with DCMTK."""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.multival import MultiValue

from tests.conftest import skip
from tests.made import instance
from tests.made_objects import as_bytes, report, segmentation
from tests.made_slide import slide
from tests.server import ROOT

# The same requests are tested on both databases elsewhere.
pytestmark = pytest.mark.one_database("couchdb")

SOURCE, BUILD = ROOT / "tests/cpp", ROOT / "build/cpp"
NEEDED = "Debian: apt-get install g++ cmake nlohmann-json3-dev libcurl4-openssl-dev libdcmtk-dev"
EQUAL = re.compile(r": equal \(file (\d+), metadata (\d+), rows (\d+) attributes, (\d+) frames\)$", re.MULTILINE)


@pytest.fixture(scope="session")
def program(pytestconfig: pytest.Config) -> Path:
    """Build the program below build/, where it stays until its sources change."""
    for name in ("cmake", "c++"):
        if not shutil.which(name):
            skip(pytestconfig, "in C++", f"no {name} on PATH ({NEEDED})")
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:  # the tests of the other database may run at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
        _build(pytestconfig)
    return BUILD / "dicomweb_check"


def _build(pytestconfig: pytest.Config) -> None:
    # As one unit: the headers of the libraries take most of the time.
    configure = ["cmake", "-S", SOURCE, "-B", BUILD, "-DCMAKE_UNITY_BUILD=ON"]
    made = subprocess.run(configure, capture_output=True, text=True, timeout=120)
    if made.returncode and re.search(r"Could not find a|Could NOT find", made.stderr):
        skip(pytestconfig, "in C++", f"a library is missing ({NEEDED})")
    assert made.returncode == 0, made.stdout + made.stderr
    built = subprocess.run(["cmake", "--build", BUILD, "--parallel", "2"], capture_output=True, text=True, timeout=280)
    assert built.returncode == 0, built.stdout + built.stderr


def check(program: Path, url: str, *arguments: object) -> tuple[int, str]:
    """Run the program; return its result, and what it says."""
    done = subprocess.run([program, url, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def every_vr() -> bytes:
    """Return an instance with every VR of PS3.5 6.2: one value, several, none; in items; inline and as bulk data."""
    made = dcmread(BytesIO(instance("1.14.4", "1.14.4.1", "1.14.4.1.1", SpecificCharacterSet="ISO_IR 100")))
    made.PatientName = "Müller^Jörg^^Dr."
    made.PatientComments = "  two\\lines\r\nof text "
    made.PatientID, made.AccessionNumber = "CPP1", ""
    block = made.private_block(0x0099, "CPP", create=True)
    values = {
        "AE": "STATION", "AS": "042Y", "AT": [0x00100020, 0x7FE00010], "CS": ["A", "B_2"],
        "DA": ["20240229", "19000101"], "DS": ["1.50", "-2e-3", "0"], "DT": "20240102101112.123456+0100",
        "FD": [0.1, -1e300], "FL": [0.1, 3.4e38], "IS": ["+7", "-2147483648"], "LO": ["é", "", "third"],
        "LT": "long\\text", "OB": b"\1\2\3\4", "OD": bytes(range(16)), "OF": bytes(range(8)), "OL": bytes(range(8)),
        "OV": bytes(range(16)), "OW": bytes(range(6)), "PN": "A^B=C^D=E^F", "SH": "short",
        "SL": [-(2**31), 2**31 - 1], "SS": [-32768, 32767], "ST": " short\\text", "SV": [-(2**63), 2**63 - 1],
        "TM": "101112.5", "UC": ["unlimited", "ö"], "UI": ["1.2.3", "1.2.34"], "UL": [0, 2**32 - 1],
        "UN": b"\5\6\7\10", "UR": "http://example.org/a?b", "US": [0, 65535], "UT": "unlimited\\text",
        "UV": [0, 2**64 - 1],
    }  # fmt: skip
    for number, (vr, value) in enumerate(values.items()):
        block.add_new(number, vr, MultiValue(type(value[0]), value) if isinstance(value, list) else value)
        block.add_new(0x40 + number, vr, None)
    for number, vr in enumerate(("OB", "OD", "OF", "OL", "OV", "OW", "UN", "UT"), start=0x90):
        block.add_new(number, vr, "x" * 100_000 if vr == "UT" else bytes(range(64)) * 256)
    inner, outer = Dataset(), Dataset()
    inner.CodeValue, inner.CodeMeaning, inner.PixelPaddingValue = "1", "tief", 5
    inner.add_new(0x00282000, "OB", bytes(range(250)) * 20)
    outer.ConceptNameCodeSequence, outer.TextValue = [inner, Dataset()], "Größe"
    block.add_new(0xA0, "SQ", [outer])
    made.ContentSequence, made.ReferencedImageSequence = [outer, Dataset()], []
    return as_bytes(made)


def files() -> dict[str, bytes]:
    """Return files by name: every VR, character sets, sequences, native and encapsulated frames."""
    made = {
        "every_vr": every_vr(),
        "report": report(),
        "segmentation": segmentation("BINARY"),
        "slide": as_bytes(slide()[0]),
    }
    names = ["CT_small.dcm", "MR_small_RLE.dcm", "rtdose_1frame.dcm", "SC_rgb_rle_2frame.dcm", "emri_small.dcm"]
    for number, name in enumerate([*names, "emri_small_jpeg_2k_lossless.dcm"]):
        dataset = dcmread(get_testdata_file(name, download=False))
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"1.14.4.{number}", f"1.14.4.{number}.1"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.14.4.{number}.1.1"
        made[name] = as_bytes(dataset)
    return made


def test_a_program_in_cpp_finds_every_attribute_as_in_the_file(hospital, program, tmp_path):
    paths = []
    for name, data in files().items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(data)
    result, said = check(program, hospital.server.url, *paths)
    assert result == 0, said
    told = {Path(line.partition(":")[0]).name: EQUAL.search(line) for line in said.splitlines() if ": equal" in line}
    assert set(told) == set(files())
    assert [int(count) for count in told["every_vr"].groups()][:2] >= [110, 110]
    assert told["emri_small.dcm"][4] == told["slide"][4] == "2"


def test_a_program_in_cpp_names_what_differs(hospital, program, tmp_path):
    """What it compares with is the file on disk: one that is not as stored is told attribute by attribute."""
    stored = instance("1.14.5", "1.14.5.1", "1.14.5.1.1", WindowWidth=["1.5", "2"])
    assert hospital.server.store(stored).status_code == 200
    other = dcmread(BytesIO(stored))
    other.PatientName, other.WindowWidth, other.Rows = "Test^Other", ["1.5", "3"], 5
    other.PatientComments = "new"
    other.PixelData = bytes(31) + b"\1"
    path = tmp_path / "other.dcm"
    path.write_bytes(as_bytes(other))
    result, said = check(program, hospital.server.url, "--no-store", path)
    assert result == 1, said
    for told in (
        "(0010,0010): PN Test^Case",
        "(0010,4000): missing",
        "(0028,0010): US 4",
        "(0028,1051): DS",
        "frame 1",
    ):
        assert told in said
