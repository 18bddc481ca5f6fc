"""Prints the benchmarks as one table of ratios: python -m benchmarks.run [NAMES OF ALL BELOW]."""

import importlib
import sys

from benchmarks.measure import Row

ALL = ("startup", "cli", "core", "edit_to_paint", "headers", "gguf_headers", "beside_peers")


def line(row: Row) -> str:
    """One row as text: milliseconds, and the ratio beside its bound."""
    verdict = "within" if row.ratio <= row.bound else "OVER"
    return (
        f"{row.what:38} {row.ours * row.scale:10.2f} {row.unit}  {row.beside:32} "
        f"{row.floor * row.scale:10.2f} {row.unit}  {row.ratio:6.2f}x  {verdict} {row.bound:g}x"
    )


def main() -> None:
    """Runs the benchmarks named on the command line, or all."""
    for name in sys.argv[1:] or ALL:
        for row in importlib.import_module(f"benchmarks.{name}").rows():
            print(line(row), flush=True)


if __name__ == "__main__":
    main()
