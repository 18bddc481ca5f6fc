"""What a plan's fields say of the workload, the engine and the split: a Draft as the core's dataclasses."""

from dataclasses import replace
from math import prod

from llmplanner.core.blocks import cache_format_named, refuse_blocks
from llmplanner.core.engine import AttentionKernel, Engine, LlamaCpp, Transformers, Vllm
from llmplanner.core.errors import BadInput, quoted
from llmplanner.core.lora_targets import refuse_lacked
from llmplanner.core.model import Dropout, Kind, Model
from llmplanner.core.plan import (
    Adapters,
    Checkpointing,
    Full,
    Lora,
    Loss,
    Method,
    Offload,
    OffloadTo,
    Optimizer,
    Precision,
    Serve,
    Sharding,
    Split,
    Train,
    Weights,
    computed_in,
)
from llmplanner.core.recipes import LLAMA_CPP, RECIPES
from llmplanner.plan_fields import used
from llmplanner.plans import Draft, precision_of

GIB = 2**30
WAYS = ("dp", "tp", "pp", "cp", "ep")  # to divide the work, by field
SIXTEEN = 16
QLORA = "nf4-double"  # NF4 with double quantization (Dettmers et al. 2023, arXiv:2305.14314)
_LLAMA_CPP_NAMES = frozenset(one.name for one in RECIPES.values() if one.group == LLAMA_CPP)


def serve_of(draft: Draft, model: Model, weights: Weights) -> Serve:
    """What is served. Raises BadInput."""
    _within_context(model, draft.context, "context")
    if draft.prompt is not None and draft.prompt > draft.context and model.kind is not Kind.ENCODER_DECODER:
        raise BadInput(
            f"A prompt of {draft.prompt:,} tokens does not go into a context of {draft.context:,}; "
            "lower one or raise the other.",
            "prompt",
        )
    keys = cache_format_named(draft.kv) if draft.kv else None
    values = cache_format_named(draft.kv_values) if draft.kv_values else None
    if draft.engine != "llama.cpp":
        keys = keys or computed_in(weights, model)
        for form, field in ((keys, "kv"), (values, "kv_values")):
            refuse_blocks(form, draft.engine, field)
    return Serve(draft.context, draft.batch, draft.prompt, keys, values)


def train_of(draft: Draft, model: Model) -> Train:
    """One optimizer step. Raises BadInput."""
    _within_context(model, draft.sequence, "sequence")
    return Train(
        draft.sequence,
        draft.micro_batch,
        Precision(precision_of(draft)),
        Optimizer(draft.optimizer),
        AttentionKernel(draft.attention),
        Checkpointing(draft.checkpointing),
        method=Full() if draft.task == "pretrain" else method_of(draft, model),
        loss=Loss(draft.loss),
        accumulation=draft.accumulation,
        padded=draft.padding == "padded",
        keep_logits=draft.keep_logits,
        kernels=draft.kernels,
    )


def dropped(draft: Draft, model: Model) -> Model:
    """The model with the dropout that the plan states: in attention, and wherever its config has any."""
    if draft.dropout is None:
        return model
    own = model.dropout
    names = [name for name in ("hidden", "embedding", "inner", "final") if getattr(own, name)]
    changed = Dropout(**dict.fromkeys(("attention", *names), draft.dropout))
    return replace(model, dropout=changed)


def method_of(draft: Draft, model: Model) -> Method:
    """What a fine-tune trains. Raises BadInput."""
    if draft.method == "full":
        if draft.frozen_layers > model.layers:
            raise BadInput(
                f"{draft.frozen_layers:,} layers cannot be frozen, {model.name} has {model.layers:,}; "
                "freeze fewer.",
                "frozen_layers",
            )
        return Full(draft.frozen_layers)
    if draft.method == "adapters":
        return Adapters(draft.adapter_width)
    targets = tuple(name.strip() for name in draft.lora_targets.split(",") if name.strip())
    refuse_lacked(model, targets)
    return Lora(
        draft.rank,
        targets,
        draft.lora_dropout,
        dora=draft.method == "dora",
        embeddings=draft.train_embeddings,
        quantized=draft.method == "qlora" or _packed(model),
    )


