"""`memory` and `fit` of plans over several devices: every device, and the fullest told first."""

from collections.abc import Callable

from tests.cli.conftest import Answer

Run = Callable[..., Answer]

TRAINING = ("llama-3.1-8b", "--task", "pretrain", "--gpu", "h100-sxm")
STAGES = (*TRAINING, "--pp", "4", "--tp", "2", "--dp", "2", "--set", "accumulation=8")


def test_devices_stand_in_the_machine_s_order_in_json(run: Run) -> None:
    devices = run("memory", *STAGES, "--json").json["devices"]
    assert len(devices) == 16
    assert [device["role"][:12] for device in devices[::4]] == [
        f"stage {place} of 4" for place in range(1, 5)
    ]
    for device in devices:
        assert sum(term["bytes"] for term in device["terms"]) == device["total_bytes"]


def test_the_fullest_stage_is_told_first_and_named_in_the_verdict(run: Run) -> None:
    devices = run("memory", *STAGES, "--json").json["devices"]
    fullest = max(devices, key=lambda device: device["total_bytes"])
    told = " ".join(run("memory", *STAGES).out.split())
    assert told.index(f"Needed on each of 4 devices ({fullest['role']})") == told.index("Needed on each")
    assert told.count("Needed on each of 4 devices") == 4
    stage, does = fullest["role"].split(": ")
    assert f"{stage} ({does})" in " ".join(run("fit", *STAGES).out.split())


def test_of_many_stages_the_fullest_are_told_in_full(run: Run) -> None:
    told = run("memory", *TRAINING, "--pp", "32").out
    assert told.count("Phases:") == 4
    assert "Devices that need less:" in told
    assert told.count("stage ") == 32


def test_what_is_offloaded_is_told_beside_the_devices(run: Run) -> None:
    offloaded = (*TRAINING, "--set", "offload=optimizer")
    host = run("memory", *offloaded, "--json").json["host"]
    assert host["total_bytes"] == 16 * 8_030_261_248  # moments, gradients and the weights to be sent up
    assert host["seconds"] > 2
    assert all(len(line) <= 80 for line in run("memory", *offloaded).out.splitlines())
    told = run("fit", *offloaded).out
    assert "119.66 GiB lie in the memory of the computer" in " ".join(told.split())
    refused = run("fit", *offloaded, "--set", "host_memory=64", "--json")
    assert refused.error["field"] == "offload"


def test_serving_takes_stages_and_experts(run: Run) -> None:
    options = ("mixtral-8x7b", "--gpu", "h100-sxm", "--json")
    whole = run("memory", *options).json["devices"][0]
    stages = run("memory", *options, "--pp", "2").json["devices"]
    experts = run("memory", *options, "--ep", "8").json["devices"]

    def weights(device: dict[str, list[dict[str, int]]]) -> int:
        return next(term["bytes"] for term in device["terms"] if term["name"] == "weights")

    assert weights(stages[0]) + weights(stages[1]) == weights(whole)
    assert len(experts) == 8
    assert weights(experts[0]) < weights(whole) / 6
