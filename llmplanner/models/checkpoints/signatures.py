"""What a file is that was taken for a model's: told from its first bytes."""

ENOUGH = 64  # bytes that are looked at

_KNOWN = (
    (b"version https://git-lfs", "is a pointer of Git LFS, not the file itself; run git lfs pull beside it"),
    (b"PK\x03\x04", "is a zip archive; PyTorch's .bin and .pt files are such, give it that name"),
    (b"GGUF", "is a GGUF file under another name; give it the ending .gguf"),
    (
        b"\x80\x02\x8a\nl\xfc\x9c",
        "is an old PyTorch file, a pickle, which is never run; take it as safetensors",
    ),
    (b"\x80", "is a pickle, which is never run, as it may hold a program; take the model as safetensors"),
    (b"\x89HDF\r\n", "is an HDF5 file of Keras; take the model as safetensors"),
    (b"\x1f\x8b", "is compressed; unpack it first"),
)
_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head")


def mistaken_for(start: bytes) -> str | None:
    """What the file is instead and what to do, as the rest of a sentence; None where nothing is known."""
    for signature, clause in _KNOWN:
        if start.startswith(signature):
            return clause
    if start.lstrip().lower().startswith(_PAGES):
        return "is a web page, not the file; sign in where it comes from and download it again"
    return None
