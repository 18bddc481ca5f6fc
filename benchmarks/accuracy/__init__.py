"""Writes docs/accuracy.md and its chart: what is predicted beside what others measured.

`python -m benchmarks.accuracy` needs the folder of reference data; what other planners answer is read from
benchmarks/peers/answers.csv. It takes about half a minute.
"""
