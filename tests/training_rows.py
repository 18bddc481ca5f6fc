"""Rows of the table of measured training steps (training.csv) as models and steps.

Measured with Transformers 5.23.0 and PyTorch 2.13.0: real module code under fake tensors, every storage
counted from creation to release. Rows that this version does not answer are left out, see `answered`.
"""

from collections.abc import Mapping
from dataclasses import replace

from llmplanner.core.engine import AttentionKernel
from llmplanner.core.model import Model
from llmplanner.core.plan import Checkpointing, Optimizer, Precision, Train
from llmplanner.core.tensors import parameters
from llmplanner.models.config import from_config, model_types
from tests.reference import rows

Row = Mapping[str, str]

PRECISIONS = {"fp32": Precision.FP32, "bf16": Precision.BF16, "amp": Precision.BF16_MIXED}
KERNELS = {"eager": AttentionKernel.EAGER, "sdpa": AttentionKernel.SDPA, "fa2": AttentionKernel.FLASH}
OPTIMIZERS = {
    "none": Optimizer.SGD,
    "adamw": Optimizer.ADAMW,
    "adamw_fused": Optimizer.ADAMW_FUSED,
    "adamw_loop": Optimizer.ADAMW_LOOP,
    "sgd": Optimizer.SGD,
    "sgdm": Optimizer.SGD_MOMENTUM,
}
NAMES = {  # the family's own names where they are not Llama's
    "gpt2": {
        "num_hidden_layers": "n_layer",
        "hidden_size": "n_embd",
        "num_attention_heads": "n_head",
        "intermediate_size": "n_inner",
        "max_position_embeddings": "n_positions",
    },
    "opt": {"intermediate_size": "ffn_dim"},
}


def answered(row: Row) -> bool:
    """Full training, the logits let go before the backward pass, by an optimizer that the planner knows."""
    return (
        row["family"] in model_types()
        and not row["lora_r"]
        and row["keep_logits"] == "0"
        and row["optimizer"] in OPTIMIZERS
    )


ANSWERED = [row for row in rows("training.csv") if answered(row)]
ROWS = [row for row in ANSWERED if row["padding_mask"] == "0"]
MASKED = [row for row in ANSWERED if row["padding_mask"] == "1"]
DECODERS = [row for row in ROWS if row["family"] not in {"bert", "t5"}]


def model(row: Row) -> Model:
    """The model of a row. Positions are not in the table: as many as make up the counted parameters."""
    config = _config(row)
    built = from_config(config, row["id"], "training.csv")
    if row["family"] == "t5":  # the rows tie the head whatever the config says
        return replace(built, head=replace(built.head, tied=row["tied"] == "1"))
    missing = int(row["params"]) - parameters(built).total
    if missing:
        name = NAMES.get(row["family"], {}).get("max_position_embeddings", "max_position_embeddings")
        config[name] = int(str(config[name])) + missing // int(row["hidden"])
        built = from_config(config, row["id"], "training.csv")
    return built


def step(row: Row) -> Train:
    """The step of a row."""
    return Train(
        sequence=int(row["seq"]),
        micro_batch=int(row["batch"]),
        precision=PRECISIONS[row["precision"]],
        optimizer=OPTIMIZERS[row["optimizer"]],
        attention=KERNELS[row["attention"]],
        checkpointing=Checkpointing(row["checkpointing"]),
        target=int(row["seq_decoder"]) if row["seq_decoder"] else None,
    )


def _config(row: Row) -> dict[str, object]:
    if row["family"] == "t5":
        return _t5(row)
    sizes: dict[str, object] = {
        "num_hidden_layers": int(row["layers"]),
        "hidden_size": int(row["hidden"]),
        "num_attention_heads": int(row["heads"]),
        "intermediate_size": int(row["expert_ffn"] or row["ffn"]) if row["experts"] else int(row["ffn"]),
        "max_position_embeddings": 1024,
    }
    names = NAMES.get(row["family"], {})
    return {
        "model_type": row["family"],
        "vocab_size": int(row["vocab"]),
        "tie_word_embeddings": row["tied"] == "1",
        **{names.get(name, name): value for name, value in sizes.items()},
        **_more(row),
        **_dropout(row),
    }


def _more(row: Row) -> dict[str, object]:
    family = row["family"]
    extra = dict(pair.split("=") for pair in row["extra_dims"].split())
    found: dict[str, object] = {name: float(value) for name, value in extra.items() if "." in value}
    found |= {name: int(value) for name, value in extra.items() if "." not in value}
    if family == "opt":
        found |= {"activation_function": "relu", "word_embed_proj_dim": int(row["hidden"])}
    elif family not in {"gpt2", "gpt_neox", "bert"}:
        found["num_key_value_heads"] = int(row["kv_heads"])
        if family != "deepseek_v3":
            found["head_dim"] = int(row["head_dim"])
    if row["experts"]:
        found |= {"num_experts_per_tok": int(row["top_k"]), "moe_intermediate_size": int(row["expert_ffn"])}
        found["n_routed_experts" if family == "deepseek_v3" else "num_local_experts"] = int(row["experts"])
    if family == "deepseek_v3":
        found["intermediate_size"] = int(row["ffn"])
    if family == "bert":
        found["architectures"] = ["BertForMaskedLM"]
    return found


def _dropout(row: Row) -> dict[str, float]:
    hidden, attention = float(row["dropout_hidden"]), float(row["dropout_attention"])
    return {
        "gpt2": {"resid_pdrop": hidden, "embd_pdrop": hidden, "attn_pdrop": attention},
        "opt": {"dropout": hidden, "attention_dropout": attention},
        "bert": {"hidden_dropout_prob": hidden, "attention_probs_dropout_prob": attention},
        "gpt_neox": {"hidden_dropout": hidden, "attention_dropout": attention},
    }.get(row["family"], {"attention_dropout": attention})


def _t5(row: Row) -> dict[str, object]:
    return {
        "model_type": "t5",
        "architectures": ["T5ForConditionalGeneration"],
        "num_layers": int(row["layers"]),
        "num_decoder_layers": int(row["layers"]),
        "d_model": int(row["hidden"]),
        "num_heads": int(row["heads"]),
        "d_kv": int(row["head_dim"]),
        "d_ff": int(row["ffn"]),
        "vocab_size": int(row["vocab"]),
        "feed_forward_proj": "relu" if row["ffn_kind"] == "relu" else "gated-gelu",
        "tie_word_embeddings": row["tied"] == "1",
        "dropout_rate": float(row["dropout_hidden"]),
    }
