"""What keeps native libraries from starting threads: a process that answers has one core, and one with threads cannot be
forked. Set before NumPy or pyarrow is imported: they read it once."""

from __future__ import annotations

ONE_THREAD = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    # pandas imports pyarrow where it is installed, whose allocator gives memory back in a thread of its own.
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
