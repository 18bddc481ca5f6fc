"""The look at this computer's cards, where a plan takes one of them."""

from llmplanner.core.errors import BadInput
from llmplanner.gpus.local import Probe, look
from llmplanner.plans import Draft, is_uuid


def probe_for(draft: Draft) -> Probe | None:
    """What is seen now; None for a card of the catalogue. Raises BadInput for a UUID that none has."""
    if draft.gpu == "local":
        return look()
    if not is_uuid(draft.gpu):
        return None
    probe = look()
    here = [str(device.uuid) for device in probe.devices]
    if here and draft.gpu not in here:
        raise BadInput(f"No GPU of this computer is {draft.gpu}; there are {', '.join(here)}.", "gpu")
    return probe
