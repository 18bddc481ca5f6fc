"""Tables of measurements, predicted row by row.

A kind of table is known by its columns. Each kind has a file with `KIND`, which names the columns and answers
one row: `answer(row, models) -> {column: Answer}`. A row that cannot be answered raises BadInput, whose
sentence becomes its note.
"""
