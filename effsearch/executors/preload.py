"""What workers need and takes seconds to import: the process that they are forked from imports it once for all."""

import os

from effsearch.executors.threads import single_thread

DRIVER = os.getppid()

single_thread()  # Before linear algebra is imported: a process with more threads than one cannot be forked safely.

import effsearch.evaluation.fine_tuning  # noqa: E402
import effsearch.evaluation.timing  # noqa: E402
import effsearch.evaluation.trainings  # noqa: E402, F401

if os.getppid() != DRIVER:  # It has ended meanwhile: what it asked for last would begin, and fail aloud.
    os._exit(0)
