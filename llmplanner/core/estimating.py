"""A plan in, an estimate out: the one way in which every front end asks."""

from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import Estimate
from llmplanner.core.plan import Plan, Serve
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
        return serve(plan)
    from llmplanner.core.training import train  # noqa: PLC0415 - half of the core, which serving does not load

    return train(plan)
