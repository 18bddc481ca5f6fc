"""What is asked of the hub, and how it may be asked. Light: nothing here touches the network."""

import re
from collections.abc import Callable
from dataclasses import dataclass

ID = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(?::(?P<wanted>[\w./-]{1,200}))?")
ADDRESS = re.compile(r"(?:https?://(?:www\.)?huggingface\.co|(?:https?://)?hf\.co)/")
PAGES = {("tree", "main"), ("blob", "main"), ("resolve", "main")}  # what stands between an id and a file


@dataclass(frozen=True, slots=True)
class Access:
    """How the hub may be asked: by default over the network, and as anybody."""

    token: bool = False  # whether the user allows the saved token to be read, and sent to huggingface.co
    offline: bool = False  # only what is kept on this computer
    stopped: Callable[[], bool] = lambda: False


ANYBODY = Access()


@dataclass(frozen=True, slots=True)
class Asked:
    """A model of the hub: `owner/name`, or `owner/name:Q4_K_M` where a repository holds several."""

    name: str
    wanted: str = ""


def asked(text: str) -> Asked | None:
    """The model that a text names, also as an address of its pages; None where it is not of that form."""
    plain, file = _of_address(text.strip())
    found = ID.fullmatch(plain)
    if found is None or found["name"].endswith((".json", ".gguf", ".safetensors", ".bin", ".toml")):
        return None
    return Asked(found["name"], found["wanted"] or (file if file.endswith(".gguf") else ""))


def _of_address(text: str) -> tuple[str, str]:
    """The id in the address of a page, and the file that it shows; any other text as it is."""
    address = ADDRESS.match(text)
    if address is None:
        return text, ""
    parts = re.split(r"[?#]", text[address.end() :], maxsplit=1)[0].rstrip("/").split("/")
    if tuple(parts[2:4]) in PAGES:
        return "/".join(parts[:2]), "/".join(parts[4:])
    return "/".join(parts), ""
