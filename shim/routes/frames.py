"""WADO-RS: frames and bulk data (PS3.18 10.4.1.1.5, 10.4.1.1.6), read by range from where STOW found them."""

from __future__ import annotations

from flask import Blueprint, Response

blueprint = Blueprint("frames", __name__)
