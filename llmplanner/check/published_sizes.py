"""published_quant_sizes.csv: sizes of files that their makers published, against today's llama.cpp."""

from llmplanner.check.answer import Answer, Answers, Kind, Row
from llmplanner.check.cells import switched, text
from llmplanner.check.lookup import Lookup
from llmplanner.check.quant_sizes import bytes_of
from llmplanner.core.recipes import NEVER_WITHOUT

GIB = 2**30
HEADER = 16 * 2**20  # bytes of keys and vocabulary at most, which a file holds before its tensors
ROUNDED = 200  # a part: pages state two or three digits


def answer(row: Row, models: Lookup) -> Answers:
    """The size of the tensors in GiB.

    The bounds: with and without importance matrix, the header, how pages round. Raises BadInput.
    """
    name, file_type = text(row, "model"), text(row, "ftype")
    ways = (switched(row, "imatrix"),) if row.get("imatrix", "").strip() else (False, True)
    if file_type.upper() in NEVER_WITHOUT:
        ways = (True,)
    sizes = [bytes_of(name, file_type, models, imatrix=imatrix) for imatrix in ways]
    whole_file = row.get("what", "").startswith("file")
    low, high = min(sizes), max(sizes) + (HEADER if whole_file else 0)
    bounds = (low - low / ROUNDED, high + high / ROUNDED)
    return {"published_GiB": Answer(sizes[0] / GIB, bounds[0] / GIB, bounds[1] / GIB)}


KIND = Kind("published_quant_sizes", ("model", "ftype"), ("published_GiB",), answer, True, marks=("what",))
