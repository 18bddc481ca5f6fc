"""Tables of others' measurements, predicted row by row: what comes out, and how far off it is."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmplanner.check.run import Report, check
from llmplanner.check.summary import Summary
from llmplanner.core.errors import BadInput
from tests.reference import REFERENCE, needs_reference

CONFIG = """{"model_type": "gpt2", "n_embd": 768, "n_head": 12, "n_layer": 12, "vocab_size": 50257,
"n_positions": 1024}"""
GPT2 = 124_439_808  # parameters, openai-community/gpt2


def table(folder: Path, *lines: str) -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def beside(folder: Path) -> Path:
    """A folder with one model, in a folder inside it."""
    (folder / "configs").mkdir(exist_ok=True)
    (folder / "configs" / "tiny.json").write_text(CONFIG, encoding="utf-8")
    return folder


def outputs(report: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(report.written())))


def named(report: Report) -> dict[str, Summary]:
    return {one.column: one for one in report.summaries}


@needs_reference
@pytest.mark.parametrize(
    ("name", "columns"),
    [("params", ("total", "active", "embedding")), ("kv", ("bytes",))],
)
def test_what_is_counted_is_exact(name: str, columns: tuple[str, ...]) -> None:
    found = check(REFERENCE / f"{name}.csv")
    assert found.kind.name == name
    for one in found.summaries:
        assert one.column in columns
        assert one.answered == one.rows == len(found.rows)
        assert one.worst_error == 0
        assert one.band_coverage is None


@needs_reference
def test_published_files_are_near_todays_sizes() -> None:
    (one,) = check(REFERENCE / "published_quant_sizes.csv").summaries
    assert one.median_error is not None
    assert one.median_error < 0.002
    assert one.p90_error is not None
    assert one.p90_error < 0.01
    assert one.band_coverage is not None
    assert one.band_coverage >= 0.8


@needs_reference
def test_a_table_without_its_measurements_is_answered_all_the_same(tmp_path: Path) -> None:
    path = table(tmp_path, "name,model_type,kind", "gpt2,gpt2,decoder", "llama-2-7b,llama,decoder")
    found = check(path, REFERENCE)
    assert [row["predicted_total"] for row in outputs(found)] == [str(GPT2), "6738415616"]
    assert named(found)["total"] == Summary("total", 2, 2, None, None, None, None, None, None)


def test_rows_keep_their_order_and_say_why_there_is_no_answer(tmp_path: Path) -> None:
    path = table(
        beside(tmp_path),
        "name,model_type,kind,total,active,embedding,remark",
        f'tiny,gpt2,decoder,{GPT2},{GPT2},39383808,"a, ""quoted"" cell"',
        "no-such-model,gpt2,decoder,5,5,5,",
        f"tiny,gpt2,decoder,{GPT2 * 2},-3,n/a,",
        "tiny,gpt2,decoder",
        ",gpt2,decoder,1,1,1,",
    )
    found = check(path)
    rows = outputs(found)
    assert [row["name"] for row in rows] == ["tiny", "no-such-model", "tiny", "tiny", ""]
    assert rows[0]["remark"] == 'a, "quoted" cell'
    assert [row["predicted_total"] for row in rows] == [str(GPT2), "", str(GPT2), "", ""]
    assert rows[0]["note"] == ""
    assert "put its config.json there" in rows[1]["note"]
    assert "active is '-3', which is no measurement" in rows[2]["note"]
    assert "3 cells and the header 7" in rows[3]["note"]
    assert "name is empty" in rows[4]["note"]
    total = named(found)["total"]
    assert (total.rows, total.answered, total.worst_error, total.worst_row) == (4, 2, 0.5, 3)
    assert named(found)["active"].rows == 3


def test_a_checked_table_can_be_checked_again(tmp_path: Path) -> None:
    path = table(
        beside(tmp_path), "name,model_type,note,total", f"tiny,gpt2,of theirs,{GPT2}", "none,gpt2,theirs,1"
    )
    once = check(path).written()
    path.write_text(once, encoding="utf-8")
    assert check(path).written() == once
    assert once.splitlines()[1] == f"tiny,gpt2,{GPT2},{GPT2},{GPT2},39383808,of theirs"
    assert once.splitlines()[2].split(",", 6)[6].startswith("theirs; No model")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"colour,weight\nx,1\n", "no kind of table"),
        (b"name,size\nx,1\n", "no kind of table"),
        (
            b"model,size_MiB\nx,1\n",
            "llamacpp_quant_sizes without the column ftype, which the prediction needs",
        ),
        (b"name,tokens,bytes\nx,1,1\n", "kv without the column batch"),
        (b"method,batch_size,seq_len,unit\nx,1,1,GB\n", "without the column config or model"),
        (b"name,name\nx,1\n", "two columns 'name'"),
        (b"name;model_type;total\nx;llama;1\n", "no commas between its columns"),
        (b'name,model_type\n"x,1\n', "no whole CSV file"),
        (b'name,model_type\n"x"y,1\n', "no whole CSV file"),
        (b"name,model_type\n\xff\xfe,1\n", "not UTF-8"),
        (b"\xff\xfen\x00a\x00", "not UTF-8"),
        (b"name,model_type\n" + b"x" * 200_000 + b",1\n", "no whole CSV file"),
    ],
)
def test_what_is_no_table_gets_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=sentence) as raised:
        check(path)
    assert "\n" not in str(raised.value)


def test_a_file_of_a_gigabyte_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with path.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(BadInput, match="too large"):
        check(path)


TRAINING = (
    "family,attention,precision,checkpointing,optimizer,batch,seq,layers,hidden,heads,kv_heads,head_dim,ffn,"
    "ffn_kind,vocab,experts,top_k,expert_ffn,tied,window,extra_dims,params,trainable,lora_r,lora_targets,"
    "lora_dropout,dropout_hidden,dropout_attention,padding_mask,keep_logits,seq_decoder,buffers_bytes"
)
LLAMA = "llama,sdpa,bf16,none,adamw,1,128,2,64,4,2,16,128,gated_silu,1000,,,,0,,,,,,,,0,0,0,0,,"


def test_a_row_builds_its_model_from_its_sizes(tmp_path: Path) -> None:
    path = table(
        tmp_path, TRAINING, LLAMA, LLAMA.replace("llama", "qwen3_moe").replace("1000,,,", "1000,4,2,96")
    )
    dense, mixture = outputs(check(path))
    parameters = 2 * 64 * 1000 + 64 + 2 * (64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 128 + 128)
    assert dense["predicted_gradients_bytes"] == str(2 * parameters)
    assert dense["note"] == mixture["note"] == ""
    assert int(mixture["predicted_gradients_bytes"]) > 2 * parameters
    assert int(dense["low_total_peak_bytes"]) <= int(dense["predicted_total_peak_bytes"])
    assert int(dense["predicted_total_peak_bytes"]) <= int(dense["high_total_peak_bytes"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.data())
def test_whatever_stands_in_a_cell_the_row_gets_an_answer_or_a_sentence(
    tmp_path: Path, data: st.DataObject
) -> None:
    cells = LLAMA.split(",")
    place = data.draw(st.integers(0, len(cells) - 1))
    odd = st.sampled_from(
        ["-1", "0", "1e400", "nan", "9" * 30, "x", " ", "1.5", "=1+1", "a=b", "10000000000"]
    )
    cells[place] = data.draw(odd)
    found = check(table(tmp_path, TRAINING, ",".join(cells)))
    (row,) = outputs(found)
    assert row["predicted_total_peak_bytes"] or row["note"]
