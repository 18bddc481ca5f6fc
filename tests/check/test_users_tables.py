"""Tables that people bring: few columns, odd cells, measurements of 0."""

import csv
import io
from pathlib import Path

import pytest

from llmplanner.check.answer import Answers, Kind
from llmplanner.check.kinds import FILES, kind_named, kind_of
from llmplanner.check.lookup import Lookup
from llmplanner.check.published_run import length
from llmplanner.check.published_training import COLUMN, answer
from llmplanner.check.run import Report, check
from llmplanner.core.errors import BadInput
from tests.reference import needs_reference, rows

RUN = {
    "framework": "of my own", "model": "llama-3.1-8b", "config": "llama-3.1-8b", "method": "full",
    "quant_or_dtype": "bf16", "optimizer": "adamw", "batch_size": "1", "seq_len": "2048",
    "grad_checkpointing": "no", "gpu": "H100 80GB", "n_gpus": "1", "unit": "GiB",
}  # fmt: skip
PACKED = {"method": "qlora", "quant_or_dtype": "bnb.nf4", "lora_rank": "8", "grad_checkpointing": "yes"}
NOWHERE = Lookup(Path("nowhere"))


def checked(folder: Path, *lines: str) -> Report:
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return check(path)


def outputs(report: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(report.written())))


def said(kind: Kind, row: dict[str, str]) -> Answers | str:
    try:
        return kind.answer(row, NOWHERE)
    except BadInput as error:
        return str(error)


# Rows that are no runs


@pytest.mark.parametrize(
    "change",
    [
        *({"batch_size": cell} for cell in ("0", "-1", "1.5", "1e9", "9" * 5000)),
        *({"seq_len": cell} for cell in ("0", "-2048", "999999999", "32k", "٣")),
        *({"gpu": cell} for cell in ("Foo 12GB", "RTX 9999 24GB", "8x Foo HBM3e 80GB", "Foo")),
        *({"n_gpus": cell} for cell in ("0", "-8")),
        {"other": "grad_accum=0"},
        {"lora_rank": "-8", "method": "lora"},
    ],
    ids=str,
)
def test_what_is_no_run_is_not_answered(change: dict[str, str]) -> None:
    with pytest.raises(BadInput) as raised:
        answer(RUN | change, NOWHERE)
    (column,) = (name for name in change if name != "method")
    assert column in str(raised.value) or raised.value.field == column
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("cell", ["2048", "2048.0", "2,048", "2048 max", "<= 2048 (padded)", "2048-token"])
def test_a_length_is_read_as_people_write_it(cell: str) -> None:
    assert length({"seq_len": cell}) == 2048


@pytest.mark.parametrize(
    "gpu",
    [
        *("", "not stated (80 GiB class)", "GPU 640GB", "8x H100 80GB", "A100-SXM4-80G", "NVIDIA L40S"),
        *("H100 96GB HBM2e", "RTX 4060Ti 16 GB", "RTX3090", "TITAN RTX", "A6000 48GB", "V100-32GB", "TPU v4"),
    ],
)
def test_cards_that_there_are_are_answered(gpu: str) -> None:
    assert answer(RUN | {"gpu": gpu}, NOWHERE)[COLUMN].predicted


def test_words_that_say_neither_yes_nor_no_are_not_answered(tmp_path: Path) -> None:
    for column, unit in (("size_MiB", 2**20), ("published_GiB", 2**30)):
        yes, no, maybe = outputs(
            checked(
                tmp_path,
                f"model,ftype,imatrix,{column}",
                *(f"llama-3.1-8b,Q2_K,{word}," for word in ("yes", "no", "maybe")),
            )
        )
        assert float(yes[f"predicted_{column}"]) * unit > 2**30
        assert float(no[f"predicted_{column}"]) * unit > 2**30
        assert maybe[f"predicted_{column}"] == ""
        assert "imatrix is 'maybe'" in maybe["note"]


# Measurements of which no error can be taken


def test_no_error_is_taken_of_a_measured_nothing(tmp_path: Path) -> None:
    found = checked(
        tmp_path, "model,ftype,size_MiB", *(f"llama-3.1-8b,Q8_0,{cell}" for cell in ("0", "8137.64", "nan"))
    )
    (size,) = found.summaries
    assert (size.rows, size.answered, size.worst_row) == (2, 1, 2)
    assert size.worst_error is not None
    assert size.worst_error < 0.001
    notes = [row["note"] for row in outputs(found)]
    assert notes[0] == "size_MiB is 0, of which no error is taken."
    assert notes[1] == ""
    assert "no measurement" in notes[2]


# Columns


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ("model,ftype,size_MiB", "llamacpp_quant_sizes"),
        ("model,ftype,imatrix,size_MiB", "llamacpp_quant_sizes"),
        ("model,ftype", "llamacpp_quant_sizes"),
        ("model,ftype,published_GiB", "published_quant_sizes"),
        ("model,ftype,what", "published_quant_sizes"),
        ("name,total", "params"),
        ("name,model_type", "params"),
        ("name,batch,tokens,bytes", "kv"),
        ("model,n_ctx,context_MiB", "llamacpp_memory_cpu"),
        ("engine,model,n_ctx,kv_total_MiB", "measured_inference"),
        ("model,method,batch_size,seq_len,unit,peak_mem_per_gpu", "measured_training"),
    ],
)
def test_a_kind_is_told_by_what_it_needs(columns: str, name: str) -> None:
    assert kind_of(tuple(columns.split(","))).name == name


@pytest.mark.parametrize(
    "lines",
    [
        ("name,total", "llama-3.1-8b,8030261248"),
        ("name,batch,tokens,bytes", "llama-3.1-8b,1,64,8388608"),
        ("model,n_ctx,context_MiB", "llama-3.1-8b,4096,512"),
        ("engine,model,n_ctx,kv_total_MiB", "llama.cpp,llama-3.1-8b,4096,512"),
    ],
    ids=lambda lines: lines[0],
)
def test_the_fewest_columns_are_answered_rightly(tmp_path: Path, lines: tuple[str, str]) -> None:
    found = checked(tmp_path, *lines)
    assert found.summaries[0].worst_error == 0


def test_a_run_is_of_its_config_or_else_of_its_model() -> None:
    alone = {name: cell for name, cell in RUN.items() if name not in {"config", "framework", "n_gpus"}}
    assert answer(alone, NOWHERE)[COLUMN] == answer(RUN, NOWHERE)[COLUMN]


@needs_reference
@pytest.mark.parametrize("name", FILES)
def test_whatever_column_is_missing_a_row_is_answered_or_says_why(name: str) -> None:
    kind, row = kind_named(name), rows(f"{name}.csv")[0]
    for column in row:
        rest = {each: cell for each, cell in row.items() if each != column}
        assert said(kind, rest)


# What frameworks may do


def test_a_packed_base_may_be_cast_as_peft_does() -> None:
    """By PEFT's prepare_model_for_kbit_training: embeddings, head and norms in FP32, the head in BF16 too."""
    row = RUN | PACKED | {"method": "lora", "seq_len": "64", "metric_meaning": "max_memory_allocated"}
    known = row | {"framework": "ms-swift", "lora_targets": "ALL"}
    stated = row | {"lora_targets": "all"}
    upcast, plain = (answer(each, NOWHERE)[COLUMN] for each in (known, stated))
    assert plain.predicted is not None
    assert upcast.high is not None
    assert plain.high is not None
    wide = 128_256 * 4096 * (2 * 2 + 2) / 2**30  # embedding and head beyond 16 bits, the head once more
    assert plain.high - plain.predicted > wide
    assert plain.predicted < upcast.high < plain.high
