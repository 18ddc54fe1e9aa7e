"""How a faster form of an estimator is built and judged when it is published. Nothing here is needed to serve
it.
"""
