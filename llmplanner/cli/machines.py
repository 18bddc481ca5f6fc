"""The machine that a plan names, looked at where it is this computer's."""

from llmplanner import compose
from llmplanner.core.machine import Machine
from llmplanner.gpus import local
from llmplanner.gpus.local import Probe
from llmplanner.plans import Draft


def probe_for(draft: Draft) -> Probe | None:
    """A look at this computer's cards where the plan takes one of them."""
    return local.look() if draft.gpu == "local" or draft.gpu.startswith(("GPU-", "MIG-")) else None


def machine_of(draft: Draft) -> Machine:
    """The devices that the plan takes. Raises BadInput."""
    probe = probe_for(draft)
    return compose.machine_named(draft, probe.machine if probe is not None else None)
