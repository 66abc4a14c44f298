import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvit_video.data.video.bitstreams import Bits, BitstreamProblem, ManyBits, take_headers
from mvit_video.data.video.h264 import _unescape_all
from mvit_video.data.video.h264_parameters import read_parameters, unescape


def golomb(value):
    """The unsigned Exp-Golomb code as text."""
    text = f"{value + 1:b}"
    return "0" * (len(text) - 1) + text


def packed(text):
    text += "0" * (-len(text) % 8)
    return bytes(int(text[place : place + 8], 2) for place in range(0, len(text), 8))


field = st.one_of(
    st.tuples(st.just("u"), st.integers(0, 2**16 - 1)), st.tuples(st.just("e"), st.integers(0, 2**16 - 2))
)


@given(st.lists(field, min_size=1, max_size=8), st.integers(0, 7))
@settings(deadline=None, max_examples=60)
def test_one_header(fields, skipped):
    text = "1" * skipped + "".join(
        f"{value:016b}" if kind == "u" else golomb(value) for kind, value in fields
    )
    bits = Bits(packed(text))
    assert bits.read(skipped) == 2**skipped - 1
    assert [bits.read(16) if kind == "u" else bits.read_golomb() for kind, _ in fields] == [
        v for _, v in fields
    ]


def test_signed_codes_and_the_end():
    bits = Bits(packed("".join(golomb(code) for code in range(5))))
    assert [bits.read_signed_golomb() for _ in range(5)] == [0, 1, -1, 2, -2]
    with pytest.raises(BitstreamProblem, match="ends too early"):
        Bits(b"\x01").read(9)
    with pytest.raises(BitstreamProblem, match="no sensible number"):
        Bits(bytes(20)).read_golomb()


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 2**16 - 2), st.integers(0, 4095), st.booleans()),
                min_size=1, max_size=9))  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_many_headers_are_read_as_each_alone(rows):
    headers = [
        packed("1" * skipped + golomb(code) + f"{number:012b}" + (golomb(code) if extra else "") + golomb(3))
        for skipped, code, number, extra in rows
    ]
    windows = np.stack([np.frombuffer(header.ljust(16, b"\0"), np.uint8) for header in headers])
    extras = np.array([row[3] for row in rows])
    bits = ManyBits(windows)
    for place in range(7):
        bits.read(1, np.array([row[0] > place for row in rows]))
    assert bits.read_golomb().tolist() == [row[1] for row in rows]
    assert bits.read(12).tolist() == [row[2] for row in rows]
    assert bits.read_golomb(extras).tolist() == [row[1] if row[3] else 0 for row in rows]
    assert bits.read_golomb().tolist() == [3] * len(rows)


def test_a_code_that_is_none_is_seen():
    bits = ManyBits(np.zeros((2, 16), np.uint8))
    assert bits.read_golomb().tolist() == [-1, -1]
    assert bits.read(32).tolist() == [0, 0]


def test_headers_end_in_zeros():
    data = np.arange(1, 21, dtype=np.uint8)
    found = take_headers(data, np.array([0, 18, 4, 5]))
    assert found.tolist() == [
        list(range(1, 17)), [19, 20] + [0] * 14, list(range(5, 21)), [*range(6, 21), 0],
    ]  # fmt: skip
    assert take_headers(data[:2], np.array([1])).tolist() == [[2] + [0] * 15]


def test_escapes_are_left_out():
    assert unescape(b"\x65\0\0\3\1\0\0\3\0\0\3\2") == b"\x65\0\0\1\0\0\0\0\2"


@given(
    st.lists(
        st.lists(st.sampled_from([0, 0, 0, 1, 3, 3, 200]), min_size=16, max_size=16), min_size=1, max_size=9
    )
)
@settings(deadline=None, max_examples=100)
def test_many_headers_are_unescaped_as_each_alone(rows):
    headers = np.array(rows, np.uint8)
    expected = [list(unescape(bytes(row)).ljust(16, b"\0")) for row in rows]
    _unescape_all(headers)
    assert headers.tolist() == expected


def test_lengths_of_three_bytes_are_nothing_that_is_known():
    """FFmpeg reads them, and ISO/IEC 14496-15 does not allow them."""
    with pytest.raises(BitstreamProblem, match="cut up in an unusual way"):
        read_parameters(bytes([1, 100, 0, 11, 0xFC | 2, 0xE1, 0, 0]))
