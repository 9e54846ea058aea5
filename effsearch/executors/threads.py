"""One thread of linear algebra for each process. Imports nothing that has threads already."""

import os


def single_thread() -> None:
    """Limits linear algebra to one thread in this process, if called before it is imported, and in its children."""
    # Threads of several processes on the same cores wait for one another, many times slower than one thread each.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
