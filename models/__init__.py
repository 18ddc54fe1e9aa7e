"""What a model is: its signature, its stored versions, and the runtimes that load and call it."""
