"""The judge: processes apart from training that measure a run from its file alone.

Training hands in the file of a method. One process has the code of the method and the file, but no
data: it gives the rows of all ids (`bench.judge.reading`). Another process has the evaluation data,
but no code of methods: it ranks (`bench.judge.ranking`). docs/trust.md says what this guards.
"""