def base_of(draft: Draft, model: Model) -> str | None:
    """The weights that the plan asks for by name, or QLoRA's own where it asks for none; None: the model's.

    LoRA and DoRA take the model's own, and a file in few bits as it is where it can be trained on. Raises
    BadInput.
    """
    if draft.task == "finetune" and draft.method in {"lora", "dora"}:
        return None
    if draft.task != "finetune" or draft.method != "qlora":
        return draft.weights
    recipe = RECIPES.get(draft.weights or "")
    if recipe is not None and recipe.group == LLAMA_CPP:
        raise BadInput(
            f"Adapters cannot be trained on llama.cpp's {recipe.name}; take {QLORA} or a GPTQ or AWQ format.",
            "weights",
        )
    return draft.weights or (None if _packed(model) else QLORA)


def _packed(model: Model) -> bool:
    """Whether the model's files hold it in few bits, in a way that adapters can be trained beside.

    Transformers unpacks llama.cpp's files before it trains.
    """
    held = model.checkpoint
    return held is not None and held.bits < SIXTEEN and held.label not in _LLAMA_CPP_NAMES


def engine_of(draft: Draft) -> Engine:
    """The program that serves, as it is set. Raises BadInput."""
    if draft.engine == "vllm":
        return Vllm(
            draft.vllm_share, draft.block_size, draft.cuda_graphs, draft.batched_tokens, draft.max_sequences
        )
    if draft.engine == "llama.cpp":
        return LlamaCpp(
            parallel=draft.parallel,
            ubatch=draft.ubatch,
            flash_attention=draft.flash_attention,
            swa_full=draft.swa_full,
            unified=draft.kv_unified,
            gpu_layers=draft.gpu_layers,
            cpu_experts=draft.cpu_experts,
            tensor_split=_shares(draft.tensor_split),
            kv_offload=draft.kv_offload,
        )
    return Transformers(AttentionKernel(draft.attention), draft.static_cache, draft.all_logits, draft.kernels)


def _shares(text: str | None) -> tuple[float, ...] | None:
    """The shares of the cards in "3,1". Raises BadInput."""
    if text is None:
        return None
    try:
        shares = tuple(float(each) for each in text.replace("/", ",").split(","))
    except ValueError:
        shares = ()
    if not shares or not all(0 <= share < float("inf") for share in shares) or not any(shares):
        message = f"Shares of the GPUs are numbers with commas between, such as 3,1; {quoted(text)} is not."
        raise BadInput(message, "tensor_split")
    return shares


def split_of(draft: Draft) -> Split:
    """How the draft divides the work. Raises BadInput where its sizes and its count disagree.

    Ways to divide that the task or the engine does not know are left to other tasks.
    """
    known = [name for name in WAYS if name in used(draft.task, draft.engine, draft.method)]
    stated = {
        name: size
        for name in known
        if (size := getattr(draft, name)) is not None and (size != 1 or name in {"dp", "tp"})
    }
    sizes = {name: stated.get(name, 1) for name in WAYS}
    if draft.count is not None and not stated:
        sizes["tp" if draft.task == "serve" else "dp"] = draft.count
    elif draft.count is not None and draft.count != prod(stated.values()):
        ways = " x ".join(str(size) for size in stated.values())
        raise BadInput(
            f"{draft.count} GPUs cannot be split {ways} ways; "
            f"set the count to {prod(stated.values())} or change {' and '.join(stated)}.",
            "count",
        )
    serving = draft.task == "serve"
    return Split(
        data=sizes["dp"],
        tensor=sizes["tp"],
        zero=0 if serving else draft.zero,
        pipeline=sizes["pp"],
        context=sizes["cp"],
        expert=sizes["ep"],
        sequence_parallel=not serving and draft.sequence_parallel,
        chunks=1 if serving else draft.pipeline_chunks,
        group=None if serving else draft.hybrid,
        sharding=Sharding(draft.sharding),
        offload=Offload.NONE if serving else Offload(draft.offload),
        offload_to=OffloadTo(draft.offload_to),
    )


def runtime_of(draft: Draft) -> int | None:
    """Bytes that were measured of a process that holds nothing yet; None: not measured."""
    return None if draft.runtime is None else round(draft.runtime * GIB)


def _within_context(model: Model, tokens: int, field: str) -> None:
    if model.context_length is not None and tokens > model.context_length:
        raise BadInput(
            f"{tokens:,} tokens are beyond the {model.context_length:,} that {model.name} was built for; "
            "ask for fewer.",
            field,
        )
