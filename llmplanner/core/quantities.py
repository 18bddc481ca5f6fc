"""Quantities as people write them, "32k", "1.4T", "24 GiB", "0,5", and as the screen shows them.

Separators. A decimal point and a decimal comma are both understood. A comma or a blank is a thousands
separator where every group after it has exactly three digits and the first group does not start with zero:
"1,234" and "1,234,567" are whole numbers, "1,2345", "0,500" and "12,5" are decimals. Points separate
thousands only where two or more of them do so ("1.234.567") or a comma follows ("1.234,5"). Underscores
count for nothing.

Suffixes k, M, B (or G), T and P are powers of a thousand. Only the tokens of a context take k and M as 1,024
and 1,024^2, as those who release models name them: "32k" is 32,768 tokens there (CONTEXT_HINT).
"""

import math
import re
from collections.abc import Mapping
from decimal import Decimal, localcontext
from fractions import Fraction
from types import MappingProxyType

from llmplanner.core.errors import BadInput
from llmplanner.core.formats import Exact

CONTEXT_HINT = "In a context, k is 1,024 tokens: 32k is 32,768. Type 32,000 for that number itself."

LARGEST = 10**30  # of anything that is counted; beyond it a number is a slip of the finger
MAX_LENGTH = 1200  # characters: the exact decimal of a double's smallest subnormal has 1,077
MAX_DIGITS = 3000  # of an exact decimal that is written out
MAX_EXPONENT = 2000  # of a typed power of ten: far beyond every format, and still quick to work with

KIB, MIB, GIB, TIB = 2**10, 2**20, 2**30, 2**40
GB = 10**9

_DECIMAL_SUFFIXES: Mapping[str, int] = MappingProxyType(
    {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12, "p": 10**15}
)
_CONTEXT_SUFFIXES: Mapping[str, int] = MappingProxyType({"": 1, "k": 1024, "m": 1024**2})
_BYTE_UNITS: Mapping[str, int] = MappingProxyType(
    {
        "b": 1, "byte": 1, "bytes": 1,
        "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "pb": 10**15,
        "kib": KIB, "mib": MIB, "gib": GIB, "tib": TIB, "pib": 2**50,
    }
)  # fmt: skip
_CONSTANTS: Mapping[str, Exact] = MappingProxyType(
    {
        # OEIS A000796 and A001113
        "pi": Fraction("3.14159265358979323846264338327950288419716939937510582097494459230781640629"),
        "e": Fraction("2.71828182845904523536028747135266249775724709369995957496696762772407663035"),
        "nan": math.nan,
        "inf": math.inf,
        "infinity": math.inf,
    }
)  # fmt: skip

_NUMBER = re.compile(r"(?P<digits>[\d., '_\u00a0\u2009\u202f]*\d[.,]?)\s*(?P<rest>.*)", re.DOTALL)
_POWER = re.compile(r"e(?P<sign>[+-]?)(?P<exponent>\d+)(?P<rest>.*)", re.DOTALL | re.IGNORECASE)
_HEX_FLOAT = re.compile(
    r"0x(?P<whole>[0-9a-f]+)(\.(?P<part>[0-9a-f]*))?p(?P<exponent>[+-]?\d+)", re.IGNORECASE
)
_BLANKS = str.maketrans("", "", "_'\u00a0\u2009\u202f")


# Reading


def parse_count(text: str, field: str | None = None, *, low: int = 0, high: int = LARGEST) -> int:
    """A whole number: "70b", "1.4T", "3e21", "1,000", "1_000". Raises BadInput."""
    return _whole(
        text, field, _DECIMAL_SUFFIXES, (low, high), "a whole number such as 512, 32,000, 70B or 1.4T"
    )


def parse_tokens(text: str, field: str | None = None, *, low: int = 1, high: int = 10**9) -> int:
    """Tokens of a context: "32k" is 32,768, "32,000" is 32,000 (CONTEXT_HINT). Raises BadInput."""
    return _whole(text, field, _CONTEXT_SUFFIXES, (low, high), "a number of tokens such as 4096, 32k or 1M")


def parse_amount(
    text: str, field: str | None = None, *, low: float = 0.0, high: float = float(LARGEST)
) -> float:
    """A number that need not be whole: "0,5", "2.99", "3e21", "1.4T", "40 %" (0.4). Raises BadInput."""
    takes = "a number such as 0.5, 40 %, 3e21 or 1.4T"
    number, rest = _split(text, field, takes)
    if rest == "%":
        number /= 100
    elif rest in _DECIMAL_SUFFIXES:
        number *= _DECIMAL_SUFFIXES[rest]
    else:
        raise _not_understood(text, takes, field)
    if not Fraction(low) <= number <= Fraction(high):
        share = high == 1 and 2 <= number <= 100  # noqa: PLR2004 - per cent, without the sign; not 1.5
        hint = f"; for that share write {text.strip()} % or {significant(number / 100)}" if share else ""
        raise BadInput(f"{_shown(text)} is out of range: it takes {range_text(low, high)}{hint}.", field)
    return float(number)


