"""What PyTorch had allocated at most while Transformers served a model (measured_inference.csv).

Qwen's pages generate 2,048 tokens from a prompt of one and print max_memory_allocated in GiB, which they call
GB. Their code returns a new cache of tuples while it is still given the old one, as Transformers did before
4.36, so keys and values count twice. Tensors and cuBLAS's workspace are predicted, without a CUDA context.
AutoAWQ and exllama have kernels, caches and a way of loading of their own, which are not estimated.
"""

import re
from collections.abc import Iterator

from benchmarks.accuracy.scores import Entry
from llmplanner.check.answer import Row
from llmplanner.check.lookup import Lookup
from llmplanner.core.engine import Transformers
from llmplanner.core.errors import BadInput
from llmplanner.core.estimating import estimate
from llmplanner.core.formats import FP16
from llmplanner.core.machine import Device, Machine
from llmplanner.core.plan import Plan, Serve, Split
from llmplanner.core.recipes import stored_as
from llmplanner.core.terms.runtime import CUBLAS

GIB = 2**30
DEVICE = Device("GPU", 2**40, 2**40)
NAMES = (  # what a row's model begins with, and the config
    ("qwen-1.8b", "qwen-1.8b"),
    ("qwen-7b", "qwen-7b"),
    ("qwen-72b", "qwen-72b"),
)
STORED = (("int8 gptq", "gptq-8bit-g128"), ("int4 gptq", "gptq-4bit-g128"))


def entries(number: int, label: str, row: Row, models: Lookup) -> Iterator[Entry]:
    """The row's total in GiB, where it states one that was measured."""
    found = re.match(r"([\d.]+)(?: \(\dxA100\))? GB", row.get("measured_total", ""))
    if found is None or "ESTIMATE" in row.get("kind", ""):
        return
    measured = float(found.group(1))
    try:
        low, amount, high = (size / GIB for size in _predicted(row, models))
    except BadInput as error:
        yield Entry(number, label, measured, None, note=str(error))
        return
    yield Entry(number, label, measured, amount, low, high)


def _predicted(row: Row, models: Lookup) -> tuple[int, int, int]:
    """Low, predicted and high bytes, of all devices together. Raises BadInput."""
    if not row["engine"].lower().startswith("transformers"):
        raise BadInput(f"{row['engine']} is not an engine that is estimated.")
    called = f"{row['model']} {row['quant']}".lower()
    name = next((name for start, name in NAMES if called.startswith(start)), None)
    if name is None:
        raise BadInput("No config of this model is at hand.")
    prompt, context = _lengths(row["n_ctx"])
    model = models.model(name)
    recipe = next((key for words, key in STORED if words in called), None)
    held = FP16 if recipe is None else stored_as(model, recipe)
    workload = Serve(context, int(row["n_seq"] or 1), prompt)
    plan = Plan(model, workload, Machine((DEVICE,)), Split(), held, Transformers(all_logits=True))
    phases = estimate(plan).devices[0].phases
    fullest = max(phases, key=lambda phase: int(phase.bytes))
    terms = [term for term in fullest.terms if term.name != "runtime"]
    old = sum(int(term.bytes) for term in terms if term.name == "kv_cache")
    beside = (old + int(CUBLAS.low), old + int(CUBLAS.bytes), old + int(CUBLAS.high))
    sums = (sum(int(getattr(term, end)) for term in terms) for end in ("low", "bytes", "high"))
    low, amount, high = (size + more for size, more in zip(sums, beside, strict=True))
    return low, amount, high


def _lengths(cell: str) -> tuple[int, int]:
    """Tokens of the prompt and of all. Raises BadInput."""
    generated = re.match(r"(\d+) generated", cell)
    if generated:
        return 1, 1 + int(generated.group(1))
    raise BadInput("The row does not say how many tokens went in and came out.")
