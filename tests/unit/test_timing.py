"""``shim/server/timing.py``: the header that says what a request cost."""

import re

from flask import Flask, Response

from dicouch.server import timing
from dicouch.tables import HIGH


def header(*asked):
    app = Flask(__name__)
    with app.test_request_context("/"):
        timing.begin()
        for request, seconds in asked:
            timing.observe(request, seconds)
        return timing.add_header(Response()).headers["Server-Timing"]


def test_times_and_names_without_what_was_asked_for():
    target = "/dicom/_design/dicom/_list/studies/studies_by_date?startkey=%5B%222020%22%5D&endkey=%5B%22%22%5D"
    told = header((f"GET {target}", 0.001), (f"GET {target}", 0.002), ("POST /dicom/_bulk_docs", 0.004))
    assert told.startswith("couch;dur=7.00, shim;dur=")
    assert 'ask;dur=3.00;desc="GET _list/studies/studies_by_date"' in told
    assert told.endswith('ask;dur=4.00;desc="POST _bulk_docs"')


def test_documents_have_no_names():
    """Their ids are UIDs, and these say who a patient is."""
    told = header(("GET /dicom/1.2:1.3:1.4", 0.001), ("PUT /dicom/1.2:1.3:1.4/bytes?rev=1-a", 0.001), ("GET /dicom", 0))
    assert re.findall('desc="([^"]*)"', told) == ["GET document", "PUT document", "GET document"]
    told = header(("GET /dicom/_design/own%22x/_view/a?key=1", 0.001))
    assert told.endswith('desc="GET own%22x/_view/a"')


def test_it_stays_a_header():
    odd = f'/d/_design/dicom/_view/x?startkey="{HIGH}é%0d%0aX: y"&key=%22{"z" * 1000}%22'
    told = header(*[(f"GET {odd}&{n}", 0.001) for n in range(50)])
    assert len(told) < 3000
    assert re.fullmatch(r"[ -~]+", told)
    assert told.count("ask;") == timing.MOST_ENTRIES


def test_requests_of_nobody_are_not_counted():
    timing.observe("GET /x", 1.0)


def test_a_request_without_the_database():
    assert header().startswith("couch;dur=0.00, shim;dur=")