def parse_bytes(text: str, field: str | None = None) -> int:
    """Bytes with a unit, "24 GiB" or "80 GB"; a bare number from a million on is bytes. Raises BadInput."""
    takes = "a size with its unit, such as 24 GiB or 80 GB"
    number, unit = _split(text, field, takes)
    if unit not in _BYTE_UNITS and not (unit == "" and number >= 10**6):
        raise _not_understood(text, takes, field)
    size = number * _BYTE_UNITS.get(unit, 1)
    if not 0 <= size <= LARGEST:
        raise BadInput(f"{_shown(text)} is out of range: it takes {takes}.", field)
    return round(size)


def parse_gib(text: str, field: str | None = None, *, low: float = 0, high: float = 1e6) -> float:
    """GiB from a bare number or a size with its unit: "16", "16 GiB", "16 GB". Raises BadInput."""
    bare = text.strip().replace(",", "").replace(".", "").isdigit()
    if bare:
        return parse_amount(text, field, low=low, high=high)
    found = parse_bytes(text, field) / GIB
    if not low <= found <= high:
        raise BadInput(f"{_shown(text)} is out of range: it takes {range_text(low, high)} GiB.", field)
    return found


def parse_value(text: str, field: str | None = None) -> Exact:
    """Any real number, exactly: decimals, 1/3, 1e-45, 0x1.8p1, pi, e, inf, -0, nan. Raises BadInput.

    A bare hexadecimal such as 0x4049 is refused: it could be a number or a bit pattern. Patterns have the
    name of their format before them, bf16:0x4049 (core/stored.py reads them).
    """
    takes = "a number such as 3.14, 0,1, 1e-45, 1/3, 0x1.8p1, pi, e, inf or nan"
    plain = _checked(text, field, takes).lower().replace("π", "pi").replace("\N{MINUS SIGN}", "-")
    sign, body = _signed(plain)
    value = _unsigned_value(body, text, field, takes)
    if isinstance(value, float):
        return sign * value
    if value == 0 and sign < 0:
        return -0.0
    return sign * value


def _unsigned_value(body: str, text: str, field: str | None, takes: str) -> Exact:
    if body in _CONSTANTS:
        return _CONSTANTS[body]
    if match := _HEX_FLOAT.fullmatch(body):
        part = match["part"] or ""
        exponent = int(_bounded(match["exponent"], text, field)) - 4 * len(part)
        return int(match["whole"] + part, 16) * Fraction(2) ** exponent
    if body.startswith("0x"):
        raise BadInput(
            f"{_shown(text)} could be a number or a bit pattern: write 0x1.8p1 for a number, "
            "or name the format of a pattern, as in bf16:0x4049.",
            field,
        )
    if "/" in body:
        over, _, under = body.partition("/")
        numerator, denominator = _plain(over, text, field, takes), _plain(under, text, field, takes)
        if denominator == 0:
            raise BadInput(f"{_shown(text)} divides by zero; write inf or nan for those.", field)
        return numerator / denominator
    return _plain(body, text, field, takes)


def _plain(body: str, text: str, field: str | None, takes: str) -> Fraction:
    number, rest = _decimal(body.strip(), text, field, takes)
    if rest:
        raise _not_understood(text, takes, field)
    return number


def _whole(
    text: str, field: str | None, suffixes: Mapping[str, int], bounds: tuple[int, int], takes: str
) -> int:
    number, suffix = _split(text, field, takes)
    if suffix not in suffixes:
        raise _not_understood(text, takes, field)
    number *= suffixes[suffix]
    low, high = bounds
    if not low <= number <= high:
        raise BadInput(f"{_shown(text)} is out of range: it takes {range_text(low, high)}.", field)
    if number.denominator != 1:
        raise BadInput(f"{_shown(text)} is not whole; it takes {range_text(low, high)}, whole.", field)
    return int(number)


def _split(text: str, field: str | None, takes: str) -> tuple[Fraction, str]:
    """The number in front, its sign with it, and the lower-case suffix or unit behind."""
    plain = _checked(text, field, takes).lower().replace("\N{MINUS SIGN}", "-").removeprefix("$").strip()
    sign, body = _signed(plain)
    number, rest = _decimal(body, text, field, takes)
    return sign * number, rest


