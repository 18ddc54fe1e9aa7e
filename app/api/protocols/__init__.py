"""The wire formats: each decodes a request and encodes a prediction and an error, in a file of its own.

To add one, write a subclass of ``protocol.Protocol`` in a file here and add it to ``choice.PROTOCOLS``, so
that it writes the errors of its routes. Then register a blueprint in ``app/factory.py`` whose views call
``predict.answer`` with it.
"""
