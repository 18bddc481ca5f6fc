"""Sizes that must divide evenly, and the sentence that says which would."""

from llmplanner.core.errors import BadInput

FARTHEST = 1000  # how far above the size asked for another is looked for


def divided(amount: int, parts: int, name: str, field: str) -> int:
    """`amount` over `parts`; `name` in the plural: "attention heads". Raises BadInput, with what divides."""
    if amount % parts:
        raise BadInput(
            f"{amount:,} {name} cannot be divided into {parts:,} equal parts; {would(amount, parts)}.", field
        )
    return amount // parts


def would(amount: int, parts: int) -> str:
    """The nearest numbers of equal parts: "2 or 4 would do"."""
    below = next(size for size in range(min(parts, amount), 0, -1) if amount % size == 0)
    above = (size for size in range(parts + 1, parts + FARTHEST) if amount % size == 0)
    return " or ".join(f"{size:,}" for size in (below, *[*above][:1])) + " would do"
