"""``lib/fixes``, ``lib/metadata``: what a person decides lies over what instances bring, until it is undone."""

import copy
import json

import pytest

STUDY = "1.2:study"
NAME, ID = "00100010", "00100020"
AT = "2026-01-02T03:04:05.678Z"


def name(text):
    return {"vr": "PN", "Value": [{"Alphabetic": text}]}


def body(text, series):
    return {
        "series": series,
        "modality": "CT",
        "attributes": {NAME: name(text), "0020000D": {"vr": "UI", "Value": ["1.2"]}},
    }


def header(ddoc, *names):
    doc = None
    for number, text in enumerate(names or ("Doe", "Roe")):
        doc = ddoc.update("study", doc, body(text, f"1.{number}"), STUDY)[0] or doc
    return doc


def fix(ddoc, doc, text, **more):
    request = {"tag": NAME, "value": text, "by": "Ann", "id": "0" * 32, **more}
    answer = ddoc.call("lib/fixes/fixes", "apply", doc, request, AT)
    assert "refused" not in answer, answer
    return answer["header"]


def undo(ddoc, doc, **more):
    request = {"tag": NAME, "undo": True, "by": "Bob", "id": "1" * 32, **more}
    return ddoc.call("lib/fixes/fixes", "apply", doc, request, AT)


def without_history(doc):
    return {name: value for name, value in doc.items() if name != "history"}


def test_a_fix_is_the_current_value_and_keeps_the_others(ddoc):
    before = header(ddoc)
    after = fix(ddoc, before, "Poe")
    assert after["dataset"][NAME] == name("Poe")
    assert after["variants"] == before["variants"]
    assert after["fixes"][NAME] == {
        "value": name("Poe"),
        "original": name("Doe"),
        "by": "Ann",
        "user": None,
        "at": AT,
        "id": "0" * 32,
    }
    assert after["summary"].startswith("Poe")
    (event,) = after["history"]
    assert (event["from"], event["to"], event["by"], event["action"]) == (name("Doe"), name("Poe"), "Ann", "set")


def test_undo_brings_everything_back(ddoc):
    before = header(ddoc)
    after = undo(ddoc, fix(ddoc, fix(ddoc, before, "Poe"), "Moe", id="2" * 32))["header"]
    assert without_history(after) == before
    assert [event["action"] for event in after["history"]] == ["set", "set", "undo"]


def test_undo_of_an_attribute_that_was_absent(ddoc):
    before = header(ddoc)
    after = fix(ddoc, before, "P1", tag=ID)
    assert after["dataset"][ID] == {"vr": "LO", "Value": ["P1"]}
    assert without_history(undo(ddoc, after, tag=ID)["header"]) == before


def test_instances_that_come_later_are_merged_below(ddoc):
    fixed = fix(ddoc, header(ddoc), "Poe")
    later, told = ddoc.update("study", fixed, body("Moe", "1.9"), STUDY)
    assert later["dataset"][NAME] == name("Poe")
    assert [entry["value"] for entry in later["variants"][NAME]] == [name("Roe"), name("Moe")]
    assert told["variants"] == []
    assert ddoc.update("study", later, body("Doe", "1.0"), STUDY)[0] is None
    undone = undo(ddoc, later)["header"]
    assert without_history(undone) == header(ddoc, "Doe", "Roe", "Moe") | {
        "series": later["series"],
        "variants": later["variants"],
    }


def test_the_first_value_of_a_fixed_attribute_may_come_later(ddoc):
    fixed = fix(ddoc, header(ddoc), "P1", tag=ID)
    more = body("Doe", "1.0")
    more["attributes"][ID] = {"vr": "LO", "Value": ["P0"]}
    later, _told = ddoc.update("study", fixed, more, STUDY)
    assert later["dataset"][ID]["Value"] == ["P1"]
    assert later["variants"].keys() == {NAME}
    assert undo(ddoc, later, tag=ID)["header"]["dataset"][ID]["Value"] == ["P0"]


