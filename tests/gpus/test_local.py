"""Every state of the driver and its cards, through the real child process and a fake library."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pynvml
import pytest

from llmplanner.gpus import local, nvml
from llmplanner.gpus.local import Probe, read
from tests.fake_nvml import MIB, PythonFake, build, card, needs_compiler, said

Look = Callable[..., Probe]
RTX4090 = card(0, "NVIDIA GeForce RTX 4090", 24564, 23800, reserved=346 * MIB)
T4 = card(1, "Tesla T4", 15360, 14900)


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    built: dict[tuple[str, ...], Path] = {}

    def library(*options: str) -> Path:
        if options not in built:
            built[options] = build(tmp_path_factory.mktemp("nvml"), *options)
        return built[options]

    return library


@pytest.fixture
def look(libraries: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Look:
    """Looks at the GPUs with a library that says `lines`."""

    def look_at(lines: Mapping[str, object], *options: str) -> Probe:
        monkeypatch.setenv("LD_LIBRARY_PATH", str(libraries(*options)))
        monkeypatch.setenv("FAKE_NVML", said({"driver": "590.48.01", **lines}))
        return local.look()

    return look_at


@needs_compiler
class TestThroughTheChildProcess:
    def test_one_card_with_its_memory_and_what_the_catalogue_knows(self, look: Look) -> None:
        probe = look({"count": 1, **RTX4090})
        assert (probe.state, probe.driver) == ("ok", "590.48.01")
        (device,) = probe.devices
        assert device.name == "NVIDIA GeForce RTX 4090"
        assert device.uuid == "GPU-0"
        assert device.memory_total == 24564 * MIB
        assert device.memory_free == 23800 * MIB
        assert device.memory_reserved == 346 * MIB
        assert device.memory_usable == 24210 * MIB  # CUDA's, from the catalogue
        assert device.catalogue_name == "GeForce RTX 4090"
        assert device.peak_flops["bf16"] == 165.2e12
        assert not device.unified
        assert not device.wddm
        assert probe.machine.local

    @pytest.mark.parametrize(
        ("code", "state", "words"),
        [
            (9, "driver-not-loaded", "not running"),
            (18, "driver-library-mismatch", "restart the computer to finish"),
            (4, "no-permission", "may not ask"),
            (13, "driver-too-old", "update it"),
            (12, "no-library", "No NVIDIA driver"),
            (999, "nvml-error", "error 999"),
            (17, "nvml-error", "error 17"),
        ],
    )
    def test_a_driver_that_refuses(self, look: Look, code: int, state: str, words: str) -> None:
        for function in ("nvmlInitWithFlags", "nvmlDeviceGetCount_v2"):
            probe = look({"count": 1, **RTX4090, f"err.{function}": code})
            assert probe.state == state
            assert words in probe.message
            assert probe.devices == ()

    def test_a_library_without_the_start(self, look: Look) -> None:
        assert look({"count": 1, **RTX4090}, "-DNO_INIT").state == "driver-too-old"

    def test_a_driver_that_knows_only_the_older_start(self, look: Look) -> None:
        lines = {"count": 1, **RTX4090}
        assert look(lines, "-DNO_INIT", "-DOLD_INIT").state == "ok"
        refused = look({**lines, "err.nvmlInit_v2": 9}, "-DNO_INIT", "-DOLD_INIT")
        assert refused.state == "driver-not-loaded"

    def test_no_gpu(self, look: Look) -> None:
        probe = look({"count": 0})
        assert probe.state == "no-gpu"
        assert "sees no GPU" in probe.message

    def test_no_library(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "libnvidia-ml.so.1").write_bytes(b"not a library at all")
        monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
        probe = local.look()
        assert probe.state == "no-library"
        assert "libnvidia-ml.so.1: " in probe.message  # the loader's own words

    @pytest.mark.parametrize("code", [15, 16, 4, 999])
    def test_one_lost_card_among_several_leaves_the_others(self, look: Look, code: int) -> None:
        lines = {"count": 3, **T4, **card(2, "NVIDIA L4", 23034, 22000)}
        probe = look({**lines, **RTX4090, "0.err.nvmlDeviceGetHandleByIndex_v2": code})
        assert probe.state == "ok"
        assert [device.uuid for device in probe.devices] == ["GPU-1", "GPU-2"]
        (lost,) = probe.unusable
        assert (lost.index, lost.uuid, lost.code) == (0, None, code)
        assert "GPU 0" in probe.message
        assert f"error {code}" in probe.message

    def test_all_cards_lost(self, look: Look) -> None:
        probe = look({"count": 1, **RTX4090, "0.err.nvmlDeviceGetHandleByIndex_v2": 15})
        assert probe.state == "lost"
        assert "no longer answers" in probe.message

    def test_a_card_lost_while_its_memory_is_read(self, look: Look) -> None:
        probe = look({"count": 2, **RTX4090, **T4, "0.err.nvmlDeviceGetMemoryInfo_v2": 15})
        assert [device.uuid for device in probe.devices] == ["GPU-1"]
        assert probe.troubles[0].startswith("NVIDIA GeForce RTX 4090 (GPU 0, GPU-0) no longer answers")

    @pytest.mark.parametrize("code", [2, 3, 13, 25, 999])
    def test_falls_back_to_the_first_version_of_memory(self, look: Look, code: int) -> None:
        (device,) = look({"count": 1, **RTX4090, "err.nvmlDeviceGetMemoryInfo_v2": code}).devices
        assert (device.memory_free, device.memory_reserved) == (23800 * MIB, None)

    def test_a_driver_without_the_second_version(self, look: Look) -> None:
        (device,) = look({"count": 1, **RTX4090}, "-DNO_MEMORY_V2").devices
        assert device.memory_free == 23800 * MIB

    def test_unified_memory_is_told_by_the_return_code(self, look: Look) -> None:
        lines = {"count": 1, **card(0, "NVIDIA GB10", 0, 0)}
        errors = {"err.nvmlDeviceGetMemoryInfo": 3, "err.nvmlDeviceGetMemoryInfo_v2": 3}
        (device,) = look({**lines, **errors}).devices
        assert device.unified
        assert device.memory_total == psutil.virtual_memory().total
        assert 0 < (device.memory_free or 0) < psutil.virtual_memory().total
        assert device.catalogue_name == "DGX Spark (GB10) 128 GB"

    def test_a_name_alone_makes_no_card_unified(self, look: Look) -> None:
        (device,) = look({"count": 1, **card(0, "NVIDIA GB200", 189471, 180000)}).devices
        assert not device.unified
        assert device.memory_total == 189471 * MIB

    def test_a_total_of_zero_is_unified_memory(self, look: Look) -> None:
        (device,) = look({"count": 1, **card(0, "NVIDIA GB10", 0, 0)}).devices
        assert device.unified

    @pytest.mark.parametrize("code", [0, 3])
    def test_a_card_with_memory_of_its_own_is_never_taken_for_unified(self, look: Look, code: int) -> None:
        errors = {"err.nvmlDeviceGetMemoryInfo": 3, "err.nvmlDeviceGetMemoryInfo_v2": 3} if code else {}
        probe = look({"count": 1, **card(0, "NVIDIA GeForce RTX 4090", 0, 0), **errors})
        (device,) = probe.devices
        assert not device.unified
        assert (device.memory_total, device.memory_free) == (None, None)
        assert device.catalogue_name == "GeForce RTX 4090"
        assert "does not tell its memory" in probe.message

    @pytest.mark.parametrize(("code", "unified"), [(0, False), (3, True)])
    def test_an_unknown_card_is_unified_where_the_driver_refuses(
        self, look: Look, code: int, *, unified: bool
    ) -> None:
        errors = {"err.nvmlDeviceGetMemoryInfo": 3, "err.nvmlDeviceGetMemoryInfo_v2": 3} if code else {}
        (device,) = look({"count": 1, **card(0, "Graphics Device", 0, 0), **errors}).devices
        assert device.unified == unified
        assert (device.memory_total is not None) == unified

    def test_a_driver_version_that_is_none_is_not_shown(self, look: Look) -> None:
        assert look({"count": 1, **RTX4090, "driver": "590\udcff\udcfe"}).driver is None

    def test_windows_driver_model(self, look: Look) -> None:
        (wddm,) = look({"count": 1, **RTX4090, "0.model": 0}).devices
        (tcc,) = look({"count": 1, **RTX4090, "0.model": 1}).devices
        assert (wddm.wddm, tcc.wddm) == (True, False)

    def test_mig_instances_stand_for_their_card(self, look: Look) -> None:
        slices = {
            **card("0.mig.0", "NVIDIA H100 80GB HBM3 MIG 3g.40gb", 40448, 40000, uuid="MIG-a"),
            **card("0.mig.3", "NVIDIA H100 80GB HBM3 MIG 3g.40gb", 40448, 30000, uuid="MIG-b"),
        }
        whole = card(0, "NVIDIA H100 80GB HBM3", 81559, 81000, instances=7)
        probe = look({"count": 1, **whole, **slices})
        assert [device.uuid for device in probe.devices] == ["MIG-a", "MIG-b"]
        assert [device.memory_total for device in probe.devices] == [40448 * MIB] * 2
        assert all(device.catalogue_name is None for device in probe.devices)

    def test_mig_mode_without_an_instance(self, look: Look) -> None:
        probe = look({"count": 1, **card(0, "NVIDIA H100 80GB HBM3", 81559, 81000, instances=7)})
        assert probe.state == "mig-without-instance"
        assert "nvidia-smi mig" in probe.message

    @pytest.mark.parametrize(
        "function", ["nvmlInitWithFlags", "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetName"]
    )
    def test_a_library_that_crashes(self, look: Look, function: str) -> None:
        probe = look({"count": 1, **RTX4090, f"crash.{function}": 1})
        assert probe.state == "crashed"
        assert "crashed" in probe.message

    def test_a_library_that_ends_the_process(self, look: Look) -> None:
        assert look({"count": 1, **RTX4090, "exit.nvmlDeviceGetCount_v2": 1}).state == "no-answer"

    def test_a_library_that_hangs(self, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(local, "TIMEOUT", 0.5)
        probe = look({"count": 1, **RTX4090, "hang.nvmlDeviceGetCount_v2": 1})
        assert probe.state == "hung"
        assert "0.5 seconds" in probe.message

    def test_a_slow_library_is_waited_for(self, look: Look) -> None:
        assert look({"count": 1, **RTX4090, "delay.nvmlInitWithFlags": 400}).state == "ok"

    def test_what_the_library_prints_is_no_part_of_the_answer(self, look: Look) -> None:
        assert look({"count": 1, **RTX4090, "noise": 1}).state == "ok"

    def test_a_library_with_nothing_but_the_core(self, look: Look) -> None:
        probe = look({"count": 2, **RTX4090, **T4}, "-DCORE_ONLY")
        assert probe.state == "ok"
        assert [device.memory_total for device in probe.devices] == [None, None]
        assert "does not tell its memory" in probe.message
        assert probe.driver is None

    def test_every_function_may_refuse(self, look: Look) -> None:
        beyond = ("Name", "UUID", "MemoryInfo", "MemoryInfo_v2", "DriverModel_v2", "MigMode")
        errors = {f"err.nvmlDeviceGet{name}": 999 for name in beyond}
        (device,) = look({"count": 1, **RTX4090, **errors}).devices
        assert (device.uuid, device.memory_total) == (None, None)
        assert device.name

    @pytest.mark.parametrize(
        ("total", "free", "kept"),
        [
            (2**64 - 1, 2**64 - 1, (None, None)),  # minus one, NVML's "not known"
            (2**63, 5, (None, None)),
            (16 * 2**30, 17 * 2**30, (16 * 2**30, None)),  # more free than there is
            (16 * 2**30, 2**64 - 5, (16 * 2**30, None)),
            (16 * 2**30, 0, (16 * 2**30, 0)),
        ],
    )
    def test_strange_numbers(
        self, look: Look, total: int, free: int, kept: tuple[int | None, int | None]
    ) -> None:
        strange = {"0.name": "NVIDIA L4", "0.uuid": "GPU-0", "0.total": total, "0.free": free}
        (device,) = look({"count": 1, **strange}).devices
        assert (device.memory_total, device.memory_free) == kept

    @pytest.mark.parametrize("count", [2**32 - 1, 100_000])
    def test_an_absurd_number_of_cards(self, look: Look, count: int) -> None:
        probe = look({"count": count})
        assert probe.state == "nvml-error"
        assert f"{count} GPUs" in probe.message

    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("", "NVIDIA GPU without a name"),
            ("NVIDIA \udcff\udcfe 4090", "NVIDIA \ufffd\ufffd 4090"),  # bytes that are not UTF-8
            ("bad\x1b[31mname", "bad[31mname"),
            ("x" * 95, "x" * 95),
            ("x" * 96, "NVIDIA GPU without a name"),  # does not fit its buffer
        ],
    )
    def test_strange_names(self, look: Look, name: str, shown: str) -> None:
        (device,) = look({"count": 1, **card(0, name, 24564, 20000)}).devices
        assert device.name == shown
        assert device.memory_free == 20000 * MIB

    def test_one_uuid_twice(self, look: Look) -> None:
        probe = look({"count": 2, **RTX4090, **T4, "1.uuid": "GPU-0"})
        assert [device.uuid for device in probe.devices] == ["GPU-0", None]

    def test_modules_of_the_working_directory_do_not_step_in(
        self, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "pynvml.py").write_text("raise SystemExit('taken over')")
        monkeypatch.chdir(tmp_path)
        assert look({"count": 1, **RTX4090}).state == "ok"


@pytest.fixture
def python_library() -> Iterator[Callable[[PythonFake], None]]:
    def install(fake: PythonFake) -> None:
        pynvml.nvmlLib = fake
        pynvml._nvmlGetFunctionPointer_cache.clear()

    yield install
    pynvml.nvmlLib = None
    pynvml._nvmlGetFunctionPointer_cache.clear()


class TestInThisProcess:
    def test_reads_cards_without_a_compiler(self, python_library: Callable[[PythonFake], None]) -> None:
        python_library(
            PythonFake([(b"Tesla T4", b"GPU-a", 15360 * MIB, 15000 * MIB), (b"\xff", b"GPU-b", 0, 0)])
        )
        report = nvml.look()
        assert report.state == "ok"
        first, second = report.cards
        assert (first.uuid, first.memory, first.free) == ("GPU-a", "nvml", 15000 * MIB)
        assert (second.name, second.memory) == ("\ufffd", "zero")


@pytest.mark.parametrize(
    ("output", "returncode", "state"),
    [
        (b"", 139, "crashed"),
        (b"", -11, "crashed"),
        (b"", 0, "no-answer"),
        (b"{", 0, "no-answer"),
        (b"[]", 0, "no-answer"),
        (b'{"state": "splendid"}', 0, "no-answer"),
        (b'{"state": "ok", "cards": [{"state": "ok", "total": "much"}]}', 0, "no-answer"),
        (b"\xff\xfe", 0, "no-answer"),
        (b"[" * 100_000, 0, "no-answer"),
        (b" " * (local.MAX_OUTPUT + 1), 0, "no-answer"),
        (b'{"state": "no-gpu", "code": 0, "detail": "", "driver": null, "cards": []}', 0, "no-gpu"),
    ],
)
def test_reads_only_whole_reports(output: bytes, returncode: int, state: str) -> None:
    probe = read(output, returncode)
    assert probe.state == state
    assert probe.message.endswith(".")
    assert probe.devices == ()


def test_output_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "command", lambda: ["/bin/sh", "-c", "yes"])
    assert local.look().state == "no-answer"


def test_a_process_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "command", lambda: ["/no/such/program"])
    probe = local.look()
    assert probe.state == "no-answer"
    assert "did not start" in probe.message


def test_every_sentence_says_what_to_do() -> None:
    for sentence in (*local.SENTENCES.values(), *local.TROUBLES.values()):
        assert ";" in sentence or "otherwise" in sentence