def _decimal(body: str, text: str, field: str | None, takes: str) -> tuple[Fraction, str]:
    body = f"0{body}" if re.match(r"[.,]\d", body) else body
    match = _NUMBER.fullmatch(body)
    digits = None if match is None else _without_separators(match["digits"].strip())
    if match is None or digits is None:
        raise _not_understood(text, takes, field)
    number, rest = Fraction(digits), match["rest"].strip()
    if power := _POWER.fullmatch(rest):
        exponent = int(_bounded(power["exponent"], text, field))
        number *= Fraction(10) ** (-exponent if power["sign"] == "-" else exponent)
        rest = power["rest"].strip()
    return number, rest


def _without_separators(digits: str) -> str | None:
    """The digits with a decimal point or none; None where the separators make no sense."""
    digits = digits.translate(_BLANKS)
    if re.fullmatch(r"[1-9]\d{0,2}( \d{3})+([.,]\d*)?", digits):
        return digits.replace(" ", "").replace(",", ".").rstrip(".")
    if re.fullmatch(r"[1-9]\d{0,2}(,\d{3})+(\.\d*)?", digits):
        return digits.replace(",", "").rstrip(".")
    if re.fullmatch(r"[1-9]\d{0,2}(\.\d{3}){2,}(,\d*)?|[1-9]\d{0,2}\.\d{3},\d*", digits):
        return digits.replace(".", "").replace(",", ".").rstrip(".")
    if re.fullmatch(r"\d+([.,]\d*)?", digits):
        return digits.replace(",", ".").rstrip(".")
    return None


def _checked(text: str, field: str | None, takes: str) -> str:
    if len(text) > MAX_LENGTH:
        raise BadInput(f"That number has {len(text):,} characters; up to {MAX_LENGTH:,} are read.", field)
    if not text.strip():
        raise BadInput(f"Nothing is written there; it takes {takes}.", field)
    if not all(character.isascii() or character in "π\u2212\u00a0\u2009\u202f" for character in text):
        raise _not_understood(text, takes, field)
    return text.strip()


def _bounded(exponent: str, text: str, field: str | None) -> str:
    if len(exponent) > 8 or abs(int(exponent)) > MAX_EXPONENT:  # noqa: PLR2004 - before int() meets a million digits
        raise BadInput(
            f"The exponent of {_shown(text)} is beyond {MAX_EXPONENT:,}; no format comes near.", field
        )
    return exponent


def _signed(text: str) -> tuple[int, str]:
    if text.startswith(("-", "+")):
        return (-1 if text[0] == "-" else 1), text[1:].strip()
    return 1, text


def _not_understood(text: str, takes: str, field: str | None) -> BadInput:
    return BadInput(f"{_shown(text)} is not understood; it takes {takes}.", field)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 32 else f"{text[:32]}…")  # noqa: PLR2004 - as much as a sentence bears


# Writing


def significant(number: float | Fraction, digits: int = 3) -> str:
    """A number to so many significant digits, without trailing zeros: 3.14, 1,230, 9.7e-4, 5.88e23."""
    if isinstance(number, float) and not math.isfinite(number):
        return str(number)
    if number == 0:
        return "-0" if math.copysign(1, number) < 0 else "0"
    exact = Fraction(number)
    with localcontext(prec=digits):
        rounded = Decimal(exact.numerator) / Decimal(exact.denominator)
    power = rounded.adjusted()
    if not -3 <= power <= max(5, digits - 1):  # noqa: PLR2004 - what reads well written out
        return f"{_trimmed(f'{rounded.scaleb(-power):f}')}e{power}"
    return _trimmed(f"{rounded:,f}")


def range_text(low: float, high: float) -> str:
    """The numbers that a field takes: 1 to 1,000,000,000; 0.001 to 1; 1 to 1e30."""
    ends = (
        f"{int(end):,}" if end == int(end) and abs(end) < 10**15 else significant(end) for end in (low, high)
    )
    return " to ".join(ends)


def exact_text(number: int) -> str:
    """Every digit, with thousands separators: 8,030,261,248."""
    return f"{number:,}"


def count_text(number: float, digits: int = 3) -> str:
    """A count with its suffix: 8.03B, 1.4T, 32.8k, 512. `parse_count` reads it."""
    rounded = float(f"{number:.{digits - 1}e}")
    for suffix, power in (("T", 12), ("B", 9), ("M", 6), ("k", 3)):
        if 10**power <= abs(rounded) < 10 ** (power + 3):
            return significant(number / 10**power, digits) + suffix
    return significant(number, digits)


def counted(number: float, noun: str) -> str:
    """A count and what is counted, one of it or many: 1 GPU, 8 GPUs, 70B parameters."""
    return f"{count_text(number)} {noun if number == 1 else f'{noun}s'}"


