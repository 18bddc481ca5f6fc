"""The optimizers: what each keeps of a tensor from step to step, and what its step makes beside that.

"Measured" means: each was stepped on tensors of many shapes and every byte that it held was counted. The
others follow their published code.
"""

from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from llmplanner.core.optimizer_state import (
    BF16,
    FP32,
    GALORE,
    MUON,
    RANK,
    SHAMPOO_BLOCK,
    SOAP_LARGEST,
    Kept,
    adam_mini_blocks,
    blockwise,
    each_tensor,
    factors,
    low_bit,
    moments,
    shampoo_factors,
    soap_factors,
)
from llmplanner.core.optimizer_step import (
    Making,
    all_at_once,
    at_the_worst,
    in_fp32,
    in_own_format,
    newton_schulz,
    nothing,
    one_by_one,
)
from llmplanner.core.plan import Optimizer

TORCH = "PyTorch 2.13"
UNMEASURED = "Not measured: by its paper and its published code, shown as a tenth more or less."
COUNTED = "equal to what was counted in PyTorch 2.13, to the byte"
SIZES = "equal to what was counted on four tensors, to the byte"


@dataclass(frozen=True, slots=True)
class Rule:
    """One optimizer."""

    name: str  # for people
    kept: tuple[Kept, ...]
    made: Making
    source: str
    measured: str = ""  # how far off it was found to be; empty: nobody has looked
    note: str = ""


BITSANDBYTES = "bitsandbytes 0.50.2 (Dettmers et al. 2021, arXiv:2110.02861)"
TORCHAO = "torchao 0.14.1, torchao.optim"
FOREACH = "foreach, as PyTorch does where nothing else is asked for"

