"""Two processes share the tests, each with one thread: with two each they would wait for one another all the time."""

from effsearch.executors.threads import single_thread

single_thread()
