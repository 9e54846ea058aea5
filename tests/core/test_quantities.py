import pytest
from hypothesis import given, strategies as st

from effsearch.errors import QuantityError
from effsearch.text import (
    format_bytes,
    format_count,
    format_duration,
    format_latency,
    parse_count,
    parse_duration,
    parse_latency,
    parse_window,
)


@pytest.mark.parametrize(
    "text", ["400M", "400m", "0.4G", "0.4B", ".4g", "4e8", "4E8", "400e6", "400000000", "400 M", " 400M\n", "400000K"]
)
def test_spellings_of_400_million(text):
    assert parse_count(text) == 400e6


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "0", "0M", "-1", "-400M", "abc", "M", "400MM", "400X", "4e", "4e8e8", "1.2.3M", "1,000", "1_000"),
        *("nan", "inf", "0x10", "1e999", "1e-999", "9" * 400, "400M 300M", "4OOM", "."),
    ],
)
def test_what_is_no_count(text):
    with pytest.raises(
        QuantityError, match=r"^--target-flops must be a number above 0 such as 400M, 0\.4G or 4e8, got "
    ):
        parse_count(text, "--target-flops")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (385_814_752, "385.8M"),
        (5_288_548, "5.289M"),
        (1_026_500_000, "1.026B"),
        (37.75e9, "37.75B"),
        (812, "812"),
        (999_949, "999.9K"),
        (999_950, "1M"),
        (2e12, "2T"),
        (0, "0"),
    ],
)
def test_counts_as_printed(value, text):
    assert format_count(value) == text


@given(st.floats(1e-3, 1e20))
def test_a_printed_count_is_read_back_to_four_digits(value):
    assert parse_count(format_count(value)) == pytest.approx(value, rel=5.01e-4)


@given(st.integers(1, 9999), st.integers(0, 14))
def test_four_digits_survive_printing(digits, zeros):
    value = digits * 10**zeros
    assert parse_count(format_count(value)) == value


@given(st.floats(0.1, 1e17), st.floats(0.1, 1e17))
def test_printing_keeps_the_order(one, other):
    low, high = sorted((one, other))
    assert parse_count(format_count(low)) <= parse_count(format_count(high))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1.5 h", 5400), ("2H", 7200), ("1d", 86400), (" 0.5s ", 0.5)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-1", "-1m", "1w", "m", "10mm", "1:30", "1h30m", "nan", "inf", "1e3"])
def test_what_is_no_duration(text):
    with pytest.raises(QuantityError, match=r"^--time-limit must be a time above 0 such as 90s, 10m or 2h, got "):
        parse_duration(text, "--time-limit")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7800, "2 h 10 min"),
        (360_000, "100 h 00 min"),
    ],
)
def test_durations_as_printed(seconds, text):
    assert format_duration(seconds) == text


def test_windows():
    assert parse_window("0.9:1.1") == (0.9, 1.1)
    assert parse_window(" 0:1 ") == (0, 1)
    assert parse_window("None") is None


@pytest.mark.parametrize("text", ["", "1", "1:", ":", "1:1", "2:1", "-1:1", "1:2:3", "a:b", "nan:1", "0:nan", "0:inf"])
def test_what_is_no_window(text):
    with pytest.raises(QuantityError, match=r"^--flops-window must be LOW:HIGH with 0 <= LOW < HIGH .* or none; got "):
        parse_window(text, "--flops-window")


@pytest.mark.parametrize(
    ("text", "seconds"), [("20ms", 0.02), ("0.02s", 0.02), ("500us", 5e-4), ("1.5 MS", 1.5e-3), (" 2s ", 2.0)]
)
def test_latencies_have_a_unit(text, seconds):
    assert parse_latency(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "20", "ms", "0ms", "-1ms", "1e3ms", "2m", "nan s", "20 ms 3", "9" * 400 + "s"])
def test_what_is_no_latency(text):
    with pytest.raises(QuantityError, match=r"^--max-latency must be a time above 0 with its unit such as 20ms"):
        parse_latency(text, "--max-latency")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0203, "20.3 ms"), (5.12e-4, "0.512 ms"), (0.9994, "999 ms"), (1.25, "1,250 ms")]
)
def test_latencies_are_shown_in_milliseconds(seconds, text):
    assert format_latency(seconds) == text


@pytest.mark.parametrize(("size", "text"), [(812, "812 B"), (1893, "1.9 kB"), (20_400_000, "20.4 MB")])
def test_sizes_of_files(size, text):
    assert format_bytes(size) == text
