"""`fit`: verdict and exit code, against cards of the catalogue and against a fake driver's cards."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Answer
from tests.fake_nvml import MIB, build, card, needs_compiler, said

Run = Callable[..., Answer]
Driver = Callable[..., None]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def driver(library: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
    """Makes the driver say these lines."""

    def say(**lines: object) -> None:
        monkeypatch.setenv("LD_LIBRARY_PATH", str(library))
        monkeypatch.setenv("FAKE_NVML", said({"driver": "590.48.01", **lines}))

    return say


@pytest.mark.parametrize(
    ("model", "gpu", "state", "code"),
    [
        ("llama-3.1-8b", "rtx-4090", "fits", 0),
        ("llama-3.1-8b", "rtx-4060", "no", 1),
        ("llama-3.1-70b", "h100-sxm", "no", 1),
        ("llama-3.1-70b", "b200", "fits", 0),
    ],
)
def test_against_the_catalogue(run: Run, model: str, gpu: str, state: str, code: int) -> None:
    answer = run("fit", model, "--gpu", gpu, "--json")
    judged = answer.json["verdict"]
    assert (answer.code, judged["empty"]["state"]) == (code, state)
    assert judged["now"]["state"] == "unknown"  # nobody knows what is on a card of the catalogue
    assert (
        judged["empty"]["margin_bytes"]
        == judged["empty"]["available_bytes"] - judged["empty"]["needed_bytes"]
    )
    assert judged["empty"]["needed_bytes"] == answer.json["devices"][0]["total_bytes"]
    assert judged["message"]


def test_the_answer_has_the_contracts_shape(run: Run) -> None:
    answer = run("fit", "llama-3.1-8b", "--gpu", "rtx-4090", "--json").json
    assert {"schema", "model", "devices", "verdict"} <= set(answer)
    for budget in ("now", "empty"):
        assert set(answer["verdict"][budget]) == {
            *("state", "device", "needed_bytes", "available_bytes", "margin_bytes"),
        }


def test_int4_makes_it_fit(run: Run) -> None:
    assert run("fit", "llama-3.1-8b", "--gpu", "rtx-3070").code == 1
    assert run("fit", "llama-3.1-8b", "--gpu", "rtx-3070", "--weights", "int4").code == 0


def test_fit_for_people(run: Run) -> None:
    fits = run("fit", "llama-3.1-8b", "--gpu", "rtx-4090").out
    assert "Fits: " in fits
    assert "GiB" in fits
    assert all(len(line) <= 80 for line in fits.splitlines())
    assert "What would help" not in fits


def test_what_would_make_it_fit(run: Run) -> None:
    answer = run("fit", "llama-3.1-8b", "--gpu", "rtx-3070")
    assert "Does not fit: " in answer.out
    assert "Weights in INT4" in answer.out
    assert all(len(line) <= 80 for line in answer.out.splitlines())
    changes = run("fit", "llama-3.1-8b", "--gpu", "rtx-3070", "--json").json["changes"]
    assert {"text": "Weights in INT4", "state": "fits"} in changes


def test_where_no_single_change_fits_it_says_so(run: Run) -> None:
    plan = ("--gpu", "gtx-1050-ti", "--context", "128k", "--batch", "512")
    answer = run("fit", "llama-3.1-70b", *plan)
    assert "No single change would do; these need less:" in answer.out
    assert answer.out.rpartition("these need less:")[2].strip().count("\n") <= 1


@needs_compiler
class TestAgainstThisComputer:
    def test_free_memory_decides(self, run: Run, driver: Driver) -> None:
        driver(count=1, **card(0, "NVIDIA GeForce RTX 4090", 24564, 23900, reserved=346 * MIB))
        assert run("fit", "llama-3.1-8b").code == 0
        driver(count=1, **card(0, "NVIDIA GeForce RTX 4090", 24564, 9000, reserved=346 * MIB))
        answer = run("fit", "llama-3.1-8b", "--json")
        assert answer.code == 1
        assert answer.json["verdict"]["now"]["state"] == "no"
        assert answer.json["verdict"]["now"]["available_bytes"] == 9000 * MIB
        assert answer.json["verdict"]["empty"]["state"] == "fits"
        assert "in use now" in answer.json["verdict"]["message"]

    def test_local_is_the_card_with_most_free_memory(self, run: Run, driver: Driver) -> None:
        cards = card(0, "NVIDIA L4", 23034, 5000) | card(1, "NVIDIA A10", 23028, 22000)
        driver(count=2, **cards)
        answer = run("fit", "llama-3.1-8b", "--gpu", "local", "--json").json
        assert answer["verdict"]["now"]["device"] == "NVIDIA A10"

    def test_a_card_is_named_by_its_uuid(self, run: Run, driver: Driver) -> None:
        cards = card(0, "NVIDIA L4", 23034, 5000) | card(1, "NVIDIA A10", 23028, 22000)
        driver(count=2, **cards)
        assert run("fit", "llama-3.1-8b", "--gpu", "GPU-0").code == 1
        assert run("fit", "llama-3.1-8b", "--gpu", "GPU-1").code == 0
        answer = run("fit", "llama-3.1-8b", "--gpu", "GPU-7", "--json")
        assert answer.code == 2
        assert answer.error["field"] == "gpu"
        assert "GPU-0" in (answer.error["message"] or "")

    def test_more_cards_than_there_are(self, run: Run, driver: Driver) -> None:
        driver(count=1, **card(0, "NVIDIA L4", 23034, 20000))
        assert run("fit", "llama-3.1-8b", "--count", "2", "--json").error["field"] == "count"

    def test_a_lost_card_does_not_take_the_others_along(self, run: Run, driver: Driver) -> None:
        cards = card(0, "NVIDIA L4", 23034, 5000) | card(1, "NVIDIA A10", 23028, 22000)
        driver(count=2, **cards, **{"0.err.nvmlDeviceGetHandleByIndex_v2": 15})
        assert run("fit", "llama-3.1-8b").code == 0

    @pytest.mark.parametrize(
        ("lines", "words"),
        [
            ({"count": 0}, "sees no GPU"),
            ({"err.nvmlInitWithFlags": 9}, "not running"),
            ({"crash.nvmlInitWithFlags": 1}, "crashed"),
            ({"err.nvmlInitWithFlags": 18}, "restart the computer"),
        ],
    )
    def test_without_a_gpu_it_cannot_tell_and_says_why(
        self, run: Run, driver: Driver, lines: dict[str, object], words: str
    ) -> None:
        driver(**lines)
        answer = run("fit", "llama-3.1-8b", "--json")
        assert answer.code == 3
        assert answer.json["verdict"]["now"]["state"] == "unknown"
        assert words in answer.json["verdict"]["message"]
        assert answer.json["devices"][0]["total_bytes"] > 2**30  # the need is known all the same

    def test_gpus_lists_them(self, run: Run, driver: Driver) -> None:
        driver(count=2, **card(0, "NVIDIA L4", 23034, 5000), **card(1, "Tesla T4", 15360, 15000))
        answer = run("gpus", "--json").json
        assert answer["state"] == "ok"
        first, second = answer["devices"]
        assert {"name", "uuid", "memory_total", "memory_free", "driver", "catalogue_name"} <= set(first)
        assert (first["memory_free"], first["driver"]) == (5000 * MIB, "590.48.01")
        assert second["catalogue_name"] == "Tesla T4"
        shown = run("gpus").out
        assert "22.49 GiB" in shown
        assert all(len(line) <= 80 for line in shown.splitlines())

    def test_gpus_tells_unusable_cards_apart(self, run: Run, driver: Driver) -> None:
        cards = card(0, "NVIDIA A100-SXM4-80GB", 81920, 81000) | card(1, "NVIDIA A100-SXM4-80GB", 81920, 0)
        driver(count=2, **cards, **{"1.instances": 7})
        (divided,) = run("gpus", "--json").json["unusable"]
        assert (divided["index"], divided["uuid"]) == (1, "GPU-1")
        assert divided["state"] == "mig-without-instance"
        assert "GPU-1" in run("gpus").out

    def test_gpus_shows_the_catalogues_card_beside_a_long_name(self, run: Run, driver: Driver) -> None:
        driver(
            count=2,
            **card(0, "x" * 95, 23034, 5000),
            **card(1, "Tesla T4", 15360, 15000, uuid="GPU-" + "a" * 36),
        )
        shown = run("gpus").out
        assert "Tesla T4 in the catalogue" in shown
        assert "not in the catalogue" in shown
        assert all(len(line) <= 90 for line in shown.splitlines()[:6])

    def test_a_total_of_zero_on_a_card_with_memory_cannot_be_judged(self, run: Run, driver: Driver) -> None:
        driver(count=1, **card(0, "NVIDIA GeForce RTX 4090", 0, 0))
        answer = run("fit", "llama-3.1-8b", "--json")
        assert answer.code == 3
        assert "the memory of NVIDIA GeForce RTX 4090 is not known" in answer.json["verdict"]["message"]

    def test_compute_costs_what_the_matched_card_costs(self, run: Run, driver: Driver) -> None:
        driver(count=1, **card(0, "NVIDIA GeForce RTX 4090", 24564, 23000))
        options = ("compute", "--parameters", "1B", "--tokens", "20B")
        here, named = (run(*options, "--gpu", name, "--json").json for name in ("local", "rtx-4090"))
        assert here["cost"] == named["cost"] is not None
        assert "median of 20" in run(*options, "--gpu", "local").out

    def test_compute_on_the_local_card(self, run: Run, driver: Driver) -> None:
        driver(count=1, **card(0, "NVIDIA H100 80GB HBM3", 81559, 80000))
        answer = run("compute", "--parameters", "1B", "--gpu", "local", "--price", "2,5", "--json").json
        assert answer["peak_flops"] == 989.4e12
        assert answer["cost"] == pytest.approx(2.5 * answer["gpu_hours"])
