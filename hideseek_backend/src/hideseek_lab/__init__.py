"""What researchers use and Slicer never installs: training, benchmarks, comparators, cohorts.

It builds on `hideseek_backend`, which knows nothing of it.
"""
