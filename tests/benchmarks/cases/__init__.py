"""Cases of ``tests.benchmarks.kernels``: a module yields them from ``cases()``; a new module is found by itself."""
