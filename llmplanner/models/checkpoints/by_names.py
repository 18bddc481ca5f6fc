"""The architecture of a safetensors file that lies alone, where its tensors have the names of Llama's."""

from collections.abc import Mapping, Sequence

from llmplanner.core.checkpoint import StoredTensor

ASSUMED_HEAD = 128  # elements of a head, where no tensor tells
SMALL_HEAD = 64  # of a small model
TINY_HEADS = (32, 16, 8)  # where neither divides
SMALL = 2048  # the hidden size at which a model is small no more
LAYERS = "model.layers."


def config_of(tensors: Sequence[StoredTensor]) -> dict[str, object] | None:
    """A config.json that says what names and shapes say; None for others. All but the heads' size is exact.

    The key/value cache depends on heads times their size alone, which a matrix states.
    """
    shapes = {tensor.name: tensor.shape for tensor in tensors if tensor.elements}
    first = LAYERS + "0."
    embedding, query, key = (
        shapes.get(name, ())
        for name in (
            "model.embed_tokens.weight",
            f"{first}self_attn.q_proj.weight",
            f"{first}self_attn.k_proj.weight",
        )
    )
    gate = shapes.get(f"{first}mlp.gate_proj.weight", ())
    if not all(len(shape) == 2 for shape in (embedding, query, key, gate)):  # noqa: PLR2004 - a matrix
        return None
    vocabulary, hidden = embedding
    head = head_size(shapes, query[0], key[0], hidden)
    if head is None:
        return None
    return {
        "model_type": _family(shapes),
        "num_hidden_layers": _layers(shapes),
        "hidden_size": hidden,
        "intermediate_size": gate[0],
        "vocab_size": vocabulary,
        "num_attention_heads": query[0] // head,
        "num_key_value_heads": key[0] // head,
        "head_dim": head,
        "attention_bias": f"{first}self_attn.o_proj.bias" in shapes,
        "mlp_bias": f"{first}mlp.down_proj.bias" in shapes,
        "tie_word_embeddings": "lm_head.weight" not in shapes,
    }


def head_size(shapes: Mapping[str, tuple[int, ...]], query: int, key: int, hidden: int) -> int | None:
    """Elements of one head: those of its norm, where it has one, else the usual. None where none divides."""
    norm = shapes.get(f"{LAYERS}0.self_attn.q_norm.weight", ())
    usual = (ASSUMED_HEAD, SMALL_HEAD) if hidden >= SMALL else (SMALL_HEAD, ASSUMED_HEAD)
    sizes = norm if len(norm) == 1 else (*usual, *TINY_HEADS)
    return next((size for size in sizes if size and key and query % size == 0 and key % size == 0), None)


def _family(shapes: Mapping[str, tuple[int, ...]]) -> str:
    if f"{LAYERS}0.self_attn.q_norm.weight" in shapes:
        return "qwen3"
    biased = f"{LAYERS}0.self_attn.q_proj.bias" in shapes
    return "qwen2" if biased and f"{LAYERS}0.self_attn.o_proj.bias" not in shapes else "llama"


def _layers(shapes: Mapping[str, tuple[int, ...]]) -> int:
    numbers = {name.removeprefix(LAYERS).partition(".")[0] for name in shapes if name.startswith(LAYERS)}
    return len(numbers)
