"""What an operator does to a running server.

No HTTP and no command line come in.
"""
