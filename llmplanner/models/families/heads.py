"""Models for a task: a family's body under a small head that tells classes apart or marks an answer.

Most families have the heads of one of a few kinds; the table names those that differ. Source: the classes of
Transformers 5.23.0; of reward models, the files beside their weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from llmplanner.core.model import Embedding, Head, Linear, Model, Module, Norm, NormKind, Parameter, Stack
from llmplanner.models.entries import Entries, shown
from llmplanner.models.families.dialect import Dialect, Part

M = TypeVar("M", Embedding, Linear, Norm, Parameter, Module)

LABELS = 0  # stands for as many outputs as the file tells classes apart
HIDDEN = -1  # and for as many as the hidden state has
USUAL_LABELS = 2
MOST_LABELS = 10_000_000


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix of a head; the first reads the hidden state."""

    name: str
    outputs: int = LABELS
    bias: bool | str = True  # or the entry that says so


@dataclass(frozen=True, slots=True)
class Task:
    """A head as data, and the body under it."""

    matrices: tuple[Matrix, ...]
    pooled: bool = False  # the pooler stays, where the family has one
    norm: str | None = None
    prefix: str | None = None  # of the body's tensors, where the language model has another
    part: Part = Part.BODY


def _dense(name: str, last: str, *, pooled: bool = False, prefix: str | None = None) -> Task:
    """Two matrices."""
    return Task((Matrix(name, HIDDEN), Matrix(last)), pooled, prefix=prefix)


Tasks = Mapping[str, Task | None]


def _table(default: Task | None, tasks: Tasks) -> Tasks:
    """Tasks by model_type; "" for all others."""
    named = {one: task for types, task in tasks.items() for one in types.split()}
    return named if default is None else {"": default, **named}


BERT_KIN = (
    "bert ernie megatron-bert roberta xlm-roberta camembert xlm-roberta-xl data2vec-text "
    "roberta-prelayernorm albert mpnet rembert longformer ibert roc_bert jina_embeddings_v3"
)
ROBERTA_KIN = (
    "roberta xlm-roberta camembert xlm-roberta-xl data2vec-text roberta-prelayernorm mpnet electra "
    "longformer ibert jina_embeddings_v3 roformer nystromformer mra yoso convbert esm"
)
POOLERLESS = "roformer nystromformer mra yoso convbert esm deberta deberta-v2 nomic_bert gte new"
ALWAYS_POOLED = "layoutlm big_bird"
T5_KIN = "t5 mt5 umt5"
BART_KIN = "bart mbart plbart mvp bigbird_pegasus led"
LLAMA_KIN = (  # whose class for questions calls the body "transformer"
    "llama qwen2 qwen3 qwen3_moe qwen3_next smollm3 arcee seed_oss internlm3 iquestcoder exaone4 diffllama "
    "ministral nemotron"
)
CLASSIFIER = Task((Matrix("classifier"),))
SUMMARY = "sequence_summary.summary"
MODERNBERT = Task((Matrix("head.dense", HIDDEN, "classifier_bias"), Matrix("classifier")), norm="head.norm")
MODERNBERT_DECODER = replace(
    MODERNBERT, matrices=(MODERNBERT.matrices[0], Matrix("classifier", bias="classifier_bias"))
)
QUESTION = Matrix("qa_outputs")
UNPREFIXED = {"gpt2": "transformer.", "bloom": "transformer."}  # their published language models are bodies

