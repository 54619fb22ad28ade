"""ICC profiles of rendered images (PS3.18 8.3.5.1.5): the image's own, or conversion to a well-known colour space.

pydicom's `create_icc_transform` converts to sRGB only. Pillow converts to all four, and has a profile of sRGB alone.
"""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from struct import pack

from PIL import Image as Pillow
from PIL import ImageCms

from dicouch.dicom.errors import PixelError
from dicouch.dicom.pixels.image import Image, items

# Primaries adapted to D50, as XYZ, and the gamma, None for the curve of sRGB (IEC 61966-2-1): Adobe RGB (1998),
# ROMM RGB (ISO 22028-2) and Display P3 (the primaries of SMPTE RP 431-2 with the white point D65).
_SPACES = {
    "adobergb": (
        "Adobe RGB (1998) compatible",
        ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)),
        563 / 256,
    ),
    "rommrgb": ("ROMM RGB", ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491)), 1.8),
    "displayp3": (
        "Display P3",
        ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407)),
        None,
    ),
}
_WHITE = (0.9642, 1.0, 0.8249)


def profile_of(image: Image, made: Pillow.Image, asked: str) -> tuple[Pillow.Image, bytes | None]:
    """Return a picture in the colour space that was asked for, and the profile to embed.

    Asked is "no", "yes" (the image's own, else sRGB), "srgb", "adobergb", "rommrgb" or "displayp3". Pictures of mode L
    have no colours, and stay as they are.

    Raises
    ------
    PixelError
        The image's own profile is damaged.
    """
    if asked == "no" or made.mode != "RGB":
        return made, None
    # ICC Profile, or that of an optical path.
    places = (image.dataset, *items(image.dataset, "00480105"))
    own = next(filter(None, (image.raw(place, "00282000") for place in places)), None)
    if asked == "yes":
        return made, own or well_known("srgb")
    target = well_known(asked)
    if own is None and asked == "srgb":
        return made, target
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(own or well_known("srgb")))
        converted = ImageCms.profileToProfile(made, source, ImageCms.ImageCmsProfile(BytesIO(target))) or made
    except (ImageCms.PyCMSError, OSError) as problem:
        raise PixelError(f"the ICC profile of the image cannot be used: {problem}") from problem
    return converted, target


@lru_cache(8)
def well_known(name: str) -> bytes:
    """Return the profile of a colour space: "srgb", "adobergb", "rommrgb" or "displayp3"."""
    if name == "srgb":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return _matrix_profile(*_SPACES[name])


def _matrix_profile(title: str, primaries: tuple[tuple[float, ...], ...], gamma: float | None) -> bytes:
    """Write an ICC profile of version 2: three primaries and one curve (ICC.1:2001-04 6.3.1.2)."""
    text = title.encode("ascii") + b"\0"
    description = b"desc" + bytes(4) + pack(">I", len(text)) + text + bytes(78)
    points = [round(gamma * 256)] if gamma else [round(_srgb_light(place / 1023) * 65535) for place in range(1024)]
    curve = b"curv" + bytes(4) + pack(f">I{len(points)}H", len(points), *points)
    tags = {
        b"desc": description,
        b"cprt": b"text" + bytes(4) + b"No copyright, use freely\0",
        b"wtpt": _xyz(_WHITE),
        **{name: _xyz(value) for name, value in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, data = pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + pack(">II", start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    size = start + len(data)
    header = pack(
        ">I4sI4s4s4s6H4s", size, bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ", 2001, 1, 1, 0, 0, 0, b"acsp"
    )
    return (header + bytes(28) + _fixed(_WHITE)).ljust(128, b"\0") + table + data


def _srgb_light(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def _fixed(values: tuple[float, ...]) -> bytes:
    return pack(">3i", *(round(value * 65536) for value in values))


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(values)
