"""Reproduction of published numbers: one module per claim, `python -m benchmarks.reproduce.NAME`.

Each trains on the real data, prints the published number beside ours, and with --save writes benchmarks/results/NAME.md
(and .json). --quick is a smoke test; its numbers are meaningless.
"""
