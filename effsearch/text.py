"""Text as people write and read it: quantities such as 400M, 90s or 0.9:1.1, and strings made safe to print."""

import math
import re
from collections.abc import Mapping

from effsearch.errors import QuantityError

# Control characters, line ends, marks that change the direction of writing, and bytes of a file name that are no text.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def sanitize(text: str) -> str:
    """A text in one line, with a question mark for each control character."""
    return _CONTROL.sub("?", text)


_COUNT = re.compile(r"(\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:e([+-]?\d{1,3}))?\s*([kmgbt]?)", re.IGNORECASE)
_SCALE = {"": 0, "k": 3, "m": 6, "g": 9, "b": 9, "t": 12}
_TIME = re.compile(r"(\d{1,12}(?:\.\d{0,12})?)\s*([a-z]*)", re.IGNORECASE)
_DURATIONS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}  # seconds in each unit
_LATENCIES = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


def parse_count(text: str, what: str = "a count") -> float:
    """Reads 400M, 0.4G (or B, for billions) or 4e8; raises QuantityError unless it is a number above 0."""
    match = _COUNT.fullmatch(text.strip())
    value = 0.0
    if match is not None:
        mantissa, exponent, suffix = match.groups()
        value = float(f"{mantissa}e{int(exponent or 0) + _SCALE[suffix.lower()]}")
    if not 0 < value < math.inf:
        raise QuantityError(f"{what} must be a number above 0 such as 400M, 0.4G or 4e8, got {text!r}")
    return value


def parse_duration(text: str, what: str = "a time") -> float:
    """Reads 90, 90s, 10m, 2h or 1d as seconds; raises QuantityError unless above 0."""
    return _seconds(text, _DURATIONS, f"{what} must be a time above 0 such as 90s, 10m or 2h")


def parse_latency(text: str, what: str = "a latency") -> float:
    """Reads 20ms, 500us or 0.02s as seconds; raises QuantityError unless above 0 and with a unit."""
    return _seconds(text, _LATENCIES, f"{what} must be a time above 0 with its unit such as 20ms, 500us or 0.02s")


def _seconds(text: str, units: Mapping[str, float], wanted: str) -> float:
    match = _TIME.fullmatch(text.strip())
    value = float(match[1]) * units.get(match[2].lower(), 0) if match else 0.0
    if value <= 0:
        raise QuantityError(f"{wanted}, got {text!r}")
    return value


def parse_window(text: str, what: str = "a window") -> tuple[float, float] | None:
    """Reads LOW:HIGH, factors of the target, or `none`; raises QuantityError unless 0 <= LOW < HIGH."""
    if text.strip().lower() == "none":
        return None
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        low, high = 1.0, 0.0
    if not (0 <= low < high < math.inf):
        raise QuantityError(f"{what} must be LOW:HIGH with 0 <= LOW < HIGH such as 0.9:1.1, or none; got {text!r}")
    return low, high


def parse_whole_numbers(text: str, what: str = "a list") -> tuple[int, ...]:
    """Reads 1,3,9; raises QuantityError unless they are whole numbers from 1 to 10,000."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 6 and 1 <= int(part) <= 10_000 for part in parts):
        raise QuantityError(f"{what} must be whole numbers from 1 to 10,000 such as 1,3,9, or none; got {text[:80]!r}")
    return tuple(map(int, parts))


def format_count(value: float) -> str:
    """Four significant digits with a unit: 385.8M, 1.027B, 5.289M, 812."""
    for scale, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if abs(value) >= 0.99995 * scale:
            return f"{value / scale:.4g}{unit}"
    return f"{value:.4g}"


def format_latency(seconds: float) -> str:
    """Milliseconds with three significant digits: 20.3 ms, 0.512 ms, 1,250 ms."""
    return f"{1e3 * seconds:,.3g} ms" if seconds < 0.9995 else f"{1e3 * seconds:,.0f} ms"


def format_bytes(size: int) -> str:
    """Decimal units: 812 B, 1.9 kB, 20.4 MB."""
    for scale, unit in ((1e6, "MB"), (1e3, "kB")):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 epoch, 3,000 images."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_duration(seconds: float) -> str:
    """Two units at most: 42 s, 3 min 05 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


SECRETS = ("password", "passwd", "sslpassword", "sslkey")  # names in a URL's query whose values are kept out of sight


def without_passwords(text: str) -> str:
    """A text, such as a command, without the passwords of URLs in it."""
    text = re.sub(r"(\w://[^:/@\s]*):\S*@", r"\1:***@", text)
    return re.sub(rf"({'|'.join(SECRETS)})=[^&\s]*", r"\1=***", text, flags=re.IGNORECASE)
