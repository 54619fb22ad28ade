"""Documents as SlicerChronicle and dicomweb-server write them, made of files with what these use: pydicom and dcmjs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import requests
from pydicom import Dataset, dcmread
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

ROOT = Path(__file__).resolve().parents[1]
BINARY = ("OW", "OB", "OW/OB", "OW or OB", "OB or OW", "US or SS")
# What the views of a chronicle say of one of its documents, written from their description: a key of four parts, with
# fixed words where something is missing or empty.
VALUE = "function value(tag, none) { var e = doc.dataset[tag]; return e && e.Value || none; }"
VIEWS = {
    "context": "function (doc) { if (!doc.dataset) { return; }"
    + VALUE
    + """emit([[value('00080080', 'UnspecifiedInstitution'), value('00100020', 'UnspecifiedPatientID')],
        [value('00081030', 'UnspecifiedStudyDescription'), value('0020000D', 'UnspecifiedStudyUID')],
        [value('00080060', 'UnspecifiedModality'), value('0008103E', 'UnspecifiedSeriesDescription'),
        value('0020000E', 'UnspecifiedSeriesUID')], value('00080018', 'UnspecifiedInstanceUID')], 1); }""",
    "seriesInstances": "function (doc) { if (!doc.dataset) { return; }"
    + VALUE
    + """emit(value('0020000E', 'UnspecifiedSeriesUID'),
        [value('00080016', 'UnspecifiedClassUID'), value('00080018', 'UnspecifiedInstanceUID')]); }""",
    "instanceReferences": """function (doc) {
        Object.keys(doc.instancePoints || {}).forEach(function (uid) { emit(uid, doc._id); }); }""",
}
# As dicomweb-server reads a file.
DCMJS = """
const dcmjs = require('dcmjs');
const fs = require('fs');
dcmjs.log.setLevel && dcmjs.log.setLevel('silent');
const found = process.argv.slice(1).map(path => {
  const data = fs.readFileSync(path);
  return dcmjs.data.DicomMessage.readFile(data.buffer.slice(data.byteOffset, data.byteOffset + data.length), {}).dict;
});
fs.writeSync(1, JSON.stringify(found));
"""


def chronicle_dataset(dataset: Dataset) -> dict:
    """Return a data set as SlicerChronicle's `record.py` has it in its documents."""
    made = {}
    for key in list(dataset.keys()):
        try:
            element = dataset[key]
            made[f"{key.group:04X}{key.element:04X}"] = {"vr": str(element.VR), "Value": _value(element)}
        except (KeyError, ValueError, NotImplementedError):
            continue  # a file of another encoding: the attribute is not there
    return made


def _value(element) -> object:  # noqa: PLR0911
    if element.VR in BINARY:
        return "Binary Omitted"
    if element.VR == "SQ":
        return [chronicle_dataset(item) for item in element.value]
    value = element.value
    if element.VR in ("DS", "AT"):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, PersonName):
        return value.original_string.decode("utf-8") if value.original_string else ""
    if isinstance(value, MultiValue):
        return [str(one) for one in value]
    json.dumps(value, allow_nan=False)
    return value


def chronicle_document(path: Path, **more) -> dict:
    """Return SlicerChronicle's document of a file, without attachments."""
    dataset = dcmread(path)
    return {
        "_id": str(dataset.SOPInstanceUID),
        "fileNamePath": str(path),
        "dataset": chronicle_dataset(dataset),
        **more,
    }


def dcmjs_datasets(*paths: Path) -> list[dict]:
    """Return data sets as dicomweb-server has them in its documents, read by dcmjs itself."""
    done = subprocess.run(
        ["node", "-e", DCMJS, *map(str, paths)], cwd=ROOT / "tests/js", capture_output=True, check=True, timeout=60
    )
    return json.loads(done.stdout[done.stdout.index(b"[{") :])


def put(database: str, document: dict) -> str:
    """Write a document; return its revision."""
    answer = requests.put(f"{database}/{document['_id']}", json=document, timeout=30)
    answer.raise_for_status()
    return answer.json()["rev"]


def attach(
    database: str,
    document_id: str,
    revision: str,
    data: bytes,
    name: str = "object.dcm",
    kind: str = "application/dicom",
) -> str:
    """Attach a file to a document; return its new revision."""
    answer = requests.put(
        f"{database}/{document_id}/{name}",
        data=data,
        params={"rev": revision},
        headers={"Content-Type": kind},
        timeout=30,
    )
    answer.raise_for_status()
    return answer.json()["rev"]


def views(database: str) -> None:
    """Give a chronicle its design document."""
    made = {name: {"map": source, "reduce": "_count"} for name, source in VIEWS.items()}
    put(database, {"_id": "_design/instances", "language": "javascript", "views": made})
