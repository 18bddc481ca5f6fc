"""Against published figures: GPT-3's Table D.1, MFU tables, and a count by hand of when 6 N D is off."""

import math

import pytest

from llmplanner.core.flops import (
    PF_DAY,
    palm_flops_per_token,
    pf_days,
    sequence_flops,
    training_flops,
    utilisation,
)
from llmplanner.core.model import (
    Activation,
    Attention,
    Embedding,
    FeedForward,
    Head,
    Kind,
    Layer,
    LayerGroup,
    Linear,
    Model,
    Stack,
)
from llmplanner.core.tensors import parameters
from llmplanner.models.config import from_config, read
from tests.reference import REFERENCE, needs_reference, rows


def llama(width: int, depth: int, kv: int, feed_forward: int, vocabulary: int) -> Model:
    """A decoder of Llama's form, without norms, which multiply no matrices."""
    head = 128
    heads = width // head
    attention = Attention(
        (
            Linear("q", width, heads * head),
            Linear("k", width, kv * head),
            Linear("v", width, kv * head),
        ),
        Linear("o", heads * head, width),
        heads,
        kv,
        head,
        head,
    )
    block = FeedForward(
        (Linear("gate", width, feed_forward), Linear("up", width, feed_forward)),
        Linear("down", feed_forward, width),
        feed_forward,
        Activation.SILU,
        gated=True,
    )
    layer = Layer(attention, block, None, None)
    stack = Stack(Kind.DECODER, "{layer}.", (LayerGroup(layer, tuple(range(depth))),), None)
    return Model(
        name="by hand",
        model_type="llama",
        kind=Kind.DECODER,
        hidden_size=width,
        vocab_size=vocabulary,
        context_length=131072,
        dtype="bf16",
        token_embedding=Embedding("embed", vocabulary, width),
        embeddings=(),
        stacks=(stack,),
        head=Head(Linear("head", width, vocabulary), tied=False),
    )


LLAMA_8B, LLAMA_8B_PARAMETERS = llama(4096, 32, 8, 14336, 128256), 8_030_261_248
LLAMA_70B, LLAMA_70B_PARAMETERS = llama(8192, 80, 8, 28672, 128256), 70_553_706_496

OFF = [  # model, parameters, context, whole square, causal; counted elsewhere
    (LLAMA_8B, LLAMA_8B_PARAMETERS, 2048, 1.001, 0.968),
    (LLAMA_8B, LLAMA_8B_PARAMETERS, 8192, 1.202, 1.068),
    (LLAMA_8B, LLAMA_8B_PARAMETERS, 32768, 2.004, 1.469),
    (LLAMA_8B, LLAMA_8B_PARAMETERS, 131072, 5.213, 3.074),
    (LLAMA_70B, LLAMA_70B_PARAMETERS, 8192, 1.137, 1.061),
    (LLAMA_70B, LLAMA_70B_PARAMETERS, 131072, 3.42, 2.20),
]


@pytest.mark.parametrize(("model", "parameters", "context", "square", "causal"), OFF)
def test_matmul_count_over_six_n_d(
    model: Model, parameters: int, context: int, square: float, causal: float
) -> None:
    rule = float(training_flops(parameters, context))
    assert sequence_flops(model, context, causal=False).training / rule == pytest.approx(square, abs=0.006)
    assert sequence_flops(model, context).training / rule == pytest.approx(causal, abs=0.006)


def test_attention_share_of_long_contexts() -> None:
    flops = sequence_flops(LLAMA_8B, 131072, causal=False)
    assert flops.attention / flops.forward == pytest.approx(0.82, abs=0.005)


