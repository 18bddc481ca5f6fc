"""kv.csv: bytes of the KV cache and the recurrent state that Transformers allocates in 16 bits."""

from llmplanner.check.answer import Answer, Answers, Kind, Row
from llmplanner.check.cells import count, text, whole
from llmplanner.check.lookup import Lookup
from llmplanner.core.errors import BadInput
from llmplanner.core.formats import BF16
from llmplanner.core.model import Kind as Attends
from llmplanner.core.terms.kv_cache import kept, kv_cache
from llmplanner.core.terms.recurrent_state import recurrent_state, states


def answer(row: Row, models: Lookup) -> Answers:
    """Cache and state after `tokens` tokens of each of `batch` sequences. Raises BadInput."""
    model = models.model(text(row, "name"))
    batch, tokens = count(row, "batch"), count(row, "tokens")
    encoder = whole(row, "encoder_tokens")
    if model.kind is Attends.ENCODER_DECODER and encoder is None:
        raise BadInput("encoder_tokens is empty; an encoder-decoder caches them too.", "encoder_tokens")
    cache = kv_cache(kept(model), BF16, tokens, encoder or 0, batch)
    state = recurrent_state(states(model), BF16, batch)
    return {"bytes": Answer(int(cache.bytes + state.bytes), note=model.note)}


KIND = Kind("kv", ("name", "batch", "tokens"), ("bytes",), answer)