RULES = MappingProxyType(
    {
        Optimizer.ADAMW: Rule("AdamW", (moments(2),), all_at_once(1), f"{TORCH}, {FOREACH}", COUNTED),
        Optimizer.ADAMW_FUSED: Rule(
            "AdamW, fused", (moments(2), each_tensor("step counters")), nothing, f"{TORCH}, fused", COUNTED
        ),
        Optimizer.ADAMW_LOOP: Rule(
            "AdamW, one by one", (moments(2),), one_by_one(2), f"{TORCH}, foreach=False", COUNTED
        ),
        Optimizer.ADAMW_BF16: Rule(
            "AdamW, moments in BF16",
            (moments(2, size=BF16),),
            all_at_once(1),
            "DeepSeek-V3 (arXiv:2412.19437) section 3.3.2; its step as PyTorch's foreach",
            note=UNMEASURED,
        ),
        Optimizer.ADAMW_8BIT: Rule(
            "AdamW 8-bit", (blockwise(2),), nothing, f"{BITSANDBYTES}, AdamW8bit", SIZES
        ),
        Optimizer.PAGED_ADAMW_8BIT: Rule(
            "AdamW 8-bit, paged",
            (blockwise(2, paged=True),),
            nothing,
            f"{BITSANDBYTES}, PagedAdamW8bit",
            SIZES,
            "Pages move to the computer's memory where the device is full: down to the lower bound.",
        ),
        Optimizer.ADAMW_32BIT: Rule(
            "AdamW 32-bit of bitsandbytes",
            (moments(2, size=FP32),),
            nothing,
            f"{BITSANDBYTES}, AdamW32bit",
            SIZES,
        ),
        Optimizer.ADAMW_4BIT: Rule(
            "AdamW 4-bit",
            (low_bit("moments in 4 bits", 4, 128, 16),),
            nothing,
            f"{TORCHAO}.AdamW4bit (arXiv:2309.01507)",
            "1.06 bytes for each parameter, as counted on four tensors",
        ),
        Optimizer.ADAMW_FP8: Rule(
            "AdamW FP8",
            (low_bit("moments in FP8", 8, 256, 0),),
            nothing,
            f"{TORCHAO}.AdamWFp8",
            "2.03 bytes for each parameter, as counted on four tensors",
        ),
        Optimizer.ADAM_AMSGRAD: Rule(
            "Adam with AMSGrad",
            (moments(3, "moments and the largest second one"),),
            all_at_once(1),
            f"{TORCH}, amsgrad=True",
            COUNTED,
        ),
        Optimizer.ADAM_MINI: Rule(
            "Adam-mini",
            (
                moments(1, "first moment"),
                Kept(
                    "second moments of blocks",
                    lambda one: one.size * adam_mini_blocks(one),
                    "{size} × rows of {tensors}",
                ),
            ),
            one_by_one(2),
            "Zhang et al. 2024 (arXiv:2406.16793); each row of a matrix as a block, the most that it cuts",
            note=UNMEASURED,
        ),
        Optimizer.ADAMAX: Rule("Adamax", (moments(2),), all_at_once(1), f"{TORCH}, {FOREACH}", COUNTED),
        Optimizer.NADAM: Rule("NAdam", (moments(2),), all_at_once(1), f"{TORCH}, {FOREACH}", COUNTED),
        Optimizer.RADAM: Rule("RAdam", (moments(2),), all_at_once(1), f"{TORCH}, {FOREACH}", COUNTED),
        Optimizer.ADAGRAD: Rule(
            "Adagrad", (moments(1, "sums of squares"),), all_at_once(2), f"{TORCH}, {FOREACH}", COUNTED
        ),
        Optimizer.RMSPROP: Rule(
            "RMSprop", (moments(1, "mean squares"),), all_at_once(1), f"{TORCH}, {FOREACH}", COUNTED
        ),
        Optimizer.SGD: Rule("SGD", (), nothing, TORCH, COUNTED),
        Optimizer.SGD_MOMENTUM: Rule("SGD with momentum", (moments(1, "momentum"),), nothing, TORCH, COUNTED),
        Optimizer.LION: Rule(
            "Lion",
            (moments(1, "momentum", FP32),),
            nothing,
            "bitsandbytes 0.50.2, Lion32bit (Chen et al. 2023, arXiv:2302.06675)",
            SIZES,
        ),
        Optimizer.LION_8BIT: Rule("Lion 8-bit", (blockwise(1),), nothing, f"{BITSANDBYTES}, Lion8bit", SIZES),
        Optimizer.ADAFACTOR: Rule(
            "Adafactor (Transformers)",
            (factors(FP32), each_tensor("root mean squares")),
            partial(at_the_worst, in_fp32),
            "Transformers 5.23, Adafactor without beta1 (Shazeer and Stern 2018, arXiv:1804.04235)",
            COUNTED,
        ),
        Optimizer.ADAFACTOR_TORCH: Rule(
            "Adafactor (PyTorch)",
            (factors(None),),
            partial(at_the_worst, in_own_format),
            f"{TORCH}, torch.optim.Adafactor",
            COUNTED,
        ),
        Optimizer.MUON: Rule(
            "Muon, AdamW for the rest",
            MUON,
            newton_schulz,
            f"{TORCH}, torch.optim.Muon; embeddings, norms and head by AdamW (foreach)",
            COUNTED,
        ),
        Optimizer.SHAMPOO: Rule(
            "Shampoo",
            (
                moments(2, "filtered gradient and grafted second moment"),
                Kept(
                    "factors and their inverse roots",
                    shampoo_factors,
                    f"4 B × 2 × rows² + columns² of the blocks of at most {SHAMPOO_BLOCK:,} of {{tensors}}",
                ),
            ),
            all_at_once(1),
            "Distributed Shampoo (arXiv:2309.06497), its defaults, Adam grafted",
            note=UNMEASURED,
        ),
        Optimizer.SOAP: Rule(
            "SOAP",
            (
                moments(2),
                Kept(
                    "factors and their eigenvectors",
                    soap_factors,
                    f"4 B × 2 × (rows² + columns²) of {{tensors}}, of sides up to {SOAP_LARGEST:,}",
                ),
            ),
            one_by_one(4),
            "Vyas et al. 2024 (arXiv:2409.11321), its published code's defaults",
            note=UNMEASURED,
        ),
        Optimizer.GALORE: Rule(
            f"GaLore, rank {RANK}",
            GALORE,
            one_by_one(4),
            f"Zhao et al. 2024 (arXiv:2403.03507), galore_torch.GaLoreAdamW at rank {RANK}",
            note=UNMEASURED,
        ),
    }
)
