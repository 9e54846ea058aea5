"""What workers need and takes seconds to import: the process that they are forked from imports it once for all."""

from effsearch.executors.local import single_thread

single_thread()  # Before linear algebra is imported: a process with more threads than one cannot be forked safely.

import effsearch.evaluation.fine_tuning  # noqa: E402
import effsearch.evaluation.timing  # noqa: E402
import effsearch.evaluation.trainings  # noqa: E402, F401