def instance(series, number, text, **more):
    dataset = {
        **{"0020000D": {"vr": "UI", "Value": ["1.2"]}, "00080060": {"vr": "CS", "Value": ["CT"]}},
        NAME: name(text),
        **more,
    }
    return {"_id": f"1.2:{series}:{series}.{number}", "_rev": "1-a", "type": "instance", "dataset": dataset, "file": {}}


def rebuilt(ddoc, *docs):
    return {
        doc["_id"]: doc
        for doc in ddoc.list("headers", [{"id": doc["_id"], "doc": doc} for doc in docs])["body"]["docs"]
    }


def test_rebuilding_keeps_fixes_and_history(ddoc):
    one, two = instance("1.0", 1, "Doe"), instance("1.1", 1, "Roe")
    made = rebuilt(ddoc, one, two)
    stored = {**fix(ddoc, made[STUDY], "Poe"), "_rev": "2-x"}
    series = [{**doc, "_rev": "1-x"} for key, doc in made.items() if key != STUDY]
    assert rebuilt(ddoc, one, two, stored, *series) == {}
    again = rebuilt(ddoc, two, stored)[STUDY]
    assert again["dataset"][NAME] == name("Poe")
    assert again["fixes"][NAME]["original"] == name("Roe")
    assert again["history"] == stored["history"]
    assert again["variants"] == {}


def test_modalities_in_study_follow_a_fix_of_a_series(ddoc):
    one = instance("1.0", 1, "Doe")
    made = rebuilt(ddoc, one)
    series = {**fix(ddoc, made["1.2:1.0"], "MR", tag="00080060"), "_rev": "2-x"}
    again = rebuilt(ddoc, one, series, {**made[STUDY], "_rev": "1-x"})
    assert again[STUDY]["series"] == {"1.0": "MR"}
    assert "1.2:1.0" not in again


def test_corrections_are_what_people_fixed_and_not_what_differs(ddoc):
    doc = header(ddoc)
    assert ddoc.map("corrections_by_study", doc) == []
    ((_study, told),) = ddoc.map("corrections_by_study", fix(ddoc, doc, "Poe"))
    assert told == {"series": None, "fixes": {NAME: {"value": name("Poe"), "at": AT}}}


def test_the_list_of_conflicts_knows_what_is_decided(ddoc):
    doc = header(ddoc)
    assert [key[0] for key, _value in ddoc.map("conflicts_by_date", doc)] == ["open"]
    assert [key[0] for key, _value in ddoc.map("conflicts_by_date", fix(ddoc, doc, "Poe"))] == ["fixed"]
    agreed = {**doc, "variants": {}}
    assert ddoc.map("conflicts_by_date", agreed) == []


@pytest.mark.parametrize("fixes", [None, [], 3, {NAME: None}, {NAME: {"value": 3, "at": AT}}, {NAME: {"value": {}}}])
def test_broken_fixes_break_no_index(ddoc, fixes):
    doc = {**header(ddoc), "fixes": fixes}
    assert ddoc.map("corrections_by_study", doc) == []
    assert [key[0] for key, _value in ddoc.map("conflicts_by_date", doc)] == ["open"]
    assert fixes is None or ddoc.refusal({**doc, "dataset": {"0020000D": {"vr": "UI", "Value": ["1.2"]}}})


def metadata(ddoc, doc, corrections):
    (dataset,) = ddoc.list(
        "metadata", [{"id": doc["_id"], "doc": doc}], base="http://x", corrections=json.dumps(corrections)
    )["body"]
    return dataset


