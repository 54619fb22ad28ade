"""What the demonstration prints."""

from dicouch.scripts import demo


def test_answers_are_shortened_to_what_a_person_reads():
    many = {f"0009{number:04X}": {"vr": "LO", "Value": ["x" * 100]} for number in range(0x1001, 0x1021)}
    few = {"00080050": {"vr": "SH"}, "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Ä"}]}}
    lines = list(demo.shorten([few, many]))
    assert lines[:2] == ["{", '  00100010 PatientName                  PN [{"Alphabetic": "Ä"}]']
    assert lines[2] == "}, {"
    assert all(len(line) < 110 for line in lines)
    assert lines[-2:] == [f"  … {len(many) - demo.SHOWN_ATTRIBUTES} more attributes", "}"]
