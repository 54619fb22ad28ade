"""What HTTP asks of every answer: URLs, safety in browsers, names, encodings, errors (RFC 9110, RFC 6266)."""

from dicomweb_client import DICOMwebClient

PORTLESS = {"Host": "127.0.0.1"}


def test_a_host_without_a_port_gets_the_one_that_listens(gallery):
    # dicomweb-client sends such a Host with each request.
    server = gallery.server
    row = server.get("/studies?limit=1", headers=PORTLESS).json()[0]
    assert row["00081190"]["Value"][0].startswith(f"{server.url}/studies/")
    metadata = gallery.get("CT_small.dcm", "/metadata", headers=PORTLESS).json()[0]
    place = metadata["7FE00010"]["BulkDataURI"]
    assert place.startswith(f"{server.url}/studies/")
    client = DICOMwebClient(server.url)
    pixels = gallery.datasets["CT_small.dcm"].PixelData
    assert client.retrieve_bulkdata(place) == [pixels]
    assert list(client.iter_bulkdata(place)) == [pixels]
    proxied = server.get("/studies?limit=1", headers={**PORTLESS, "X-Forwarded-Proto": "https"}).json()[0]
    assert proxied["00081190"]["Value"][0].startswith("https://127.0.0.1/dicom-web/studies/")
