"""ASGI middleware.

A request passes security headers, CORS, request log, request target, methods, API keys and admission, in this order.
"""
