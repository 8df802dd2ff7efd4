"""What Slicer never installs: training, benchmarks, comparators, cohorts, reader studies, pages of
commands.

It builds on `hideseek_backend`, which knows nothing of it.
"""
