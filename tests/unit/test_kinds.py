"""What an instance is and in which forms it can be had is told by its whole data set, wherever that is kept."""

import io

import orjson
import pytest
from pydicom import dcmread
from pydicom.uid import EncapsulatedCDAStorage, EncapsulatedSTLStorage

from dicouch.dicom.media.negotiate import parse_accept
from dicouch.errors import DicomWebError
from dicouch.read.frames import choose_frames
from dicouch.read.rendering import document_type, kind_of_document
from dicouch.read.retrieve import Retriever
from dicouch.write.document import without_dataset
from tests.made_objects import as_bytes, document, report
from tests.unit.made_images import Memory, document_of, sample

JPEG_LS, J2K = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"


class Trimmed(Retriever):
    """Reads an instance whose data set is an attachment of its document."""

    def __init__(self, data: bytes):
        super().__init__(None, Memory(data))
        self.trimmed, self.kept = without_dataset(document_of(data))

    def dataset(self, document_id: str) -> bytes:
        return self.kept


@pytest.mark.parametrize(
    ("data", "kind"), [(report(), "report"), (document(), "document"), (sample("CT_small.dcm"), "image")]
)
def test_the_kind_of_an_instance_with_a_large_data_set(data, kind):
    reader = Trimmed(data)
    assert "0040A730" not in reader.trimmed["dataset"]
    assert kind_of_document(reader, reader.trimmed) == kind
    # Read once, it is whole.
    whole = reader.whole(reader.trimmed)
    assert reader.whole(whole) is whole
    assert whole["dataset"] == orjson.loads(reader.kept)


def test_the_type_of_a_document_with_a_large_data_set():
    reader = Trimmed(document(b"<x/>", "text/XML"))
    assert document_type(reader, reader.trimmed) == "text/xml"


def test_signed_pixels_are_not_offered_in_jpeg_ls_whatever_is_at_hand():
    # PS3.5 8.2.3: JPEG-LS of signed pixels has no form that all decoders read alike, so none is made.
    dataset = dcmread(io.BytesIO(sample("MR_small.dcm")))
    assert dataset.PixelRepresentation == 1
    reader = Trimmed(as_bytes(dataset))
    accept = ('multipart/related; type="image/jls", multipart/related; type="image/jp2"; q=0.5',)
    chosen = choose_frames(reader, reader.trimmed, parse_accept(accept), single=True)
    assert chosen.transfer_syntax == J2K
    with pytest.raises(DicomWebError) as refused:
        choose_frames(reader, reader.trimmed, parse_accept(accept[0].split(", ")[:1]), single=True)
    assert refused.value.status == 406
    assert JPEG_LS not in refused.value.reason
    assert J2K in refused.value.reason


def test_frames_that_go_as_they_are_need_no_whole_data_set(monkeypatch):
    reader = Trimmed(sample("MR_small.dcm"))
    monkeypatch.setattr(reader, "dataset", None)
    accept = ['multipart/related; type="application/octet-stream"; transfer-syntax=*, image/jls; q=0.1']
    assert choose_frames(reader, reader.trimmed, parse_accept(accept), single=True).transfer_syntax.endswith(".1")


@pytest.mark.parametrize(
    ("sop_class", "named", "kind"),
    [
        # PS3.3 C.24.2: MIME Type of Encapsulated Document is Type 1; where it is empty, the class says it.
        (None, "", "application/pdf"),
        (None, None, "application/pdf"),
        (None, "pdf", "application/pdf"),
        (EncapsulatedCDAStorage, "", "text/xml"),
        (EncapsulatedSTLStorage, "", "model/stl"),
        ("1.2.3", "", "application/octet-stream"),
        (None, "image/svg+xml", "image/svg+xml"),
    ],
)
def test_a_document_of_no_named_type(sop_class, named, kind):
    dataset = dcmread(io.BytesIO(document()))
    dataset.SOPClassUID = sop_class or dataset.SOPClassUID
    del dataset.MIMETypeOfEncapsulatedDocument
    if named is not None:
        dataset.MIMETypeOfEncapsulatedDocument = named
    data = as_bytes(dataset)
    assert document_type(Retriever(None, Memory(data)), document_of(data)) == kind
