"""The config table of a GGUF file whose architecture no family describes: its tensors, layer by layer.

Layers of the same tensors, heads and window stand together. What is known of every architecture goes with
them: heads, windows, and what recurrent layers keep, as llama.cpp counts it.
"""

from llmplanner.core.errors import BadInput
from llmplanner.models.entries import MOST_LAYERS
from llmplanner.models.gguf.facts import Facts

# Every n-th layer sees everything and the others a window, where the file does not say so itself. Source:
# ggml-org/llama.cpp, src/models/*.cpp, calls of set_swa_pattern. True: the first of the n is the whole one.
PERIODS = {
    "gemma2": (2, False),
    "gemma3": (6, False),
    "gemma-embedding": (6, False),
    "gemma3n": (5, False),
    "gpt-oss": (2, False),
    "cohere2": (4, False),
    "exaone4": (4, False),
    "olmo2": (4, False),
    "afmoe": (4, False),
    "llama4": (4, False),
    "plamo3": (8, False),
    "smallthinker": (4, True),
    "modern-bert": (3, True),
}
Kind = tuple[tuple[tuple[str, tuple[int, ...]], ...], int, int, int, bool]


def table_of_tensors(facts: Facts, where: str) -> dict[str, object]:
    """The table that families/by_tensors.py builds from. Raises BadInput."""
    embedding = facts.tensors.get("token_embd.weight")
    if embedding is None or len(embedding.shape) != 2:  # noqa: PLR2004 - rows and width
        raise BadInput(
            f"{where} has no token embedding, so it is not a language model (its architecture is "
            f'"{facts.architecture[:40]}"); open another file.',
            "model",
        )
    return {
        "model_type": "gguf",
        "architecture": facts.architecture,
        "hidden_size": embedding.shape[1],
        "vocab_size": embedding.shape[0],
        "max_position_embeddings": facts.size("context_length") or None,
        "head_dim": facts.size("attention.key_length") or None,
        "num_experts_per_tok": facts.size("expert_used_count") or None,
        "kv_lora_rank": facts.size("attention.kv_lora_rank") or None,
        "qk_rope_head_dim": facts.size("rope.dimension_count") or None,
        "conv_state": _conv_state(facts),
        "state": _state(facts),
        "causal": facts.key("attention.causal") is not False,
        "tensors": {
            name: list(tensor.shape)
            for name, tensor in facts.tensors.items()
            if facts.inside(name) is None and tensor.elements
        },
        "layers": [
            {
                "at": indices,
                "heads": heads,
                "kv_heads": kv_heads,
                "window": window or None,
                "shares_cache": shares_cache,
                "tensors": {name: list(shape) for name, shape in tensors},
            }
            for (tensors, heads, kv_heads, window, shares_cache), indices in _kinds(facts, where).items()
        ],
    }


def _kinds(facts: Facts, where: str) -> dict[Kind, list[int]]:
    """The layers by what they are made of."""
    layers: dict[int, list[tuple[str, tuple[int, ...]]]] = {}
    for name, tensor in facts.tensors.items():
        index = facts.inside(name)
        if index is not None and tensor.elements:
            layers.setdefault(index, []).append((name.split(".", 2)[2], tensor.shape))
    if not layers or len(layers) > MOST_LAYERS or max(layers) != len(layers) - 1:
        raise BadInput(
            f"{where} has no whole row of layers (its architecture is "
            f'"{facts.architecture[:40]}"), so its memory cannot be planned.',
            "model",
        )
    kinds: dict[Kind, list[int]] = {}
    owners = len(layers) - facts.size("attention.shared_kv_layers")  # of keys and values
    for index, tensors in sorted(layers.items()):
        heads = _at(facts, "attention.head_count", index)
        kv_heads = _at(facts, "attention.head_count_kv", index) or heads
        kind = (tuple(sorted(tensors)), heads, kv_heads, _window(facts, index), index >= owners)
        kinds.setdefault(kind, []).append(index)
    return kinds


def _at(facts: Facts, name: str, index: int) -> int:
    """A number that may differ from layer to layer."""
    value = facts.key(name)
    if isinstance(value, list):
        value = value[index] if index < len(value) else 0
    return value if isinstance(value, int) and value > 0 else 0


def _window(facts: Facts, index: int) -> int:
    """The tokens that a layer sees; 0 for all."""
    window = facts.size("attention.sliding_window")
    pattern = facts.key("attention.sliding_window_pattern")
    if isinstance(pattern, list):
        return window if index < len(pattern) and pattern[index] else 0
    stated = pattern if isinstance(pattern, int) and pattern > 0 else 0
    period, first = PERIODS.get(facts.architecture, (stated, False))
    sees_all = not period or index % period == (0 if first else period - 1)
    return 0 if sees_all else window


def _conv_state(facts: Facts) -> int:
    """Elements of the rolling inputs of a layer's convolution, as many steps as its kernel has.

    Source: llama.cpp, llama_hparams::n_embd_r, which leaves out the newest step.
    """
    hidden = facts.size("embedding_length")
    if facts.size("wkv.head_size"):
        return facts.size("token_shift_count", 2) * hidden
    if facts.size("shortconv.l_cache"):
        return hidden * facts.size("shortconv.l_cache")
    channels = facts.size("ssm.inner_size") + 2 * facts.size("ssm.group_count") * facts.size("ssm.state_size")
    return facts.size("ssm.conv_kernel") * channels


def _state(facts: Facts) -> int:
    """Elements of a layer's recurrent state. Source: llama.cpp, llama_hparams::n_embd_s."""
    if facts.size("wkv.head_size"):
        return facts.size("embedding_length") * facts.size("wkv.head_size")
    return facts.size("ssm.state_size") * facts.size("ssm.inner_size")
