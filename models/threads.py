"""The environment variables that keep native libraries from starting threads.

A process that answers has one core, and a process with threads cannot be forked. They are set before NumPy or
pyarrow is imported, because the libraries read them only then.
"""

from __future__ import annotations

ONE_THREAD = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    # pandas imports pyarrow if it is installed, whose allocator starts a thread to release memory.
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
