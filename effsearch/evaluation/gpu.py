"""What a GPU is, and what it fails by: too little memory, or a context that is dead. Needs no torch."""

from dataclasses import dataclass

MEMORY = (
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "ALLOCATION_FAILED",
    "allocate memory",
)
CONTEXT = (
    "CUDA error",
    "CUDA driver error",
    "CUBLAS_STATUS_",
    "CUDNN_STATUS_EXECUTION_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR",
)
"""In what torch says, and nowhere else: its exceptions are plain RuntimeErrors in some releases."""


@dataclass(frozen=True)
class Gpu:
    """A GPU by its name, with free memory in bytes, and whether it computes in bf16."""

    name: str
    free: int
    bf16: bool

    @property
    def precision(self) -> str:
        """What networks are trained in."""
        return "bf16" if self.bf16 else "float32"


class ContextLost(Exception):
    """A CUDA error other than out-of-memory: every further call in this process fails too, whatever it trains."""


def out_of_memory(error: BaseException) -> bool:
    """Whether a training failed for want of memory, of the host or of a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return any(part in str(error) for part in MEMORY)


def loses_context(error: BaseException) -> bool:
    """Whether an error is one after which a process can no longer use its GPU."""
    return isinstance(error, RuntimeError) and not out_of_memory(error) and any(part in str(error) for part in CONTEXT)


def first_line(error: BaseException) -> str:
    """What an error says, without the hints that torch adds."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
