"""Mixtures of experts of a form of their own: DBRX, LongCat-Flash, ERNIE 4.5 VL.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints of each family.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from llmplanner.core.model import Experts, Layer, LayerGroup, Linear, Model, NormKind, Parameter
from llmplanner.models.entries import Entries
from llmplanner.models.families.decoder import DecoderData, build
from llmplanner.models.families.deepseek import DEEPSEEK, V3, latent_attention
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.dialect import Part
from llmplanner.models.families.experts import all_but_first, everywhere, typed
from llmplanner.models.families.llama import LLAMA
from llmplanner.models.families.mixtures import BLOCK, ERNIE, ROUTED, SIGMOID, matrices


def _nested(data: DecoderData, entries: Entries, part: Part) -> Model:
    """A decoder whose attention and feed-forward have tables of entries. Raises BadInput."""
    flat: dict[str, object] = {}
    for name in ("attn_config", "ffn_config"):
        table = entries.raw(name)
        if table is not None and not isinstance(table, Mapping):
            raise entries.refuse(name, "must be a table of entries")
        flat |= {f"{name}.{key}": value for key, value in (table or {}).items()}
    return build(data, entries.with_values(flat), part)


DBRX = replace(
    LLAMA,
    body="transformer.",
    embedding="wte",
    layer="blocks.{layer}.",
    attention_inputs=("norm_attn_norm.attn.Wqkv",),
    attention_output="norm_attn_norm.attn.out_proj",
    attention_norm="norm_attn_norm.norm_1",
    feed_forward_norm="norm_attn_norm.norm_2",
    final_norm="norm_f",
    norm=NormKind.LAYER,
    norm_bias=False,
    input_bias=False,
    output_bias=False,
    head_dim=False,
    dropouts=("resid_pdrop", None, "emb_pdrop"),
    mixture=replace(
        BLOCK,
        router="ffn.router.layer",
        expert=("ffn.experts.mlp.w1", "ffn.experts.mlp.v1", "ffn.experts.mlp.w2"),
    ),
)


def _half(side: int) -> DecoderData:
    """One of the two halves of a layer of LongCat-Flash; the first holds the mixture as well."""
    return replace(
        DEEPSEEK,
        layer="layers.{pair}.",
        attention=partial(latent_attention, block=f"self_attn.{side}"),
        attention_norm=f"input_layernorm.{side}",
        feed_forward_norm=f"post_attention_layernorm.{side}",
        feed_forward_inputs=matrices(f"mlps.{side}")[:2],
        feed_forward_output=matrices(f"mlps.{side}")[2],
        finish=_with_idle_experts,
        mixture=None
        if side
        else replace(
            SIGMOID,
            router="mlp.router.classifier",
            sparse=everywhere,
            shared=matrices("mlps.0"),
            shared_count=None,
            shared_width="intermediate_size",
        ),
    )


def _with_idle_experts(entries: Entries, layer: Layer) -> Layer:
    """The router chooses among experts without weights too."""
    mixture = layer.feed_forward
    if not isinstance(mixture, Experts):
        return layer
    count = mixture.count + (entries.optional_size("zero_expert_num", least=0) or 0)
    router = replace(mixture.router, outputs=count, bias=entries.flag("router_bias"))
    return replace(layer, feed_forward=replace(mixture, router=router))


def _two_halves(halves: tuple[DecoderData, DecoderData], entries: Entries, part: Part) -> Model:
    """LongCat-Flash: a layer is two of attention and a dense feed-forward each.

    Its mixture reads what the first of the two feed-forwards reads. Some of the experts that the router
    chooses among do nothing. Source: LongCat-Flash (arXiv:2509.01322) sec. 2. Raises BadInput.
    """
    first, second = (build(data, entries, part) for data in halves)
    (even,), (odd,) = first.stacks[0].groups, second.stacks[0].groups
    depth = 2 * len(even.indices)
    groups = (
        LayerGroup(even.layer, tuple(range(0, depth, 2))),
        LayerGroup(odd.layer, tuple(range(1, depth, 2))),
    )
    note = (
        "A token may take experts that do nothing: the active parameters are the most that it can meet."
        if entries.optional_size("zero_expert_num", least=0)
        else ""
    )
    return replace(first, stacks=(replace(first.stacks[0], groups=groups),), note=note)


LONGCAT = (_half(0), _half(1))


def _ernie_widths(entries: Entries) -> Mapping[str, object]:
    """Two widths: of the experts for text and of those for images."""
    widths = entries.indices("moe_intermediate_size") or (1536, 512)
    if len(widths) != 2:  # noqa: PLR2004 - text and images
        raise entries.refuse("moe_intermediate_size", "must be a list of two widths, of text and of images")
    return {"text_width": widths[0], "image_width": widths[1]}


def _ernie_images(entries: Entries, layer: Layer) -> Layer:
    """The experts for images beside those for text: as many, and as many taken."""
    mixture = layer.feed_forward
    if not isinstance(mixture, Experts):
        return layer
    hidden, width = entries.size("hidden_size"), entries.size("image_width")
    gate, up, down = matrices("mlp.vision_moe.experts.{expert}")
    images = (Linear(gate, hidden, width), Linear(up, hidden, width), Linear(down, width, hidden))
    extras = (
        Linear("mlp.vision_moe.gate", hidden, mixture.count),
        Parameter("mlp.vision_moe.gate.moe_statics.e_score_correction_bias", (mixture.count,)),
    )
    expert = replace(mixture.expert, inputs=(*mixture.expert.inputs, *images))
    return replace(layer, feed_forward=replace(mixture, expert=expert, extras=(*mixture.extras, *extras)))


ERNIE_VL = replace(
    ERNIE,
    head_bias=False,
    derived=_ernie_widths,
    finish=_ernie_images,
    mixture=replace(
        SIGMOID,
        width="text_width",
        router="mlp.text_moe.gate",
        expert=matrices("mlp.text_moe.experts.{expert}"),
        sparse=typed(all_but_first),
        shared_bias="use_bias",
        router_fp32=False,
        correction="mlp.text_moe.gate.moe_statics.e_score_correction_bias",
    ),
)

DIALECTS = (
    replace(
        decoder(
            "dbrx",
            "Dbrx",
            DBRX,
            class_defaults(
                (24, 2048, 16, None, 32000),
                None,
                2048,
                **{
                    "attn_config.kv_n_heads": 1,
                    "ffn_config.ffn_hidden_size": 3584,
                    "ffn_config.moe_num_experts": 4,
                    "ffn_config.moe_top_k": 1,
                    "resid_pdrop": 0.0,
                    "emb_pdrop": 0.0,
                },
            ),
            num_hidden_layers=("n_layers", "num_hidden_layers"),
            hidden_size=("d_model", "hidden_size"),
            num_attention_heads=("n_heads", "num_attention_heads"),
            max_position_embeddings=("max_seq_len", "max_position_embeddings"),
            num_key_value_heads=("attn_config.kv_n_heads",),
            intermediate_size=("ffn_config.ffn_hidden_size",),
            num_experts=("ffn_config.moe_num_experts",),
            num_experts_per_tok=("ffn_config.moe_top_k",),
        ),
        build=partial(_nested, DBRX),
    ),
    replace(
        decoder(
            "longcat_flash",
            "LongcatFlash",
            LONGCAT[0],
            class_defaults(
                (28, 6144, 64, 12288, 131072),
                None,
                131072,
                **V3,
                expert_ffn_hidden_size=2048,
                n_routed_experts=512,
                moe_topk=12,
                zero_expert_num=256,
            ),
            num_hidden_layers=("num_layers",),
            intermediate_size=("ffn_hidden_size", "intermediate_size"),
            moe_intermediate_size=("expert_ffn_hidden_size", "moe_intermediate_size"),
            num_experts_per_tok=("moe_topk", "num_experts_per_tok"),
            **ROUTED,
        ),
        build=partial(_two_halves, LONGCAT),
    ),
    decoder(
        "ernie4_5_vl_moe_text",
        ("Ernie4_5_VLMoeForConditionalGeneration", "Ernie4_5_VLMoeTextModel"),
        ERNIE_VL,
        class_defaults(
            (28, 2560, 20, 12288, 103424),
            4,
            131072,
            tie_word_embeddings=True,
            use_bias=False,
            moe_k=6,
            moe_num_experts=64,
            moe_num_shared_experts=2,
        ),
        also=("Ernie4_5_VL_MoeForConditionalGeneration",),
        num_experts=("moe_num_experts", "num_experts"),
        num_experts_per_tok=("moe_k", "num_experts_per_tok"),
        n_shared_experts=("moe_num_shared_experts",),
    ),
)
