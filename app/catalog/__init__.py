"""Which versions there are, which are in memory, and which one is routed to.

No HTTP and no operator comes in.
"""
