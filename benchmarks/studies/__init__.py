"""Studies of Plumbline alone: each measures one thing and writes its own block of the documentation.

Numeric libraries run one thread, as in the server; they read this setting when they are imported.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"
