"""Encoders of BERT's form: learned positions and token types, norms after the sums, a masked-LM head.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints of each family.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from llmplanner.core.model import Activation, Embedding, Model
from llmplanner.models.entries import MOST_ROWS, Entries
from llmplanner.models.families.dialect import Dialect, Part
from llmplanner.models.families.encoders import EncoderData, build

BERT = EncoderData(body="bert.")
ROBERTA = EncoderData(
    body="roberta.",
    transform="lm_head.dense",
    transform_norm="lm_head.layer_norm",
    decoder="lm_head.decoder",
    bias="lm_head",
    position_offset=2,
    transform_activation=Activation.GELU,
)
ELECTRA = EncoderData(
    body="electra.",
    transform="generator_predictions.dense",
    transform_norm="generator_predictions.LayerNorm",
    decoder="generator_lm_head",
    bias="generator_lm_head",
    spare_bias=False,
    transform_activation=Activation.GELU,
    width="embedding_size",
    projection="embeddings_project",
    pooler=None,
    discriminator="discriminator_predictions",
)
ALBERT = EncoderData(
    body="albert.",
    transform="predictions.dense",
    transform_norm="predictions.LayerNorm",
    decoder="predictions.decoder",
    bias="predictions",
    pair_head="sop_classifier.classifier",
    width="embedding_size",
    projection="encoder.embedding_hidden_mapping_in",
    projected=True,
    layer="encoder.albert_layer_groups.{layer}.albert_layers.0.",
    attention=("attention.query", "attention.key", "attention.value", "attention.dense"),
    feed_forward=("ffn", "ffn_output"),
    attention_norm="attention.LayerNorm",
    feed_forward_norm="full_layer_layer_norm",
    shared="num_hidden_groups",
    pooler="pooler",
)
DISTILBERT = EncoderData(
    body="distilbert.",
    transform="vocab_transform",
    transform_norm="vocab_layer_norm",
    decoder="vocab_projector",
    bias="vocab_projector",
    spare_bias=False,
    types=None,
    layer="transformer.layer.{layer}.",
    attention=("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"),
    feed_forward=("ffn.lin1", "ffn.lin2"),
    attention_norm="sa_layer_norm",
    feed_forward_norm="output_layer_norm",
    pooler=None,
)
MEGATRON = EncoderData(
    body="bert.",
    embedding_norm=None,
    attention_norm="attention.ln",
    feed_forward_norm="ln",
    final_norm="encoder.ln",
)
MPNET = replace(
    ROBERTA,
    body="mpnet.",
    attention=("attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o"),
    attention_norm="attention.LayerNorm",
    types=None,
    relative_bias="encoder.relative_attention_bias",
)


JINA_V2 = replace(  # the same type, with biased scores for positions and a gated block (arXiv:2310.19923)
    BERT,
    positions=None,
    feed_forward=("mlp.gated_layers", "mlp.wo"),
    feed_forward_bias=(False, True),
    feed_forward_norm="mlp.layernorm",
    fused_gate=True,
    alibi=True,
)


def _build_bert(entries: Entries, part: Part) -> Model:
    """BERT, or what the files of Jina's second embedding models state under its type. Raises BadInput."""
    if entries.raw("position_embedding_type") == "alibi" and entries.raw("feed_forward_type") == "geglu":
        return build(JINA_V2, entries.with_values({"position_embedding_type": None}), part)
    return build(BERT, entries, part)


def _tasks(entries: Entries, body: str) -> tuple[Embedding, ...]:
    """ERNIE 2 and 3 have a table of tasks where use_task_id says so (arXiv:1907.12412)."""
    if not entries.flag("use_task_id"):
        return ()
    kinds = entries.size("task_type_vocab_size", MOST_ROWS)
    return (Embedding(f"{body}embeddings.task_type_embeddings", kinds, entries.size("hidden_size")),)


SIZES = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size")


def dialect(
    model_type: str,
    stem: str,
    data: EncoderData,
    sizes: tuple[int, int, int, int, int] = (12, 768, 12, 3072, 30522),
    names: Mapping[str, tuple[str, ...]] | None = None,
    **more: object,
) -> Dialect:
    """`sizes` are the class's defaults in the order of SIZES; `more` goes by the common names."""
    defaults = {
        **dict(zip(SIZES, sizes, strict=True)),
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "tie_word_embeddings": True,
        **more,
    }
    own = {(names or {}).get(name, (name,))[0]: value for name, value in defaults.items()}
    classes = {
        f"{stem}ForMaskedLM": Part.LANGUAGE_MODEL,
        f"{stem}ForCausalLM": Part.LANGUAGE_MODEL,
        f"{stem}LMHeadModel": Part.LANGUAGE_MODEL,
        f"{stem}Model": Part.BODY,
        f"{stem}ForPreTraining": Part.PRETRAINING,
    }
    return Dialect(model_type, own, SIZES, classes, partial(build, data), names or {})


DIALECTS = (
    replace(dialect("bert", "Bert", BERT), build=_build_bert),
    dialect(
        "ernie",
        "Ernie",
        replace(BERT, body="ernie.", tables=_tasks),
        task_type_vocab_size=3,
        use_task_id=False,
    ),
    dialect("roberta", "Roberta", ROBERTA, (12, 768, 12, 3072, 50265)),
    dialect("xlm-roberta", "XLMRoberta", ROBERTA),
    dialect("camembert", "Camembert", ROBERTA),
    dialect("data2vec-text", "Data2VecText", replace(ROBERTA, body="data2vec_text.")),
    dialect(
        "roberta-prelayernorm",
        "RobertaPreLayerNorm",
        replace(
            ROBERTA,
            body="roberta_prelayernorm.",
            attention_norm="attention.LayerNorm",
            feed_forward_norm="intermediate.LayerNorm",
            final_norm="LayerNorm",
        ),
        (12, 768, 12, 3072, 50265),
    ),
    dialect(
        "xlm-roberta-xl",
        "XLMRobertaXL",
        replace(
            ROBERTA,
            embedding_norm=None,
            attention_norm="attention.self_attn_layer_norm",
            feed_forward_norm="LayerNorm",
            final_norm="encoder.LayerNorm",
        ),
        (36, 2560, 32, 10240, 250880),
        type_vocab_size=1,
        max_position_embeddings=514,
    ),
    dialect("electra", "Electra", ELECTRA, (12, 256, 4, 1024, 30522), embedding_size=128),
    dialect(
        "albert",
        "Albert",
        ALBERT,
        (12, 4096, 64, 16384, 30000),
        embedding_size=128,
        num_hidden_groups=1,
        inner_group_num=1,
        hidden_act="gelu_new",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    ),
    dialect(
        "distilbert",
        "DistilBert",
        DISTILBERT,
        (6, 768, 12, 3072, 30522),
        {
            "num_hidden_layers": ("n_layers", "num_hidden_layers"),
            "hidden_size": ("dim", "hidden_size"),
            "num_attention_heads": ("n_heads", "num_attention_heads"),
            "intermediate_size": ("hidden_dim",),
            "hidden_act": ("activation",),
            "hidden_dropout_prob": ("dropout",),
            "attention_probs_dropout_prob": ("attention_dropout",),
        },
    ),
    dialect("megatron-bert", "MegatronBert", MEGATRON, (24, 1024, 16, 4096, 29056)),
    dialect("mpnet", "MPNet", MPNET, (12, 768, 12, 3072, 30527), relative_attention_num_buckets=32),
)
