"""Waveforms as a drawing: values as pydicom reads them, millimetres as paper has them (PS3.3 C.10.9)."""

import io
import struct
import time
from base64 import b64decode
from contextlib import suppress

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicouch.dicom.errors import Unsupported
from dicouch.dicom.waveform import channels, draw, is_waveform
from dicouch.read.imaging import values_of
from tests.unit.made_images import document_of, reader_of, sample

INK = (16, 16, 48)


def code(value: str, meaning: str) -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "UCUM", meaning
    return [item]


def group(samples: np.ndarray, unit: str = "mV", rate: float = 100, bits: int = 16, coding: str = "SS", **more) -> dict:
    """Return the data set of a multiplex group, samples of shape (samples, channels)."""
    made = Dataset()
    made.NumberOfWaveformSamples, made.NumberOfWaveformChannels = samples.shape
    made.SamplingFrequency, made.WaveformBitsAllocated, made.WaveformSampleInterpretation = rate, bits, coding
    made.ChannelDefinitionSequence = []
    for number in range(samples.shape[1]):
        channel = Dataset()
        channel.ChannelSourceSequence = code("1", f"Lead {number}")
        channel.ChannelSensitivity, channel.ChannelSensitivityUnitsSequence = "0.01", code(unit, unit)
        for keyword, value in more.items():
            setattr(channel, keyword, value)
        made.ChannelDefinitionSequence.append(channel)
    made.add_new(0x54001010, "OW", samples.tobytes())
    whole = Dataset()
    whole.WaveformSequence = [made]
    return whole.to_json_dict()


def read(item: dict, tag: str, length: int) -> bytes | None:
    return b64decode(item[tag]["InlineBinary"])[:length] if "InlineBinary" in item.get(tag, {}) else None


def rows_of_ink(dataset: dict, column: int) -> list[int]:
    pixels = np.asarray(draw(dataset, read))
    return np.flatnonzero((pixels[:, column] == INK).all(axis=-1)).tolist()


