"""How far an estimate of activations is known to be off, by what of a model's kind was measured.

Beyond what was measured, the bounds are a judgement: the same rules hold, and nobody has looked.
"""

from dataclasses import dataclass

from llmplanner.core.model import Model, Recurrent

SERVED = frozenset(  # tests/data/serving_activations.csv
    {"bart", "bert", "bloom", "cohere", "cohere2", "deepseek_v2", "deepseek_v3", "gemma", "gemma2"}
    | {"gemma3_text", "glm", "gpt2", "gpt_neox", "gpt_oss", "llama", "llama4_text", "mistral", "mixtral"}
    | {"olmo", "olmo2", "olmo3", "opt", "phi", "phi3", "phimoe", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe"}
    | {"roberta", "smollm3", "starcoder2", "t5"}
)
TRAINED = frozenset(  # over a thousand measured steps
    {"bert", "deepseek_v3", "gemma2", "gpt2", "gpt_neox", "llama", "mistral", "mixtral", "opt", "qwen2"}
    | {"qwen3", "t5"}
)
KEPT = frozenset(  # tests/data/training_kept.csv
    {"cohere", "cohere2", "deepseek_v2", "glm", "gpt_neo", "gpt_oss", "gptj", "olmo", "olmo2", "olmo3"}
    | {"phimoe", "qwen2_moe", "smollm3", "starcoder2"}
)
STEPPED = frozenset(  # tests/data/training_steps.json, beside families of the table
    {"bart", "bloom", "ernie4_5_moe", "glm4", "glm4_moe", "granite", "granitemoe", "lfm2", "mpnet", "olmoe"}
    | {"pegasus", "phi3", "qwen3_moe", "roberta", "stablelm"}
)
SMALL = frozenset(  # tests/data/trained_families.json
    {"albert", "apertus", "arcee", "biogpt", "bitnet", "blenderbot", "blenderbot-small"}
    | {"camembert", "codegen", "cohere", "cohere2", "cwm", "data2vec-text", "distilbert", "electra"}
    | {"ernie", "ernie4_5", "eurobert", "exaone4", "falcon", "gemma3_text", "glm", "gpt_bigcode"}
    | {"gpt_neo", "granite_swa", "gte", "helium", "hunyuan_v1_dense", "hyperclovax", "internlm3"}
    | {"iquestcoder", "jais2", "jina_embeddings_v3", "layoutlm", "m2m_100", "marian", "mbart"}
    | {"megatron-bert", "ministral", "ministral3", "moshi", "mpt", "nemotron", "nomic_bert", "olmo", "olmo3"}
    | {"openai-gpt", "persimmon", "phi", "plbart", "rembert", "roberta-prelayernorm", "seed_oss", "smollm3"}
    | {"starcoder2", "vaultgemma", "xglm", "xlm-roberta", "xlm-roberta-xl"}
)
BLOCKS = frozenset({"led", "longformer", "longt5", "pegasus_x"})
DISENTANGLED = frozenset({"deberta", "deberta-v2"})
MIXTURES = frozenset({"llama4_text"})  # tests/data/trained_on_cpu.csv, beside some of the above
STREAMS = frozenset({"deepseek_v4", "hy_v4"})
SCANNED = frozenset(  # tests/data/training_recurrent.json, without fused kernels
    {"bamba", "falcon_h1", "falcon_mamba", "granitemoehybrid", "jamba", "mamba", "mamba2", "nemotron_h"}
    | {"olmo_hybrid", "qwen3_5_text", "qwen3_next"}
)


@dataclass(frozen=True, slots=True)
class Sureness:
    """Bounds as percentages of an estimate, and a word on them."""

    low: int
    high: int
    note: str = ""
    measured: bool = False


CHUNK = 256  # tokens that a recurrent layer takes at once, where no kernel is installed
EXACT = Sureness(100, 100)
RECURRENT = "Recurrent layers by fused kernels (not measured); PyTorch's own way takes up to the upper bound."
SERVED_KNOWN = Sureness(94, 110, measured=True)  # all within 5.7 %; and what the allocator rounds up
SERVED_EAGER = Sureness(94, 116, measured=True)  # short prompts: up to 12.5 % more
SERVED_UNKNOWN = Sureness(50, 150, "No model of this architecture was measured: by the rules of the others.")
SERVED_RECURRENT = Sureness(50, 200, RECURRENT)
TRAINED_KEPT = Sureness(97, 103, "What is kept was measured for this architecture, its peaks were not.")
TRAINED_STEPPED = Sureness(98, 102, "Steps of a small model of this architecture: within 1 %.")
TRAINED_BLOCKS = Sureness(
    60,
    400,
    "Attention goes by blocks, and sequences are filled up to whole ones: of small models 1.1 to 3.6 times "
    "as much was measured, and far more where a sequence is shorter than a block or layers are checkpointed.",
)
TRAINED_STREAMS = Sureness(
    70,
    350,
    "Several residual streams are mixed before and behind every layer, which is not described: steps of "
    "small models took 0.7 to 2.5 times as much.",
)
TRAINED_DISENTANGLED = Sureness(
    60,
    300,
    "Attention to contents and to positions apart: of small models 1.7 to 3 times as much was measured.",
)
TRAINED_EAGER = Sureness(
    55, 170, "Attention is written out, as this class does it: 0.55 to 1.7 times as much was measured."
)
TRAINED_UNKNOWN = Sureness(85, 125, SERVED_UNKNOWN.note)
TRAINED_PACKED = Sureness(
    90,
    150,
    "What is kept beside a quantized base was not measured: as beside the same matrices in 16 bits; "
    "more where PEFT casts the norms to FP32.",
)
TRAINED_FP8 = Sureness(
    85,
    130,
    "Matrix products keep what they read in FP8, as Transformer Engine does: not measured. torchao keeps it "
    "in BF16: up to the upper bound.",
)
TRAINED_RECURRENT = Sureness(50, 200, RECURRENT)
BY_CODE = "Recurrent layers by PyTorch's own code; fused kernels keep less"
SERVED_SCANNED = Sureness(85, 120, f"{BY_CODE}. Prompts of eight small models: within 7 %.")
TRAINED_SCANNED = Sureness(92, 108, f"{BY_CODE}. Steps of small models of this architecture: within 7 %.")
TRAINED_BY_CODE = Sureness(80, 125, f"{BY_CODE}. Not measured for this architecture, or up to 12 % off.")


def written_out(mixer: Recurrent) -> int:
    """The most that PyTorch's own code for recurrence makes of a token, in elements of FP32.

    Measured of Mamba, Mamba-2 and the gated delta net in Transformers 5.23, where no kernel is installed:
    3.4 to 3.7 states where every channel is a head; else 7 scores of a chunk of tokens for each head, and 15
    values.
    """
    width = mixer.output.inputs
    return 4 * mixer.state if mixer.heads == width else 15 * width + 7 * CHUNK * mixer.heads


def serving(model: Model, *, eager: bool, written: bool = False) -> Sureness:
    """Of what a forward pass without gradients holds. `eager`: attention is written out by choice.

    `written`: recurrent layers run by PyTorch's own code, over more than one token.
    """
    if model.recurs:
        return SERVED_SCANNED if written and by_code(model) else SERVED_RECURRENT
    if model.model_type not in SERVED:
        return SERVED_UNKNOWN
    return SERVED_EAGER if eager else SERVED_KNOWN


def by_code(model: Model) -> bool:
    """Whether every recurrence of the model is known as PyTorch's own code runs it."""
    mixers = (group.layer.recurrent for stack in model.stacks for group in stack.groups)
    return all(mixer.scan is not None or not mixer.state for mixer in mixers if mixer is not None)


def training(model: Model, *, kernels: bool = False, packed: bool = False, fp8: bool = False) -> Sureness:
    """Of what a step keeps from forward to backward pass. `packed`: beside a quantized base.

    `kernels`: fused ones run the recurrent layers.
    """
    if model.recurs and model.model_type not in STEPPED:
        if kernels or packed or fp8 or not by_code(model):
            return TRAINED_RECURRENT
        return TRAINED_SCANNED if model.model_type in SCANNED else TRAINED_BY_CODE
    if fp8:
        return TRAINED_FP8
    if packed:
        return TRAINED_PACKED
    known = (
        (TRAINED, EXACT),
        (STEPPED | SMALL | MIXTURES, TRAINED_STEPPED),
        (STREAMS, TRAINED_STREAMS),
        (BLOCKS, TRAINED_BLOCKS),
        (DISENTANGLED, TRAINED_DISENTANGLED),
        (KEPT, TRAINED_KEPT),
    )
    for types, sure in known:
        if model.model_type in types:
            return sure
    return TRAINED_EAGER if model.eager else TRAINED_UNKNOWN
