"""The sums over tensors agree with the list of them, and the list with published files."""

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from llmplanner.core.errors import BadInput
from llmplanner.core.tensors import inventory, layer_parameters, parameters
from llmplanner.models.config import from_config, load, model_types
from llmplanner.models.families import DIALECTS
from tests.reference import REFERENCE, needs_reference

EXPERTS = {
    "num_experts_per_tok": 2,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts": 4,
    "moe_intermediate_size": 32,
}


@st.composite
def configs(draw: st.DrawFn) -> dict[str, object]:
    """A small config of any family, in the names that the family itself writes."""
    dialect = DIALECTS[draw(st.sampled_from(model_types()))]
    heads = draw(st.sampled_from([1, 2, 4]))
    sizes: dict[str, object] = {
        "num_hidden_layers": draw(st.integers(1, 5)),
        "num_layers": draw(st.integers(1, 5)),
        "encoder_layers": draw(st.integers(1, 3)),
        "decoder_layers": draw(st.integers(1, 3)),
        "hidden_size": heads * 16,
        "d_model": heads * 16,
        "num_attention_heads": heads,
        "num_heads": heads,
        "encoder_attention_heads": heads,
        "decoder_attention_heads": heads,
        "num_key_value_heads": draw(st.sampled_from([1, heads])),
        "intermediate_size": draw(st.integers(1, 99)),
        "vocab_size": draw(st.integers(1, 999)),
        **{name: draw(st.integers(1, 99)) for name in ("d_ff", "encoder_ffn_dim", "decoder_ffn_dim")},
        **EXPERTS,
        "tie_word_embeddings": draw(st.booleans()),
        "architectures": [draw(st.sampled_from([*dialect.classes]))],
    }
    named = {dialect.names.get(name, (name,))[0]: value for name, value in sizes.items()}
    return {"model_type": dialect.model_type, **named}


@settings(deadline=None)
@given(configs())
def test_the_sums_equal_the_list(config: dict[str, object]) -> None:
    try:
        model = from_config(config, "a", "a.json")
    except BadInput:  # of hybrids, whose layers must fit each other
        reject()
    counted, tensors = parameters(model), inventory(model)
    assert counted.total == sum(tensor.elements for tensor in tensors)
    assert counted.embedding == sum(tensor.elements for tensor in tensors if tensor.role == "embedding")
    assert 0 < counted.active <= counted.total
    names = [tensor.name for tensor in tensors]
    assert len(names) == len(set(names))
    for stack in model.stacks:
        for index in {group.indices[0] for group in stack.groups}:
            listed = sum(
                tensor.elements for tensor in tensors if (tensor.layer, tensor.stack) == (index, stack.role)
            )
            groups = [
                group for group in stack.groups if index in group.indices
            ]  # two where a shared block goes first
            once = [group for group in groups if not group.shared or index == group.indices[0]]
            assert sum(layer_parameters(group.layer).total for group in once) == listed


PUBLISHED: dict[str, dict[str, tuple[int, ...]]] = {
    # names and shapes as the hub shows them for the published safetensors files
    "llama-3.1-8b": {
        "model.embed_tokens.weight": (128256, 4096),
        "model.layers.31.self_attn.k_proj.weight": (1024, 4096),
        "model.layers.0.mlp.down_proj.weight": (4096, 14336),
        "model.layers.0.post_attention_layernorm.weight": (4096,),
        "model.norm.weight": (4096,),
        "lm_head.weight": (128256, 4096),
    },
    "gpt2": {
        "wte.weight": (50257, 768),
        "wpe.weight": (1024, 768),
        "h.0.attn.c_attn.weight": (768, 2304),
        "h.11.mlp.c_proj.bias": (768,),
        "ln_f.bias": (768,),
    },
    "mixtral-8x7b": {
        "model.layers.0.block_sparse_moe.experts.7.w2.weight": (4096, 14336),
        "model.layers.0.block_sparse_moe.gate.weight": (8, 4096),
    },
    "deepseek-v3": {
        "model.layers.0.self_attn.kv_a_proj_with_mqa.weight": (576, 7168),
        "model.layers.2.mlp.gate_proj.weight": (18432, 7168),
        "model.layers.3.mlp.experts.255.down_proj.weight": (7168, 2048),
        "model.layers.60.mlp.shared_experts.up_proj.weight": (2048, 7168),
    },
    "t5-small": {
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (32, 8),
        "decoder.block.5.layer.1.EncDecAttention.k.weight": (512, 512),
        "shared.weight": (32128, 512),
    },
    "bert-base-uncased": {
        "bert.encoder.layer.11.attention.self.query.bias": (768,),
        "cls.predictions.bias": (30522,),
    },
    "opt-350m": {
        "model.decoder.project_in.weight": (1024, 512),
        "model.decoder.embed_tokens.weight": (50272, 512),
    },
}


@needs_reference
@pytest.mark.parametrize("name", PUBLISHED)
def test_names_and_shapes_are_those_of_the_published_file(name: str) -> None:
    shapes = {tensor.name: tensor.shape for tensor in inventory(load(REFERENCE / "configs" / f"{name}.json"))}
    assert PUBLISHED[name].items() <= shapes.items()


@needs_reference
def test_opt_350m_has_no_final_norm() -> None:
    names = {tensor.name for tensor in inventory(load(REFERENCE / "configs" / "opt-350m.json"))}
    assert "model.decoder.final_layer_norm.weight" not in names