SEQUENCE = _table(
    Task((Matrix("score", bias=False),)),
    {
        "bert ernie albert megatron-bert layoutlm rembert roc_bert": replace(CLASSIFIER, pooled=True),
        "big_bird": _dense("classifier.dense", "classifier.out_proj", pooled=True),
        "deberta deberta-v2": _dense("pooler.dense", "classifier"),
        "nomic_bert": _dense("nomic_bert.pooler.dense", "classifier"),
        "gte": _dense("gte.pooler.dense", "classifier"),
        "new": _dense("new.pooler.dense", "classifier"),
        ROBERTA_KIN: _dense("classifier.dense", "classifier.out_proj"),
        T5_KIN: _dense("classification_head.dense", "classification_head.out_proj", prefix="transformer."),
        BART_KIN: _dense("classification_head.dense", "classification_head.out_proj"),
        "ctrl": Task((Matrix("classifier", bias=False),)),
        "xlnet": _dense(SUMMARY, "logits_proj"),
        "distilbert": _dense("pre_classifier", "classifier"),
        "eurobert": _dense("dense", "classifier"),
        "modernbert": MODERNBERT,
        "modernbert-decoder": MODERNBERT_DECODER,
    },
)
TOKENS = _table(
    Task((Matrix("score"),)),
    {
        f"{BERT_KIN} {POOLERLESS} electra distilbert eurobert xlnet falcon mpt biogpt bloom "
        "gpt2 gpt_neox gpt-sw3 gpt_neo gpt_bigcode": CLASSIFIER,
        ALWAYS_POOLED: replace(CLASSIFIER, pooled=True),
        T5_KIN: replace(CLASSIFIER, prefix="transformer.", part=Part.ENCODER),
        "modernbert": MODERNBERT,
    },
)
QUESTIONS = _table(
    Task((replace(QUESTION, outputs=2),)),
    {
        f"{BERT_KIN} electra gptj distilbert convbert deberta deberta-v2": Task((QUESTION,)),
        "layoutlm": Task((QUESTION,), pooled=True),
        "big_bird": None,  # a feed-forward block of its own
        T5_KIN: Task((QUESTION,), prefix=""),
        LLAMA_KIN: Task((replace(QUESTION, outputs=2),), prefix="transformer."),
        "modernbert": MODERNBERT,
        "xlnet": None,  # a search over pairs of starts and ends
    },
)
CHOICES = _table(
    None,
    {
        f"{BERT_KIN} big_bird roformer convbert": Task((Matrix("classifier", 1),), pooled=True),
        "deberta-v2": Task((Matrix("pooler.dense", HIDDEN), Matrix("classifier", 1))),
        "electra": Task((Matrix(SUMMARY, HIDDEN), Matrix("classifier", 1))),
        "xlnet": Task((Matrix(SUMMARY, HIDDEN), Matrix("logits_proj", 1))),
        "distilbert nystromformer mra yoso": Task(
            (Matrix("pre_classifier", HIDDEN), Matrix("classifier", 1))
        ),
        "modernbert": replace(MODERNBERT, matrices=(MODERNBERT.matrices[0], Matrix("classifier", 1))),
    },
)
NEXT = _table(None, {"bert ernie megatron-bert": Task((Matrix("cls.seq_relationship", 2),), pooled=True)})
TASKS: Mapping[str, Tasks] = {  # by the end of the class's name
    "ForSequenceClassification": SEQUENCE,
    "ForTokenClassification": TOKENS,
    "ForQuestionAnswering": QUESTIONS,
    "ForQuestionAnsweringSimple": _table(None, {"xlnet": Task((QUESTION,))}),
    "ForMultipleChoice": CHOICES,
    "ForNextSentencePrediction": NEXT,
    # Qwen2.5-Math-RM-72B, Qwen2.5-Math-PRM-7B, internlm2-7b-reward
    "ForProcessRewardModel": _table(Task((Matrix("score.0", HIDDEN), Matrix("score.2", 2))), {}),
    "ForRewardModel": _table(
        Task((Matrix("score.0", HIDDEN), Matrix("score.2", 1))),
        {"internlm2": Task((Matrix("v_head", 1, bias=False),))},
    ),
}


def task_of(model_type: str, name: str) -> Task | None:
    """The task that a class is for, by the end of its name; None where it is for none that is known."""
    table = next((table for end, table in TASKS.items() if name.endswith(end)), None)
    return None if table is None else table.get(model_type, table.get(""))


def build(dialect: Dialect, entries: Entries, task: Task) -> Model:
    """The body and its head. Raises BadInput."""
    body = dialect.build(entries, task.part)
    prefix = _prefix(dialect, entries, body) if task.prefix is None else task.prefix
    model = _prefixed(body, prefix)
    return replace(
        model,
        head=Head(None, tied=False),
        pooler=model.pooler if task.pooled else None,
        pair_head=None,
        extras=(*model.extras, *_modules(task, entries, model.hidden_size)),
    )


def _prefix(dialect: Dialect, entries: Entries, body: Model) -> str:
    """What the names of the body's tensors begin with inside the language model."""
    if dialect.model_type in UNPREFIXED:
        return UNPREFIXED[dialect.model_type]
    whole, own = dialect.build(entries, Part.LANGUAGE_MODEL).token_embedding.name, body.token_embedding.name
    return whole.removesuffix(own) if whole.endswith(own) else ""


def _modules(task: Task, entries: Entries, hidden: int) -> tuple[Module, ...]:
    widths = {LABELS: _labels(entries), HIDDEN: hidden}
    matrices = tuple(
        Linear(
            one.name,
            hidden,
            widths.get(one.outputs, one.outputs),
            entries.flag(one.bias) if isinstance(one.bias, str) else one.bias,
        )
        for one in task.matrices
    )
    if task.norm is None:
        return matrices
    return (*matrices, Norm(task.norm, NormKind.LAYER, hidden, bias=entries.flag("norm_bias")))


def _labels(entries: Entries) -> int:
    """How many classes the file tells apart: as many as it names, else as it says, else two."""
    named = entries.values.get("id2label")
    if named is None:
        return entries.optional_size("num_labels", MOST_LABELS) or USUAL_LABELS
    if not isinstance(named, dict) or not named:
        raise entries.refuse("id2label", f"is {shown(named)}; it must be a table of classes, or be taken out")
    return len(named)


def _prefixed(model: Model, prefix: str) -> Model:
    """The same model with the names of all its tensors after a prefix."""

    def named(module: M) -> M:
        return replace(module, name=prefix + module.name)

    def stacked(stack: Stack) -> Stack:
        final = None if stack.final_norm is None else named(stack.final_norm)
        return replace(stack, prefix=prefix + stack.prefix, final_norm=final)

    return replace(
        model,
        token_embedding=named(model.token_embedding),
        embeddings=tuple(named(one) for one in model.embeddings),
        embedding_norm=None if model.embedding_norm is None else named(model.embedding_norm),
        embedding_norms_by_stack=tuple(named(one) for one in model.embedding_norms_by_stack),
        projections=tuple(named(one) for one in model.projections),
        pooler=None if model.pooler is None else named(model.pooler),
        extras=tuple(named(one) for one in model.extras),
        stacks=tuple(stacked(one) for one in model.stacks),
    )
