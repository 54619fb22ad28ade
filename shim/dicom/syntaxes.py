"""The one table of transfer syntaxes: how each encodes a data set, and the media type of its frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import uid as uids

OCTETS = "application/octet-stream"

# Names that pydicom does not have.
ENCAPSULATED_UNCOMPRESSED = "1.2.840.10008.1.2.1.98"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
PAPYRUS_3 = "1.2.840.10008.1.20"
GE_PRIVATE = "1.2.840.113619.5.2"
JPIP_DEFLATED = "1.2.840.10008.1.2.4.95"
JPEG_XL_LOSSLESS, JPEG_XL_RECOMPRESSED, JPEG_XL = (f"1.2.840.10008.1.2.4.{last}" for last in (110, 111, 112))
JPEG_RETIRED = tuple(f"1.2.840.10008.1.2.4.{last}" for last in (*range(52, 57), *range(58, 67)))


@dataclass(frozen=True)
class TransferSyntax:
    """A transfer syntax (PS3.5 A, PS3.6 Table A-1).

    Attributes
    ----------
    media_type : str
        Of its frames (PS3.18 Table 8.7.3-5).
    encapsulated : bool
        Pixel data are in fragments (PS3.5 A.4).
    implicit, big_endian, deflated : bool
        How the data set is encoded.
    big_endian_pixels : bool
        Native pixel data are big endian.
    lossy : str
        Lossy Image Compression Method (PS3.3 C.7.6.1.1.5.1) that it may use; empty when it loses nothing.
    stored : bool
        Frames of its media type can be stored in it (PS3.18 10.5.2); the others are retired.
    """

    uid: str
    media_type: str = OCTETS
    encapsulated: bool = False
    implicit: bool = False
    big_endian: bool = False
    deflated: bool = False
    big_endian_pixels: bool = False
    lossy: str = ""
    stored: bool = True

    @property
    def video(self) -> bool:
        """Whether the fragments hold one stream of all frames."""
        return self.media_type.startswith("video/")


def _compressed(media_type: str, lossy: str, *names: str, stored: bool = True) -> Iterator[TransferSyntax]:
    for name in names:
        yield TransferSyntax(name, media_type, True, lossy=lossy, stored=stored)


_ROWS = (
    TransferSyntax(uids.ImplicitVRLittleEndian, implicit=True),
    TransferSyntax(uids.ExplicitVRLittleEndian),
    TransferSyntax(uids.ExplicitVRBigEndian, big_endian=True, big_endian_pixels=True),
    TransferSyntax(uids.DeflatedExplicitVRLittleEndian, deflated=True),
    TransferSyntax(JPIP_DEFLATED, deflated=True),  # PS3.5 A.7
    TransferSyntax(uids.JPIPHTJ2KReferencedDeflate, deflated=True),  # PS3.5 A.14
    TransferSyntax(PAPYRUS_3, implicit=True),
    TransferSyntax(GE_PRIVATE, implicit=True, big_endian_pixels=True),
    # Encapsulated, and of no media type of their own (PS3.5 A.4.11, A.4.13).
    TransferSyntax(ENCAPSULATED_UNCOMPRESSED, encapsulated=True),
    TransferSyntax(DEFLATED_FRAMES, encapsulated=True),
    *_compressed("image/dicom-rle", "", uids.RLELossless),
    *_compressed("image/jpeg", "ISO_10918_1", uids.JPEGBaseline8Bit, uids.JPEGExtended12Bit),
    *_compressed("image/jpeg", "", uids.JPEGLossless, uids.JPEGLosslessSV1),
    *_compressed("image/jpeg", "", *JPEG_RETIRED, stored=False),
    *_compressed("image/jls", "", uids.JPEGLSLossless),
    *_compressed("image/jls", "ISO_14495_1", uids.JPEGLSNearLossless),
    *_compressed("image/jp2", "", uids.JPEG2000Lossless),
    *_compressed("image/jp2", "ISO_15444_1", uids.JPEG2000),
    *_compressed("image/jpx", "", uids.JPEG2000MCLossless),
    *_compressed("image/jpx", "ISO_15444_1", uids.JPEG2000MC),
    *_compressed("image/jphc", "", uids.HTJ2KLossless, uids.HTJ2KLosslessRPCL),
    *_compressed("image/jphc", "ISO_15444_15", uids.HTJ2K),
    *_compressed("image/jxl", "", JPEG_XL_LOSSLESS, JPEG_XL_RECOMPRESSED, JPEG_XL),
    *_compressed("video/mpeg", "ISO_13818_2", uids.MPEG2MPML, uids.MPEG2MPMLF, uids.MPEG2MPHL, uids.MPEG2MPHLF),
    *_compressed("video/mp4", "ISO_14496_10", uids.MPEG4HP41, uids.MPEG4HP41F, uids.MPEG4HP41BD, uids.MPEG4HP41BDF),
    *_compressed("video/mp4", "ISO_14496_10", uids.MPEG4HP422D, uids.MPEG4HP422DF, uids.MPEG4HP423D),
    *_compressed("video/mp4", "ISO_14496_10", uids.MPEG4HP423DF, uids.MPEG4HP42STEREO, uids.MPEG4HP42STEREOF),
    *_compressed("video/mp4", "ISO_23008_2", uids.HEVCMP51, uids.HEVCM10P51),
)
TABLE = {str(row.uid): row for row in _ROWS}
"""Every transfer syntax that differs from Explicit VR Little Endian, by UID."""

EXPLICIT_LITTLE = str(uids.ExplicitVRLittleEndian)
EXPLICIT_BIG = str(uids.ExplicitVRBigEndian)
PIXELS_BIG = frozenset(row.uid for row in _ROWS if row.big_endian_pixels)
"""Native syntaxes whose pixel data are big endian."""


def syntax_of(uid: str) -> TransferSyntax:
    """Return a transfer syntax; one that the table does not have encodes as Explicit VR Little Endian."""
    return TABLE.get(uid) or TransferSyntax(uid)


def is_known(uid: str) -> bool:
    """Return whether a transfer syntax is one that the table tells of, or Explicit VR Little Endian."""
    return uid in TABLE or uid == EXPLICIT_LITTLE


def media_type(uid: str) -> str:
    """Return the media type of frames in a transfer syntax (PS3.18 Table 8.7.3-5)."""
    return syntax_of(uid).media_type


def is_native(uid: str) -> bool:
    """Return whether pixel data in a transfer syntax is not encapsulated (PS3.5 A.4)."""
    return not syntax_of(uid).encapsulated
