"""Plan files: what is written comes back, what is broken says so, nothing half-written stays."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmplanner.compose import model_named
from llmplanner.core.errors import BadInput
from llmplanner.plan_fields import FIELDS
from llmplanner.plans import Draft, changed, precision_of, read, write


def test_a_plan_comes_back_as_it_was(tmp_path: Path) -> None:
    draft = Draft(model="some/config.json", config={"model_type": "llama", "layers": [1]}, batch=7, tp=2)
    path = tmp_path / "new folder" / "a plan.llmplan.json"
    write(path, draft)
    assert read(path) == draft
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@given(context=st.integers(1, 10**9), efficiency=st.floats(0.001, 1), count=st.none() | st.integers(1, 10**6))
def test_numbers_survive_the_file(
    tmp_path_factory: pytest.TempPathFactory, context: int, efficiency: float, count: int | None
) -> None:
    path = tmp_path_factory.mktemp("plans") / "plan.json"
    draft = Draft(context=context, efficiency=efficiency, count=count)
    write(path, draft)
    assert read(path) == draft


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not whole JSON"),
        ('{"llmplanner_plan": 1, "batch"', "not whole JSON"),
        ("[" * 100_000, "not a plan file"),
        ("[]", "llmplanner_plan"),
        ('{"llmplanner_plan": 2}', "update LLM Planner"),
        ('{"llmplanner_plan": 1, "colour": 3}', "colour"),
        ('{"llmplanner_plan": 1, "batch": "many"}', "batch"),
        ('{"llmplanner_plan": 1, "batch": -4}', "Sequences at once cannot be -4"),
        ('{"llmplanner_plan": 1, "task": "dance"}', "it takes serve, finetune, pretrain"),
        ('{"llmplanner_plan": 1, "efficiency": 7}', "Efficiency"),
    ],
)
def test_a_broken_plan_file_says_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "broken.llmplan.json"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        read(path)
    assert path.name in str(caught.value)
    assert words in str(caught.value)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.llmplan.json"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    with pytest.raises(BadInput, match="too large"):
        read(path)


def test_a_folder_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(BadInput, match="cannot be written"):
        write(blocked / "plan.json", Draft())
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan.json"
    write(path, Draft(batch=3))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("llmplanner.plans.os.fsync", full)
    with pytest.raises(BadInput, match="No space left"):
        write(path, Draft(batch=4))
    assert json.loads(path.read_text())["batch"] == 3
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("context", "32k", 32_768),
        ("tokens", "1.4T", 1_400_000_000_000),
        ("tokens", "auto", None),
        ("efficiency", "0,35", 0.35),
        ("weights", "INT8", "int8"),
        ("weights", "F16", "fp16"),
        ("weights", "torch.bfloat16", "bf16"),
        ("kv", "fp8", "fp8-e4m3"),
        ("weights", "IQ4-XS", "iq4_xs"),
        ("weights", "gptq_4bit_g128", "gptq-4bit-g128"),
        ("weights", "Q4_K", "q4_k_m"),
        ("precision", "float32", "fp32"),
        ("model", " llama-2-7b ", "llama-2-7b"),
    ],
)
def test_a_field_takes_what_a_person_types(name: str, text: str, value: object) -> None:
    assert getattr(changed(Draft(), name, text), name) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("batch", "-1"),
        ("batch", "0"),
        ("batch", "two"),
        ("batch", "nan"),
        ("zero", "4"),
        ("context", "1e30"),
        ("efficiency", "0"),
        ("task", "sing"),
        ("no_such_field", "1"),
    ],
)
def test_a_wrong_entry_names_its_field(name: str, text: str) -> None:
    with pytest.raises(BadInput) as caught:
        changed(Draft(), name, text)
    assert caught.value.field == name


def test_every_field_of_the_table_is_one_of_the_draft() -> None:
    draft = Draft()
    assert all(hasattr(draft, name) for name in FIELDS)


LONG = "z\x1b[2J\n\u202e" * 10_000


@pytest.mark.parametrize(
    "entries",
    [
        {"llmplanner_plan": LONG},
        {"llmplanner_plan": [[LONG]]},
        {LONG: 1},
        *({name: LONG} for name in ("task", "engine", "weights", "kv", "batch")),
        *({name: LONG} for name in ("model", "gpu")),
        {"checkpoint": {"label": LONG, "amounts": [], "source": "", "exact": True}},
        {"batch": 10**300},
        {"changes": {LONG: 1}},
        {"changes": {"layers": 10**300}},
    ],
    ids=lambda entries: next(iter(entries))[:20].strip("\x1b\n"),
)
def test_what_strangers_wrote_is_quoted_short_and_plain(tmp_path: Path, entries: dict[str, object]) -> None:
    path = tmp_path / "plan\x1b[2J.llmplan.json"
    path.write_text(json.dumps({"llmplanner_plan": 1, **entries}))
    with pytest.raises(BadInput) as caught:
        read(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
    assert len(caught.value.field or "") < 100


def test_the_name_of_a_model_in_a_plan_is_told_short_and_plain() -> None:
    with pytest.raises(BadInput) as caught:
        model_named(LONG, {"model_type": "llama", "architectures": [[]]})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_the_usual_precision_follows_the_method() -> None:
    assert precision_of(Draft(task="finetune")) == "bf16-mixed"
    assert precision_of(Draft(task="finetune", method="lora")) == "bf16"  # the base; adapters in FP32
    assert precision_of(Draft(task="finetune", method="qlora")) == "bf16-mixed"
    assert precision_of(Draft(task="pretrain", method="lora")) == "bf16-mixed"  # in full, whatever is kept
    assert precision_of(Draft(task="finetune", method="lora", precision="fp32")) == "fp32"


@pytest.mark.parametrize(
    ("text", "gib"), [("16", 16), ("16 GiB", 16), ("0.5GiB", 0.5), ("17.179869184 GB", 16)]
)
def test_memory_of_the_computer_is_read_with_its_unit(text: str, gib: float) -> None:
    assert changed(Draft(), "host_memory", text).host_memory == pytest.approx(gib)


@pytest.mark.parametrize(
    ("field", "value", "place"),
    [
        ("tensor_split", [3, 1], "tensor_split"),
        ("context", "8k", "context"),
        ("changes", {"a": "b"}, "changes"),
    ],
)
def test_a_field_of_another_type_is_named_in_plain_words(
    tmp_path: Path, field: str, value: object, place: str
) -> None:
    path = tmp_path / "plan.llmplan.json"
    path.write_text(json.dumps({"llmplanner_plan": 1, field: value}), encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        read(path)
    assert caught.value.field == place
    assert f"a plan's {place}" in str(caught.value)
    assert "`" not in str(caught.value)
