"""params.csv: parameters of models that are found by name, as their Transformers class builds them."""

from llmplanner.check.answer import Answer, Answers, Kind, Row
from llmplanner.check.cells import text
from llmplanner.check.lookup import Lookup
from llmplanner.core.tensors import parameters


def answer(row: Row, models: Lookup) -> Answers:
    """Total, active and embedding parameters. Raises BadInput."""
    model = models.model(text(row, "name"))
    counted = parameters(model)
    numbers = {"total": counted.total, "active": counted.active, "embedding": counted.embedding}
    return {column: Answer(number, note=model.note) for column, number in numbers.items()}


KIND = Kind("params", ("name",), ("total", "active", "embedding"), answer, marks=("model_type",))