def test_metadata_tell_what_was_changed(ddoc):
    told = {"vr": "SQ", "Value": [{"04000565": {"vr": "CS", "Value": ["COERCE"]}}]}
    doc = instance("1.0", 1, "Doe", **{"04000561": told})
    fixes = {NAME: {"value": name("Poe"), "at": AT}, ID: {"value": {"vr": "LO", "Value": ["P1"]}, "at": AT[:-2] + "9Z"}}
    dataset = metadata(ddoc, doc, [{"series": None, "fixes": fixes}])
    assert dataset[NAME] == name("Poe")
    first, second, third = dataset["04000561"]["Value"]
    assert first == told["Value"][0]
    assert second["04000550"]["Value"] == [{NAME: name("Doe")}]
    assert second["04000562"]["Value"] == ["20260102030405.678+0000"]
    assert third["04000550"]["Value"] == [{ID: {"vr": "LO"}}]
    assert list(dataset) == sorted(dataset)


def test_an_instance_that_says_so_already_is_not_changed(ddoc):
    doc = instance("1.0", 1, "Poe")
    dataset = metadata(ddoc, doc, [{"series": None, "fixes": {NAME: {"value": name("Poe"), "at": AT}}}])
    assert dataset == doc["dataset"]


def test_other_series_are_not_touched(ddoc):
    doc = instance("1.0", 1, "Doe")
    corrections = [{"series": "1.1", "fixes": {NAME: {"value": name("B"), "at": AT}}}]
    assert metadata(ddoc, doc, corrections) == doc["dataset"]


def test_modifications_name_the_attributes(ddoc):
    docs = [
        instance("1.0", 1, "Doe"),
        {**instance("1.0", 2, "Poe"), "warnings": []},
        {**instance("1.0", 3, "Moe"), "file": {"unordered": True}, "warnings": []},
        # Stored before there was a flag.
        {**instance("1.0", 4, "Roe"), "warnings": ["(0010,0010) PatientName is not in ascending order."]},
    ]
    corrections = [{"series": None, "fixes": {NAME: {"value": name("Poe"), "at": AT}}}]
    rows = [{"id": doc["_id"], "doc": doc} for doc in docs]
    found = ddoc.list("modifications", rows, corrections=json.dumps(corrections))["body"]
    assert found == {
        "1.2:1.0:1.0.1": {"ordered": True, "tags": [NAME]},
        "1.2:1.0:1.0.3": {"ordered": False, "tags": [NAME]},
        "1.2:1.0:1.0.4": {"ordered": False, "tags": [NAME]},
    }


def refused(ddoc, doc, **request):
    request = {"by": "Ann", "tag": NAME, "id": "0" * 32, **request}
    return ddoc.call("lib/fixes/fixes", "apply", doc, request, AT).get("refused")


def test_refusals(ddoc):
    doc = header(ddoc)
    assert refused(ddoc, None, value="x")["status"] == 404
    assert refused(ddoc, doc, value="x", by="")["status"] == 400
    assert refused(ddoc, doc, value={"vr": 3})["status"] == 400
    assert refused(ddoc, doc, undo=True)["status"] == 409
    assert refused(ddoc, fix(ddoc, doc, "Poe"), value="x", seen="")["status"] == 409


def test_a_value_that_an_instance_brought_is_taken_as_it_is(ddoc):
    odd = {"vr": "DA", "Value": ["yesterday"]}
    doc = header(ddoc)
    doc["dataset"]["00080020"] = {"vr": "DA", "Value": ["20200102"]}
    doc["variants"]["00080020"] = [{"value": odd, "series": ["1.1"]}]
    assert fix(ddoc, doc, odd, tag="00080020")["dataset"]["00080020"] == odd
    assert refused(ddoc, doc, tag="00080020", value="tomorrow")["status"] == 400


def test_patients_are_kept_apart(ddoc):
    doc = fix(ddoc, header(ddoc), "P1", tag=ID)
    same = {"id": "P1", "issuer": ""}
    assert ddoc.call("lib/fixes/fixes", "apply", doc, {"tag": NAME, "value": "x", "by": "A", "patient": same}, AT)[
        "header"
    ]
    for other in ({"id": "P1", "issuer": "X"}, {"id": "P2", "issuer": ""}):
        answer = ddoc.call(
            "lib/fixes/fixes", "apply", doc, {"tag": NAME, "value": "x", "by": "A", "patient": other}, AT
        )
        assert answer == {"header": None}


