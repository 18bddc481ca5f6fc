"""What a recurrent layer holds while a prompt is read, where PyTorch's own code runs it (Transformers 5.23).

Its functions refer to every tensor until they return: mamba_selective_scan, mamba2_chunk_scan,
torch_chunk_gated_delta_rule. An answer's single token takes a step of the recurrence instead.
"""

from typing import NamedTuple

from llmplanner.core.model import Recurrent, Scan, ScanKind

FP32_BYTES = 4


class Held(NamedTuple):
    """Bytes for each of what they grow with, of all sequences."""

    token: int
    padded: int = 0  # token of sequences in whole chunks
    chunk: int = 0
    sequence: int = 0


def held(mixer: Recurrent, scan: Scan, operand: int) -> Held:
    """The fullest moment of a mixer over a prompt, without the layer's input."""
    made = sum(linear.outputs for linear in mixer.inputs)
    return {ScanKind.SELECTIVE: _selective, ScanKind.CHUNKED: _chunked, ScanKind.DELTA: _delta}[scan.kind](
        mixer, scan, operand, made
    )


def _selective(mixer: Recurrent, scan: Scan, operand: int, made: int) -> Held:
    """Decays and inputs of every state, twice; the outputs of all tokens and what their sum is made of."""
    width = mixer.output.inputs
    between = scan.groups * scan.keys * 2 + (mixer.inner[1].inputs if mixer.inner else 0)
    token = operand * (made + 5 * width + between) + FP32_BYTES * (2 * width + 3 * mixer.state)
    return Held(token, sequence=2 * FP32_BYTES * mixer.state)


def _chunked(mixer: Recurrent, scan: Scan, operand: int, made: int) -> Held:
    """Scores, their decays and the product; what is written and read; values and outputs, seven times."""
    written = scan.heads * scan.keys
    padded = 3 * scan.heads * scan.chunk + 3 * written + 7 * mixer.output.inputs
    state = FP32_BYTES * mixer.state
    return Held(operand * (made + scan.convolved), FP32_BYTES * padded, state, 4 * state)


def _delta(mixer: Recurrent, scan: Scan, operand: int, made: int) -> Held:
    """The system, scores and decays; keys six times and values four."""
    keys, values, square = scan.heads * scan.keys, mixer.output.inputs, scan.heads * scan.chunk
    padded = max(3 * square + 6 * keys + 4 * values, 4 * square + 3 * keys + 2 * values)
    token = operand * (made + scan.convolved)
    return Held(token, FP32_BYTES * padded, sequence=3 * FP32_BYTES * mixer.state)
