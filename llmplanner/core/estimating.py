"""A plan in, an estimate out: the one way in which every front end asks."""

from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import MEMORY, Estimate
from llmplanner.core.plan import Plan, Serve
from llmplanner.core.quantities import gib_text
from llmplanner.core.serving import serve


def estimate(plan: Plan) -> Estimate:
    """What the plan needs on each device of its split, in the machine's order. Raises BadInput."""
    if len(plan.machine.devices) < plan.split.devices:
        raise BadInput(
            f"The split takes {plan.split.devices} devices, the machine has {len(plan.machine.devices)}; "
            "lower the count or take a larger machine.",
            field="count",
        )
    if isinstance(plan.workload, Serve):
        return _within_host(plan, serve(plan), "host_memory")
    from llmplanner.core.training import train  # noqa: PLC0415 - half of the core, which serving does not load

    return _within_host(plan, train(plan), "offload")


def _within_host(plan: Plan, answer: Estimate, field: str) -> Estimate:
    """The answer, if the computer has room for what lies there, where that is known. Raises BadInput."""
    room, host = plan.machine.host_memory, answer.host
    if room is None or host is None or host.place != MEMORY or host.bytes <= room:
        return answer
    raise BadInput(
        f"{gib_text(int(host.bytes))} would lie in the {host.place}, which has {gib_text(room)}; "
        "offload less, or take a computer with more.",
        field,
    )
