"""The query parameters of rendering (PS3.18 8.3.5.1, 9.4.1.2), checked one by one. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from dicouch.dicom.errors import BadParameter
from dicouch.dicom.pixels.luts import LINEAR, LINEAR_EXACT, SIGMOID, VoiWindow

PATIENT, TECHNIQUE = "patient", "technique"
LARGEST_VIEWPORT = 16384
"""Most rows or columns that a client can ask for."""
LARGEST_AREA = 32 * 1024 * 1024
"""Most pixels of a rendered image that is larger than its source."""

PROFILES = ("no", "yes", "srgb", "adobergb", "rommrgb", "displayp3")
_FUNCTIONS = {"linear": LINEAR, "linear-exact": LINEAR_EXACT, "sigmoid": SIGMOID}


@dataclass(frozen=True)
class Viewport:
    """The size of the rendered image, and the part of the source that is shown (PS3.18 8.3.5.1.3).

    Attributes
    ----------
    width, height : int or None
        Most columns and rows of the rendered image; None for no limit.
    left, top : float
        Where the region begins in the source, in pixels.
    region_width, region_height : float or None
        Its extent in pixels, negative when it is flipped; None for all that is left.
    relative : bool
        The region counts in fractions of the source (PS3.18 9.4.1.2.6).
    """

    width: int | None = None
    height: int | None = None
    left: float = 0.0
    top: float = 0.0
    region_width: float | None = None
    region_height: float | None = None
    relative: bool = False


@dataclass(frozen=True)
class Rendering:
    """How an image is rendered: `quality` is that of JPEG, 1 to 100; `profile` is one of `PROFILES`."""

    annotation: frozenset[str] = frozenset()
    quality: int = 90
    viewport: Viewport | None = None
    window: VoiWindow | None = None
    profile: str = "no"


def parse_rendering(query: Mapping[str, str]) -> Rendering:
    """Read the parameters of a rendered resource of RESTful services (PS3.18 Table 8.3.5-1); others are left alone.

    Raises
    ------
    BadParameter
        Naming the parameter and what is wrong with it.
    """
    return Rendering(
        annotation=_annotation(query.get("annotation")),
        quality=_whole("quality is a whole number", query.get("quality"), 100) or Rendering.quality,
        viewport=parse_viewport(query.get("viewport")),
        window=_parse_window(query.get("window")),
        profile=_profile(query.get("iccprofile")),
    )


def parse_uri_rendering(query: Mapping[str, str]) -> Rendering:
    """Read the parameters of the URI service (PS3.18 Table 9.4.1-2, 9.5.1), as `parse_rendering` does."""
    center, width = query.get("windowCenter"), query.get("windowWidth")
    if (center is None) != (width is None):
        raise BadParameter("windowCenter and windowWidth come together or not at all")
    window = None
    if center is not None and width is not None:
        window = _window("windowCenter", _decimal("windowCenter", center), _decimal("windowWidth", width), LINEAR)
    rows, columns = _size("rows", query.get("rows")), _size("columns", query.get("columns"))
    viewport = Viewport(columns, rows) if rows or columns else None
    region = query.get("region")
    if region is not None:
        parts = region.split(",")
        if len(parts) != 4:
            raise BadParameter(f"region is four numbers, not {region[:80]!r}")
        left, top, right, bottom = (_decimal("region", part) for part in parts)
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise BadParameter(f"region is xmin,ymin,xmax,ymax from 0 to 1, not {region[:80]!r}")
        viewport = Viewport(columns, rows, left, top, right - left, bottom - top, relative=True)
    return Rendering(
        annotation=_annotation(query.get("annotation")),
        quality=_whole("imageQuality is a whole number", query.get("imageQuality"), 100) or Rendering.quality,
        viewport=viewport,
        window=window,
        profile=_profile(query.get("iccprofile")),
    )


def parse_viewport(value: str | None) -> Viewport | None:
    """Read ``viewport=vw,vh[,sx,sy,sw,sh]`` (PS3.18 8.3.5.1.3); None without one. Raises `BadParameter`."""
    if value is None:
        return None
    parts = [part.strip() for part in value.split(",")]
    if len(parts) not in (2, 6):
        raise BadParameter(f"viewport is vw,vh or vw,vh,sx,sy,sw,sh, not {value[:80]!r}")
    width, height = _size("viewport", parts[0]), _size("viewport", parts[1])
    if len(parts) == 2:
        return Viewport(width, height)
    left, top, region_width, region_height = (_decimal("viewport", part) if part else None for part in parts[2:])
    if (left or 0) < 0 or (top or 0) < 0:
        raise BadParameter(f"viewport begins outside the image: {value[:80]!r}")
    if region_width == 0 or region_height == 0:
        raise BadParameter(f"viewport shows an empty region: {value[:80]!r}")
    return Viewport(width, height, left or 0.0, top or 0.0, region_width, region_height)


def _parse_window(value: str | None) -> VoiWindow | None:
    """Read ``window=center,width,function`` (PS3.18 8.3.5.1.4); None without one."""
    if value is None:
        return None
    parts = [part.strip() for part in value.split(",")]
    if len(parts) not in (2, 3):
        raise BadParameter(f"window is center,width,function, not {value[:80]!r}")
    function = parts[2].lower() if len(parts) == 3 else "linear"
    if function not in _FUNCTIONS:
        raise BadParameter(f"window has the function linear, linear-exact or sigmoid, not {function[:80]!r}")
    return _window("window", _decimal("window", parts[0]), _decimal("window", parts[1]), _FUNCTIONS[function])


def _window(name: str, center: float, width: float, function: str) -> VoiWindow:
    window = VoiWindow(center, width, function)
    if not window.valid:
        due = "at least 1" if function == LINEAR else "above 0"
        raise BadParameter(f"{name} has the width {width:g}: {due} is due")
    return window


def _annotation(value: str | None) -> frozenset[str]:
    if value is None:
        return frozenset()
    asked = [part.strip() for part in value.split(",")]
    for part in asked:
        if part not in (PATIENT, TECHNIQUE):
            raise BadParameter(f"annotation is patient, technique or both, not {part[:80]!r}")
    return frozenset(asked)


def _profile(value: str | None) -> str:
    if value is None:
        return Rendering.profile
    if value not in PROFILES:
        raise BadParameter(f"iccprofile is one of {', '.join(PROFILES)}, not {value[:80]!r}")
    return value


def _size(name: str, value: str | None) -> int | None:
    return _whole(f"{name} has sizes", value, LARGEST_VIEWPORT)


def _whole(due: str, value: str | None, largest: int) -> int | None:
    if value is None:
        return None
    if not (value.isascii() and value.isdigit()) or not 1 <= int(value[:9]) <= largest:
        raise BadParameter(f"{due} from 1 to {largest}, not {value[:80]!r}")
    return int(value)


def _decimal(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or "_" in value:
        raise BadParameter(f"{name} has a number where {value[:80]!r} stands")
    return number