GPT3_TABLE_D1 = [  # parameters (millions), tokens (billions), FLOPs, PF-days; arXiv:2005.14165 p. 46
    (Kind.ENCODER_DECODER, 60, 1000, 1.80e20, 2.08),
    (Kind.ENCODER_DECODER, 11_000, 1000, 3.30e22, 382),
    (Kind.ENCODER, 109, 250, 1.64e20, 1.89),
    (Kind.ENCODER, 355, 2000, 4.26e21, 49.3),
    (Kind.DECODER, 125, 300, 2.25e20, 2.60),
    (Kind.DECODER, 174_600, 300, 3.14e23, 3640),
]


@pytest.mark.parametrize(("kind", "millions", "billions", "flops", "days"), GPT3_TABLE_D1)
def test_table_d1_of_gpt3(kind: Kind, millions: float, billions: float, flops: float, days: float) -> None:
    counted = float(training_flops(millions * 1e6, billions * 1e9, kind))
    assert counted == pytest.approx(flops, rel=4e-3)
    assert float(pf_days(counted)) == pytest.approx(days, rel=4e-3)


def test_pf_day_is_a_day_of_a_petaflop_per_second() -> None:
    assert math.isclose(PF_DAY, 86_400e15)


@needs_reference
def test_published_mfu() -> None:
    worst = 0.0
    for row in rows("mfu.csv"):
        operations = palm_flops_per_token(
            float(row["n_params"]), float(row["n_layers"]), float(row["d_model"]), float(row["seq_len"])
        )
        mfu = utilisation(
            operations, float(row["tokens_per_s_per_gpu"]), 1, float(row["peak_dense_tflops"]) * 1e12
        )
        worst = max(worst, abs(float(mfu) * 100 / float(row["mfu_pct_published"]) - 1))
    assert worst < 0.0025  # the figures are printed with two digits after the point


def test_mfu_of_palm() -> None:
    peak = 6144 * 275e12
    assert float(utilisation(6 * 540e9, 238.3e3, 1, peak)) == pytest.approx(0.457, abs=5e-4)
    with_attention = palm_flops_per_token(540e9, 118, 48 * 256, 2048)
    assert float(utilisation(with_attention, 238.3e3, 1, peak)) == pytest.approx(0.462, abs=5e-4)


def test_full_recomputation_makes_mfu_three_quarters_of_hfu() -> None:
    flops = sequence_flops(LLAMA_8B, 4096)
    assert flops.training / flops.training_recomputed == pytest.approx(0.75)


COUNTED = [  # config, context, whole square, causal: over 6 N D of the active parameters, counted elsewhere
    ("gpt2", 1024, 1.145, 1.070),
    ("pythia-70m", 2048, 0.813, 0.724),
    ("pythia-12b", 2048, 1.042, 1.010),
    ("gemma-2b", 8192, 1.241, 1.120),
    ("llama-3.2-1b", 8192, 1.434, 1.217),
    ("qwen3-0.6b", 4096, 1.79, 1.39),
    ("mixtral-8x7b", 4096, 1.073, 1.032),
]


@needs_reference
@pytest.mark.parametrize(("name", "context", "square", "causal"), COUNTED)
def test_matmul_count_of_released_models(name: str, context: int, square: float, causal: float) -> None:
    path = REFERENCE / "configs" / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"{name}.json is not among the reference configs")
    model = from_config(read(path), name, str(path))
    rule = float(training_flops(parameters(model).active, context))
    assert sequence_flops(model, context, causal=False).training / rule == pytest.approx(square, abs=0.006)
    assert sequence_flops(model, context).training / rule == pytest.approx(causal, abs=0.006)


@needs_reference
def test_encoder_decoder_passes_each_token_through_one_half() -> None:
    """T5: 3 N D stands for the matrices of both stacks over the tokens of both (GPT-3's Table D.1)."""
    path = REFERENCE / "configs" / "flan-t5-xxl.json"
    model = from_config(read(path), "flan-t5-xxl", str(path))
    flops = sequence_flops(model, 512)
    rule = float(training_flops(parameters(model).total, 1024, Kind.ENCODER_DECODER))
    assert 3 * flops.linear / rule == pytest.approx(1.0, abs=0.02)
