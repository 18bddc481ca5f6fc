"""What serving needs on each device: each engine in its own file."""

from llmplanner.core.engine import LlamaCpp, Transformers, Vllm
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import Estimate
from llmplanner.core.plan import Plan, Serve
from llmplanner.core.serving import transformers, vllm


def serve(plan: Plan) -> Estimate:
    """What the plan's engine holds to load the weights, to read a prompt and to answer. Raises BadInput."""
    if not isinstance(plan.workload, Serve):
        raise BadInput("This plan trains; serving is estimated for plans that serve.", "task")
    match plan.engine:
        case Transformers():
            return transformers.serve(plan)
        case Vllm():
            return vllm.serve(plan)
        case LlamaCpp():
            from llmplanner.core.serving import llamacpp  # noqa: PLC0415 - with the recipes of its files

            return llamacpp.serve(plan)
