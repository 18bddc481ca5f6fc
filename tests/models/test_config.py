"""What a config.json says beside its sizes."""

import pytest

from llmplanner.models.config import from_config

LLAMA = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "vocab_size": 1000,
}


@pytest.mark.parametrize(
    ("config", "context"),
    [
        ({"model_type": "llama", **LLAMA}, None),  # rotary: the class's default is nobody's limit
        ({"model_type": "llama", **LLAMA, "max_position_embeddings": 4096}, 4096),
        ({"model_type": "gpt2", "n_layer": 2}, 1024),  # a table of positions has an end
        ({"model_type": "t5"}, None),
    ],
)
def test_a_context_is_a_limit_only_where_the_model_has_one(
    config: dict[str, object], context: int | None
) -> None:
    assert from_config(config, "a model", "a file").context_length == context
