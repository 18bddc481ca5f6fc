"""Feeds mutated configs to the reader and to two estimates: python -m benchmarks.fuzz_configs [COUNT [SEED]].

The seeds are the configs of the reference folder and those of the catalogue. Each input is read as
models.config reads a file, then planned once for serving and once for training. A finding is as in
fuzz_headers.py.
"""

import copy
import functools
import json
import random
import sys
from collections.abc import Callable, Iterator

from benchmarks.fuzz_headers import TABLES
from benchmarks.fuzzing import run, tried
from llmplanner import compose
from llmplanner.core.errors import BadInput
from llmplanner.core.estimating import estimate
from llmplanner.core.machine import Machine
from llmplanner.models import catalogue, config
from llmplanner.plans import Draft
from tests.reference import REFERENCE

VALUES: tuple[object, ...] = (
    *(None, True, False, 0, 1, 2, 3, 7, -1, 64, 10**4, 10**7, 2**31, 2**63, 10**30, 10**308),
    *(0.5, -0.5, 1e308, float("inf"), "", "auto", "a", "llama", "full_attention", "\ud800\u202e<b>"),
    *([], [0], [1, 2], [None], ["a"], [[]], [{}], ["sliding_attention", "full_attention"], [7] * 3000),
    *({}, {"a": 1}, {"model_type": "qwen3"}, {"default": []}),
)
"""What an entry may be replaced by."""

SERVE = Draft(gpu="rtx-4090", context=64)
TRAIN = Draft(task="finetune", gpu="rtx-4090", sequence=32)


def seeds() -> Iterator[dict[str, object]]:
    """Configs of released models."""
    for path in sorted((REFERENCE / "configs").glob("*.json")):
        yield config.read(path)
    for entry in catalogue.entries():
        yield entry.config


def tables(value: object) -> Iterator[dict[str, object] | list[object]]:
    """The tables and lists inside, itself first."""
    if isinstance(value, dict | list) and value:
        yield value
        for inner in value.values() if isinstance(value, dict) else value[:20]:
            yield from tables(inner)


def mutated(seed: dict[str, object], others: list[dict[str, object]], chance: random.Random) -> bytes:
    """The same with one to four changes, as a file holds it."""
    table = copy.deepcopy(seed)
    for _ in range(chance.randint(1, 4)):
        place = chance.choice(list(tables(table)) or [table])
        if isinstance(place, list):
            place[chance.randrange(len(place))] = copy.deepcopy(chance.choice(VALUES))
            continue
        name = chance.choice(list(place) or ["a"])
        match chance.randrange(7):
            case 0 | 1:
                place[name] = copy.deepcopy(chance.choice(VALUES))
            case 2:
                place.pop(name, None)
            case 3:
                other = chance.choice(others)
                taken = chance.choice(list(other))
                place[taken] = copy.deepcopy(other[taken])
            case 4:
                place["quantization_config"] = copy.deepcopy(chance.choice(TABLES))
            case 5:
                size = place.get(name)
                if isinstance(size, int):
                    place[name] = chance.choice((size - 1, size + 1, 2 * size, size // 2, -size, str(size)))
            case _:
                place["model_type"] = chance.choice(others).get("model_type")
    return json.dumps(table).encode()


def planned(content: bytes) -> Callable[[], object]:
    """Reads a config and makes two plans of it. Where one is refused, so is the other at times."""

    def work() -> None:
        table = config.parsed(content, "config.json")
        model = config.from_config(table, "a", "config.json")
        for draft in (SERVE, TRAIN):
            try:
                estimate(compose.plan_of(draft, model, machine()))
            except BadInput as error:
                if "\n" in str(error):
                    raise ValueError("a sentence of two lines") from error

    return work


@functools.cache
def machine() -> Machine:
    """Where both plans run."""
    return compose.machine_named(SERVE, None)


def main() -> int:
    """Runs so many inputs."""
    others = list(seeds())

    def case(_number: int, chance: random.Random) -> tuple[bytes, str | None]:
        content = mutated(chance.choice(others), others, chance)
        return content, tried(planned(content), (BadInput,))

    return run(case, "config")


if __name__ == "__main__":
    sys.exit(main())
