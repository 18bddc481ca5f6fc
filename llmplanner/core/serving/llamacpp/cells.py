"""How many cells llama.cpp gives to its caches, and to how many sequences.

A cell holds one token of one sequence. Slots have a stream of cells each, or share one where the cache is
unified. Source: ggml-org/llama.cpp v0.5.0, src/llama-context.cpp and src/llama-kv-cache-iswa.cpp.
"""

from dataclasses import dataclass

from llmplanner.core.engine import LlamaCpp
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import smallest
from llmplanner.core.plan import Count, Serve

ALIGNED = 256  # cells, GGML_PAD(n_ctx, 256)
MOST_SEQUENCES = 256  # LLAMA_MAX_SEQ
LOGICAL = 2048  # tokens of a logical batch (-b) unless a larger physical one is asked for


@dataclass(frozen=True, slots=True)
class Cells:
    """The sizes that llama.cpp derives from its options when it makes a context."""

    sequences: Count  # n_seq_max
    streams: Count  # 1 where the slots share one cache
    each: Count  # cells of a stream, of layers that see the whole context
    ubatch: Count  # tokens of a physical batch
    swa_full: bool = False

    @property
    def context(self) -> Count:
        """Cells of all streams: n_ctx as the program prints it."""
        return self.streams * self.each

    def sliding(self, window: int) -> Count:
        """Cells of a stream, of layers that see `window` tokens: the window and a physical batch."""
        if self.swa_full:
            return self.each
        shared = self.sequences if self._unified else 1
        return padded(smallest(self.each, window * shared + self.ubatch))

    @property
    def _unified(self) -> bool:
        return isinstance(self.streams, int) and self.streams == 1


def of_workload(workload: Serve, engine: LlamaCpp) -> Cells:
    """The cells for `batch` times `parallel` sequences that share `batch` contexts. Raises BadInput.

    Shapes: context and batch broadcast.
    """
    asked, sequences = workload.context * workload.batch, engine.parallel * workload.batch
    return of_options(asked, sequences, engine)


def of_options(n_ctx: Count, sequences: Count, engine: LlamaCpp, batch: int = LOGICAL) -> Cells:
    """The cells for -c, -np and the engine's other options. Raises BadInput."""
    _check(n_ctx, sequences)
    ubatch = smallest(n_ctx, max(batch, engine.ubatch), engine.ubatch)
    whole = padded(n_ctx)
    if engine.unified:
        return Cells(sequences, 1, whole, ubatch, engine.swa_full)
    return Cells(sequences, sequences, padded(whole // sequences), ubatch, engine.swa_full)


def padded(count: Count) -> Count:
    """The next multiple of 256."""
    return -(-count // ALIGNED) * ALIGNED


def _check(n_ctx: Count, sequences: Count) -> None:
    if not isinstance(sequences, int) or not isinstance(n_ctx, int):
        return
    if sequences > MOST_SEQUENCES:
        raise BadInput(
            f"llama.cpp keeps at most {MOST_SEQUENCES} sequences at once, the plan has {sequences:,}; "
            "lower the slots or the sequences.",
            "parallel",
        )
    if n_ctx < sequences:
        raise BadInput(
            f"{sequences:,} slots cannot share a context of {n_ctx:,} tokens; lower the slots or raise it.",
            "parallel",
        )
