"""How this process waits: greenlets in a worker, native threads elsewhere. Nothing of models, stores or HTTP comes in."""