def test_values_are_those_of_pydicom():
    data = sample("waveform_ecg.dcm")
    document, dataset = document_of(data), dcmread(io.BytesIO(data))
    found = channels(document["dataset"], values_of(reader_of(data), document))
    expected = [dataset.waveform_array(0), dataset.waveform_array(1)]
    assert [len(found), found[0].name, found[0].unit, found[11].name] == [24, "Lead I (Einthoven)", "uV", "Lead V6"]
    for number, channel in enumerate(found):
        assert np.allclose(channel.values, expected[number // 12][:, number % 12])
    assert (found[0].seconds, found[12].seconds) == (10.0, 1.2)


def test_a_real_ecg_is_drawn():
    data = sample("waveform_ecg.dcm")
    document = document_of(data)
    assert is_waveform(document["dataset"])
    made = draw(document["dataset"], values_of(reader_of(data), document))
    # 10 s at 25 mm/s and 4 pixels a millimetre, between margins; 24 rows.
    assert made.size == (1000 + 40, 24 * 100 + 120)
    pixels = np.asarray(made)
    for row in range(24):
        assert (pixels[60 + 100 * row : 160 + 100 * row, 20:] == INK).all(axis=-1).any(axis=0).mean() > 0.1


@pytest.mark.parametrize(("unit", "value"), [("mV", 100), ("uV", 100_000), ("V", 0.1)])
def test_a_millivolt_is_ten_millimetres(unit, value):
    samples = np.full((200, 1), value / 100, "<f8")
    # Sensitivity 0.01 of the unit, and a baseline that is added.
    flat = {"ChannelSensitivity": "0", "ChannelBaseline": str(value / 100)}
    rows = rows_of_ink(group(samples.astype("<i2"), unit, **flat), 150)
    assert rows
    assert abs(np.mean(rows) - (60 + 50 - 40)) <= 1.5


def test_large_amplitudes_get_less_gain_and_small_units_a_scale_of_their_own():
    high = group(np.full((200, 1), 800, "<i2"))  # 8 mV: 2.5 mm/mV
    assert abs(np.mean(rows_of_ink(high, 150)) - (60 + 50 - 80)) <= 1.5
    wave = np.tile([[0], [30000]], (100, 1)).astype("<i2")
    rows = rows_of_ink(group(wave, "mm[Hg]"), 150)
    assert min(rows) >= 60
    assert max(rows) <= 160


def test_no_more_than_ten_seconds_are_read_and_drawn():
    asked = []
    dataset = group(np.zeros((100, 2), "<i2"))
    dataset["54000100"]["Value"][0]["003A0010"]["Value"] = [100 * 86400]

    def spy(item, tag, length):
        asked.append(length)
        return bytes(length)

    assert channels(dataset, spy)[0].seconds == 86400
    assert max(asked) == 1000 * 2 * 2
    assert draw(dataset, spy).size[0] == 1040


@pytest.mark.parametrize(
    ("bits", "coding", "raw", "expected"),
    [
        (8, "SB", struct.pack("<2b", -5, 7), [-5, 7]),
        (8, "UB", bytes([5, 250]), [5, 250]),
        (16, "US", struct.pack("<2H", 5, 65000), [5, 65000]),
        (32, "SL", struct.pack("<2i", -70000, 7), [-70000, 7]),
        (32, "UL", struct.pack("<2I", 7, 4_000_000_000), [7, 4_000_000_000]),
        # ITU-T G.711: the ends and the smallest steps of each law, in 16 bits.
        (8, "MB", bytes([0x00, 0x80, 0xFF, 0x7F]), [-32124, 32124, 0, 0]),
        (8, "AB", bytes([0xD5, 0x55, 0xAA, 0x2A]), [8, -8, 32256, -32256]),
    ],
)
def test_every_sample_interpretation(bits, coding, raw, expected):
    # PS3.3 C.10.9.1.5.
    dataset = group(np.zeros((len(expected), 1), "<i2"), bits=bits, coding=coding, ChannelSensitivity="1")
    (channel,) = channels(dataset, lambda _item, tag, length: raw[:length] if tag == "54001010" else None)
    assert channel.values.tolist() == expected


def test_padding_is_a_gap():
    # PS3.3 C.10.9: Waveform Padding Value.
    dataset = group(np.array([[1], [-32768], [3]], "<i2"), ChannelSensitivity="1")
    values = {"54001010": struct.pack("<3h", 1, -32768, 3), "5400100A": struct.pack("<h", -32768)}
    (channel,) = channels(dataset, lambda _item, tag, length: values[tag][:length])
    assert [channel.values[0], np.isnan(channel.values[1]), channel.values[2]] == [1, True, 3]
    draw(dataset, lambda _item, tag, length: values[tag][:length])


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("003A0005", 0),
        ("003A0005", 2**31),
        ("003A001A", 0),
        ("003A001A", -5),
        ("54001004", 24),
        ("54001006", "XX"),
        ("54001010", None),
    ],
)
def test_what_cannot_be_read_is_refused(tag, value):
    dataset = group(np.zeros((10, 2), "<i2"))
    dataset["54000100"]["Value"][0][tag] = {"vr": "DS", "Value": [value]}
    with pytest.raises(Unsupported):
        draw(dataset, read)


@pytest.mark.parametrize(
    ("tag", "value"),
    [("003A001A", 1e300), ("003A001A", 1e-300), ("003A0010", 2**40), ("003A0005", 4096), ("003A0200", None)],
)
def test_forged_sizes_cost_little(tag, value):
    dataset = group(np.zeros((5000, 2), "<i2"))
    dataset["54000100"]["Value"][0][tag] = {"vr": "DS", "Value": [value] if value else []}
    started = time.monotonic()
    with suppress(Unsupported):
        assert draw(dataset, lambda _item, _tag, length: bytes(length)).size[0] <= 1040
    assert time.monotonic() - started < 10
