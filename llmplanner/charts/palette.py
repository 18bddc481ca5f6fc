"""The colours of both themes: one per term, law, kind of model and part of a number, everywhere the same.

The series were chosen by search: any two that meet in one chart lie at least 0.11 apart in OKLab, for full
colour vision, protanopia and deuteranopia (0.08 for tritanopia; simulated after Machado et al. 2009), and
each stands out from the panel of either theme. The lines of the laws, as `stroke` draws them: 0.10 and 0.075.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from msgspec import Struct

SERIES: Mapping[str, str] = MappingProxyType(
    {
        # terms of the estimate
        "weights": "#5878d2",
        "kv_cache": "#4ec8c3",
        "recurrent_state": "#829a74",
        "activations": "#deb210",
        "logits": "#c44710",
        "gradients": "#84bbf9",
        "optimizer": "#8f7778",
        "master_weights": "#2255b7",
        "temporaries": "#c28d40",
        "communication": "#75525e",
        "runtime": "#579ec4",
        # scaling laws
        "kaplan": "#577d10",
        "hoffmann1": "#e08f20",
        "hoffmann2": "#b7237d",
        "hoffmann3": "#f4579e",
        "besiroglu": "#6d3bc3",
        "rule20": "#9c1053",
        # kinds of model
        "decoder": "#7874d6",
        "encoder": "#8ac49f",
        "encoder-decoder": "#f4a810",
        # parts of a number
        "sign": "#c44710",
        "exponent": "#deb210",
        "fraction": "#5878d2",
        "integer": "#4ec8c3",
        "subnormal": "#c28d40",
        "normal": "#5878d2",
        # anything else that is compared
        "other": "#829a74",
    }
)

TERM_TITLES: Mapping[str, str] = MappingProxyType(
    {
        "weights": "Weights",
        "kv_cache": "KV cache",
        "recurrent_state": "Recurrent state",
        "activations": "Activations",
        "logits": "Logits",
        "gradients": "Gradients",
        "optimizer": "Optimizer",
        "master_weights": "Master weights",
        "temporaries": "Temporaries",
        "communication": "Communication",
        "runtime": "Runtime",
    }
)

SEEN = 2.4  # contrast of a line of two pixels and its ground
READABLE = 4.5  # contrast of text and ground: WCAG 2.1, level AA


def contrast(one: str, other: str) -> float:
    """The ratio of relative luminances, 1 to 21 (WCAG 2.1)."""
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def mixed(over: str, under: str, share: float) -> str:
    """What is seen where `share` of one colour lies over another."""
    pairs = zip(_channels(over), _channels(under), strict=True)
    return "#" + "".join(f"{round(255 * (share * top + (1 - share) * ground)):02x}" for top, ground in pairs)


def ink_on(ground: str) -> str:
    """White or near black, whichever reads better on a coloured ground."""
    return max(("#ffffff", "#14171c"), key=lambda ink: contrast(ink, ground))


@cache
def _toned(colour: str, ground: str, text: str, least: float) -> str:
    """The colour with as little of the text's colour as gives it this contrast on the ground."""
    shades = (mixed(text, colour, share / 10) for share in range(10))
    return next((shade for shade in shades if contrast(shade, ground) >= least), text)


@cache
def _luminance(colour: str) -> float:
    linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _channels(colour))
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _channels(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return red, green, blue


class Theme(Struct, frozen=True):
    """Colours as #rrggbb. Text and mute have a contrast of 4.5 or more on panel and window (WCAG 2.1 AA)."""

    name: str
    window: str
    panel: str
    field: str  # the ground of entry fields
    line: str
    grid: str  # fainter than line
    text: str
    mute: str
    accent: str  # the user's own plan, and what is selected
    accent_text: str  # on a ground of accent
    ok: str  # verdict colours: for verdicts and limits alone
    warn: str
    bad: str

    def colour(self, key: str) -> str:
        """The colour of a series, or of a role of this theme ("text", "warn"). Raises KeyError for others."""
        role = getattr(self, key, None) if key in ROLES else None
        return role if isinstance(role, str) else SERIES[key]

    def ink(self, key: str) -> str:
        """The colour for words of this key: darkened or lightened until it reads on the panel."""
        return _toned(self.colour(key), self.panel, self.text, READABLE)

    def stroke(self, key: str) -> str:
        """The colour for a thin line of a series: darkened or lightened until it is seen on the panel."""
        return _toned(self.colour(key), self.panel, self.text, SEEN) if key in SERIES else self.colour(key)


ROLES = frozenset(
    {"window", "panel", "field", "line", "grid", "text", "mute", "accent", "accent_text", "ok", "warn", "bad"}
)

LIGHT = Theme(
    name="light",
    window="#f4f5f7",
    panel="#ffffff",
    field="#f4f5f7",
    line="#dfe2e8",
    grid="#eceef2",
    text="#14171c",
    mute="#565f6e",
    accent="#2b6bdb",
    accent_text="#ffffff",
    ok="#157f4d",
    warn="#966200",
    bad="#c2332e",
)
DARK = Theme(
    name="dark",
    window="#131519",
    panel="#1c1f25",
    field="#131519",
    line="#30343d",
    grid="#272b33",
    text="#e9ebf0",
    mute="#a0a8b6",
    accent="#5b9bff",
    accent_text="#0d1016",
    ok="#3fbf7f",
    warn="#e0a33a",
    bad="#ff7b72",
)
THEMES: Mapping[str, Theme] = MappingProxyType({theme.name: theme for theme in (LIGHT, DARK)})