def context_text(tokens: int) -> str:
    """Tokens on an axis: 1k, 32k, 1M where they are such multiples of 1,024, else every digit."""
    if tokens >= MIB and tokens % MIB == 0:
        return f"{tokens // MIB}M"
    if tokens >= KIB and tokens % KIB == 0:
        return f"{tokens // KIB}k"
    return exact_text(tokens)


def gib_text(size: float) -> str:
    """Bytes in binary units: 14.96 GiB, 1,234 GiB; TiB from 10,000 GiB, MiB below 0.1, KiB below 0.1 MiB."""
    if abs(size) >= 10_000 * GIB:
        return f"{_figure(size / TIB)} TiB"
    return _bytes_text(size, ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")))


def gib_figure(size: float) -> str:
    """Bytes in GiB as a bare figure of a table or a chart: 14.96; 1,234; 2,327,052."""
    return _figure(size / GIB)


def gb_text(size: float) -> str:
    """Bytes in decimal units, two decimals: 16.06 GB."""
    return _bytes_text(size, ((GB, "GB"), (10**6, "MB"), (10**3, "kB")))


def flops_text(flops: float) -> str:
    """Floating-point operations: 5.88e23 FLOPs."""
    return f"{flops:.2e} FLOPs".replace("e+", "e") if flops else "0 FLOPs"


def duration_text(seconds: float) -> str:
    """A time in the unit that a person would choose: 820 ms, 12 min, 5.2 h, 34.1 days, 3.1 years."""
    year = 365.25 * 86400
    for unit, length, least in (
        ("years", year, 2 * year),
        ("days", 86400.0, 2 * 86400.0),
        ("h", 3600.0, 3600.0),
        ("min", 60.0, 60.0),
        ("s", 1.0, 1.0),
        ("ms", 1e-3, 1e-3),
    ):
        if seconds >= least:
            return f"{significant(seconds / length)} {unit}"
    return f"{significant(seconds * 1e6)} µs" if seconds else "0 s"


def money_text(dollars: float) -> str:
    """US dollars: $0.45, $12.30, $1,234, $4.6M."""
    if dollars < 0:
        return f"-{money_text(-dollars)}"
    if dollars < 100:  # noqa: PLR2004 - cents count up to there
        return f"${dollars:.2f}"
    return f"${dollars:,.0f}" if dollars < 10**5 else f"${count_text(dollars)}"


def decimal_text(value: Exact, digits: int = 60) -> str:
    """The exact decimal of a value; of one that has none (1/3) or a book of one, so many significant digits.

    Written out where that takes up to 40 zeros, with an exponent beyond: 0.0009765625, 1.5e-45.
    """
    if isinstance(value, float):
        return "-0" if value == 0 else str(value)
    places = _exact_places(value)
    if places is None:
        places = digits - _magnitude(value)
    scaled = round(value * Fraction(10) ** places)
    return _placed(scaled, places)


def has_exact_decimal(value: Exact) -> bool:
    """Whether `decimal_text` gives the value back digit by digit."""
    return isinstance(value, float) or _exact_places(value) is not None


def _bytes_text(size: float, units: tuple[tuple[int, str], ...]) -> str:
    for unit, name in units:
        if abs(size) >= unit / 10:
            return f"{_figure(size / unit)} {name}"
    return f"{size:,.0f} bytes"


def _figure(amount: float) -> str:
    """Two decimals, none from 1,000 on."""
    return f"{amount:,.2f}" if abs(amount) < 999.995 else f"{amount:,.0f}"  # noqa: PLR2004 - as it is rounded


def _trimmed(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number


def _exact_places(value: Fraction) -> int | None:
    """Digits after the decimal point; None where they never end, or fill more than a page with the rest."""
    rest = value.denominator
    twos = (rest & -rest).bit_length() - 1
    rest, fives = rest >> twos, 0
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives)
    return places if rest == 1 and max(places, _magnitude(value)) <= MAX_DIGITS else None


def _magnitude(value: Fraction) -> int:
    """Digits before the decimal point, or minus the zeros after it; to within one."""
    ratio = value.numerator.bit_length() - value.denominator.bit_length()
    return math.floor(ratio * math.log10(2)) + 1


def _placed(scaled: int, places: int) -> str:
    """Scaled x 10^-places in digits."""
    sign, digits = ("-" if scaled < 0 else ""), str(abs(scaled))
    exponent = len(digits) - 1 - places
    if -40 <= exponent <= 60:  # noqa: PLR2004 - FP32's largest value is written out
        if places <= 0:
            return sign + digits + "0" * -places
        digits = digits.rjust(places + 1, "0")
        return sign + _trimmed(f"{digits[:-places]}.{digits[-places:]}")
    digits = digits.rstrip("0") or "0"
    return sign + _trimmed(f"{digits[0]}.{digits[1:] or '0'}") + f"e{exponent}"
