"""What a model is: its signature, its recorded versions, and the interface of the runtimes that answer for
it.

Files on disk belong to ``models.store``, training and publishing to ``models.publishing``, and the libraries
that models are written with to ``models.runtimes``. HTTP, settings and processes do not come in.
"""
