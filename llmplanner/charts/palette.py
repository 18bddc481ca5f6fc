"""The colours of both themes: one per term, law, kind of model and part of a number, everywhere the same.

The series follow Okabe and Ito's set for colour-blind readers (jfly.uni-koeln.de/color, 2008), parted further
in lightness, and tuned so that each stands out from the panel of either theme.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SERIES: Mapping[str, str] = MappingProxyType(
    {
        # terms of the estimate
        "weights": "#4c78a8",
        "kv_cache": "#5fb3a8",
        "recurrent_state": "#2f8f86",
        "activations": "#e69f00",
        "logits": "#d9654f",
        "gradients": "#7fb2e5",
        "optimizer": "#a56aa0",
        "master_weights": "#2c5a8c",
        "temporaries": "#b8a04a",
        "communication": "#8c6d4f",
        "runtime": "#8d93a5",
        # scaling laws
        "kaplan": "#9a7fc0",
        "hoffmann1": "#5fb3a8",
        "hoffmann2": "#d9654f",
        "hoffmann3": "#e69f00",
        "besiroglu": "#3d7fd6",
        "rule20": "#8d93a5",
        # kinds of model
        "decoder": "#4c78a8",
        "encoder": "#5fb3a8",
        "encoder-decoder": "#e69f00",
        # parts of a number
        "sign": "#d9654f",
        "exponent": "#e69f00",
        "fraction": "#4c78a8",
        "integer": "#5fb3a8",
        "subnormal": "#b8a04a",
        "normal": "#4c78a8",
        # anything else that is compared
        "other": "#8d93a5",
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


@dataclass(frozen=True, slots=True)
class Theme:
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