def test_the_update_does_not_change_what_it_is_given(ddoc):
    doc = header(ddoc)
    before = copy.deepcopy(doc)
    fix(ddoc, doc, "Poe")
    assert doc == before


FORM = {"tag": NAME, "choice": "other", "other": "Poe", "by": "Ann", "action": "save"}


def post(ddoc, doc, form=None, headers=None, body="", user=None):
    types = {"Content-Type": "application/x-www-form-urlencoded" if form else "application/json", "Host": "h:1"}
    request = {
        "id": STUDY,
        "uuid": "f" * 32,
        "headers": {**types, **(headers or {})},
        "form": form or {},
        "body": body,
        "userCtx": {"name": user},
        "query": {},
    }
    return ddoc.post("fix", doc, request)


def test_a_form_is_answered_with_the_page(ddoc):
    written, response = post(ddoc, header(ddoc), FORM, {"Origin": "http://h:1"})
    assert written["dataset"][NAME] == name("Poe")
    assert response["code"] == 303
    assert response["headers"]["Location"].startswith(
        "../../_list/conflict/_all_docs?include_docs=true&startkey=%221.2%3A%22"
    )
    chosen = {**FORM, "choice": json.dumps(name("Roe"))}
    assert post(ddoc, header(ddoc), chosen)[0]["dataset"][NAME] == name("Roe")


@pytest.mark.parametrize(
    "value",
    [
        [["x"]],
        [True],
        [{"alphabetic": "Poe"}],
        [{"Alphabetic": "Poe", "Given": "Ed"}],
        [{"Alphabetic": {}}],
        [{"Alphabetic": None}],
        {"vr": "PN", "Value": "Poe"},
        {"vr": "PN", "Value": {"Alphabetic": "Poe"}},
        {"vr": "PN", "InlineBinary": "AA=="},
    ],
)
def test_what_is_no_value_takes_nothing_away(ddoc, value):
    told = refused(ddoc, header(ddoc), value=value)
    assert told["status"] == 400
    assert "Patient's Name (0010,0010)" in told["reason"]


@pytest.mark.parametrize("value", [None, [], "", [None], [{}], {"vr": "PN"}, {"vr": "PN", "Value": []}])
def test_no_value(ddoc, value):
    assert fix(ddoc, header(ddoc), value)["dataset"].get(NAME, {"vr": "PN"}) == {"vr": "PN"}


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://h:2", "http://h:1.evil.example"])
def test_forms_of_other_sites_are_refused(ddoc, origin):
    written, response = post(ddoc, header(ddoc), FORM, {"Origin": origin})
    assert (written, response["code"]) == (None, 403)


def test_bodies_that_are_no_request(ddoc):
    for text in ("{", "[]", "null", "3"):
        written, response = post(ddoc, header(ddoc), body=text)
        assert (written, response["code"]) == (None, 400)
    assert post(ddoc, header(ddoc), body="{}", headers={"Content-Type": "text/plain"})[1]["code"] == 415
    assert post(ddoc, header(ddoc), {**FORM, "choice": "{"})[1]["code"] == 400


def test_the_database_knows_who(ddoc):
    written, _response = post(ddoc, header(ddoc), {**FORM, "by": " "}, user="carla")
    assert written["fixes"][NAME]["by"] == "carla"
    written, _response = post(ddoc, header(ddoc), FORM, user="carla")
    assert (written["history"][0]["by"], written["history"][0]["user"]) == ("Ann", "carla")
    assert post(ddoc, header(ddoc), {**FORM, "by": " "})[1]["code"] == 400
