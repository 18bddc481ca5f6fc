"""The page docs/accuracy.md as text."""

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.accuracy.scores import Entry, Line, Score
from benchmarks.reference import REFERENCE

WORST = 8  # rows that a table of the worst has
REASONS = 4  # that are told of rows without an answer
SMALLEST = 0.00005  # error that two decimals of a per cent show
HEAD = """\
# Accuracy

Written by `python -m benchmarks.accuracy`. Every number is what `llmplanner check TABLE.csv` answers to a
table of measurements: errors are |predicted - measured| / measured. Formulas follow from what programs do;
none has a factor fitted to these rows, but for the bytes that vLLM's sampler takes of a logit, which are
those of its logs. Many rules were found by looking at some of them, so the errors are
in-sample, and a family or a framework that is not in the tables may be further off; of published training
runs above all: [what was chosen with those rows in view](training-runs.md).

![Errors, ours and those of other planners](accuracy.png)

## All rows

`in bounds` is the share of measurements that lie within the bounds that the estimate states; what is counted
exactly has none.
"""
PEERS = """\
## Beside other planners

Each planner on the rows that it answers, and ours on the same rows: medians and 90th percentiles. They were
asked through their own functions, offline, with the same config or the same sizes. `textbook` is 12 L d² and
the embedding for parameters, parameters times the bits in a type's name for files, 2 L d s at 16 bits for
keys and for values, and 16 bytes for each parameter with Korthikanti et al. 2022, equation 2, for training.
"""
ASKED = {
    "accelerate": "`accelerate estimate-memory`: the model built without weights from its config, in FP32; "
    "training by its column for Adam and a batch of one. Adapters are not answered.",
    "deepspeed": "`estimate_zero2_model_states_mem_needs` without offload: weights, gradients and Adam's "
    "state; activations are left to the user.",
    "fitcheck-llm": "dense decoders whose config uses Llama's names; of training, AdamW. Its overhead beside "
    "tensors was taken out where tensors alone were measured.",
    "hf-mem": "the experimental KV cache. It takes weights from the file's own header on the hub, as is done "
    "here, so they are not compared.",
    "llm-analysis": "given the feed-forward's width, which it does not read from a config.json itself; it "
    "runs with Transformers 4.31 alone.",
    "whichllm": "given the exact count of parameters; its KV cache goes by parameters and context.",
    "textbook": "given the exact sizes.",
}


def page(lines: Sequence[Line], versions: Mapping[str, str]) -> str:
    """The whole page."""
    parts = [HEAD, _summary(lines), PEERS, _peers(lines), _asked(versions), *map(_details, lines)]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _summary(lines: Sequence[Line]) -> str:
    heading = ("kind", "what", "rows", "answered", "median", "90 %", "worst", "in bounds")
    rows = []
    shown = ""
    for line in lines:
        topic, ours = line.topic, line.score
        linked = f"[{topic.title}](#{topic.anchor})"
        coverage = "" if line.coverage is None else f"{100 * line.coverage:.0f} %"
        kind = topic.heading if topic.heading != shown else ""
        shown = topic.heading
        rows.append((kind, linked, f"{len(line.entries):,}", f"{ours.answered:,}", *_errors(ours), coverage))
    return table(heading, rows, "llrrrrrr")


def _peers(lines: Sequence[Line]) -> str:
    heading = ("what", "planner", "rows", "its median", "its 90 %", "our median", "our 90 %")
    rows = []
    for line in lines:
        title = line.topic.title
        for peer in sorted(line.peers, key=lambda one: one.theirs.median or 0.0):
            pairs = (peer.theirs, peer.ours)
            numbers = [percent(error) for one in pairs for error in (one.median, one.p90)]
            rows.append((title, peer.name, f"{peer.theirs.answered:,}", *numbers))
            title = ""
    return table(heading, rows, "llrrrrr")


def _asked(versions: Mapping[str, str]) -> str:
    lines = [f"- {name} ({version}): {ASKED[name]}" for name, version in versions.items()]
    return "\n".join(["How they were asked, and what was left out:", "", *lines])


def _details(line: Line) -> str:
    """A topic's worst rows, and why some are not answered."""
    topic = line.topic
    parts = [f'<a id="{topic.anchor}"></a>', "", f"## {topic.heading}: {topic.title}", ""]
    parts.append(f"`{topic.table}.csv`, column `{topic.column}`. {topic.why}".rstrip())
    if line.worst:
        heading = ("row", "what", "measured", "predicted", "bounds", "error")
        parts += ["", table(heading, [_row(one) for one in line.worst[:WORST]], "rlrrrr").rstrip()]
    elif line.score.answered:
        parts += ["", "All answered rows are exact."]
    if line.reasons:
        missing = len(line.entries) - line.score.answered
        parts += ["", f"Not answered, {missing:,} rows:", "", *_reasons(line)]
    return "\n".join(parts)


def _reasons(line: Line) -> Iterator[str]:
    for reason, times in line.reasons[:REASONS]:
        yield f"- {times:,}: {_plain(reason) or 'nothing is predicted for this column of the row.'}"
    rest = sum(times for _, times in line.reasons[REASONS:])
    if rest:
        yield f"- {rest:,}: other reasons, which `-o OUT.csv` writes beside each row."


def _row(one: Entry) -> tuple[str, ...]:
    assert one.predicted is not None  # noqa: S101 - the worst rows are answered
    bounds = "" if one.low is None or one.high is None else f"{number(one.low)} to {number(one.high)}"
    label = _plain(one.label)
    return (
        f"{one.number:,}",
        label,
        number(one.measured),
        number(one.predicted),
        bounds,
        signed(one.error or 0.0),
    )


def table(heading: Sequence[str], rows: Sequence[Sequence[str]], sides: str) -> str:
    """A table of Markdown; `sides` has an "r" for each column that ends flush."""
    rules = ["---:" if side == "r" else "---" for side in sides]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in (heading, rules, *rows))


def percent(error: float | None) -> str:
    """An error as people read it."""
    if error is None:
        return ""
    if error == 0:
        return "exact"
    return f"{100 * error:,.2f} %" if error >= SMALLEST else "< 0.01 %"


def signed(error: float) -> str:
    """An error with its direction: + where too much was predicted."""
    return f"{100 * error:+,.2f} %" if abs(error) >= SMALLEST else "< 0.01 %"


def number(amount: float) -> str:
    """A count or an amount: whole where it is large."""
    return f"{amount:,.0f}" if abs(amount) >= 10_000 or amount == int(amount) else f"{amount:,.2f}"  # noqa: PLR2004 - decimals matter below


def _errors(score: Score) -> tuple[str, str, str]:
    return percent(score.median), percent(score.p90), percent(score.worst)


def _plain(text: str) -> str:
    """Text as a cell of Markdown holds it, without the place where the tables lay."""
    return text.replace(str(REFERENCE), "the reference folder").replace("|", "\\|")
