"""The fullest of the moments of a phase: its terms; of a map of plans, those of each plan's own moment."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from llmplanner.core.estimate import Bytes, Term

if TYPE_CHECKING:  # one plan is answered without NumPy: its import would be the longest part of a start
    import numpy as np
    from numpy.typing import NDArray


def fullest(moments: Sequence[Sequence[Term]]) -> tuple[Term, ...]:
    """The terms of the moment that needs most, the earliest of equals; of maps, plan by plan."""
    totals = [sum((term.bytes for term in moment), start=0) for moment in moments]
    if all(isinstance(total, int) for total in totals):
        return tuple(moments[max(range(len(moments)), key=totals.__getitem__)])
    import numpy as np  # noqa: PLC0415 - of maps alone

    chosen = np.argmax(np.stack(np.broadcast_arrays(*totals)), axis=0)
    named = [{term.name: term for term in moment} for moment in moments]
    first = {term.name: term for moment in reversed(moments) for term in moment}
    names = dict.fromkeys(term.name for moment in moments for term in moment)
    return tuple(
        _picked(chosen, [moment.get(name) or _absent(first[name]) for moment in named]) for name in names
    )


def _absent(term: Term) -> Term:
    """The term in a moment in which it is not there."""
    return replace(term, bytes=0, low=0, high=0, formula="", parts=())


def _picked(chosen: "NDArray[np.intp]", terms: Sequence[Term]) -> Term:
    """One term of a map of plans, whose moments differ. Its formula tells them all."""
    import numpy as np  # noqa: PLC0415 - of maps alone

    def pick(amounts: Sequence[Bytes]) -> Bytes:
        if all(amount is amounts[0] for amount in amounts):
            return amounts[0]
        choices = [np.broadcast_to(amount, chosen.shape) for amount in amounts]
        return np.choose(chosen, choices).astype(np.int64, copy=False)

    amount = pick([each.bytes for each in terms])
    exact = all(each.low is each.bytes and each.high is each.bytes for each in terms)
    low = amount if exact else pick([each.low for each in terms])
    high = amount if exact else pick([each.high for each in terms])
    formula = " or ".join(dict.fromkeys(each.formula for each in terms if each.formula))
    return Term(terms[0].name, amount, low, high, formula, terms[0].source, terms[0].note)
