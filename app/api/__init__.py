"""The Flask front end: views, hooks, wire formats, error replies and the OpenAPI document.

A view converts a request, delegates to the engine and converts the answer back. No decision about models,
versions or the store is made in this package, and no package below imports it.
"""
