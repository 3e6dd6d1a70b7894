"""ASGI middleware. A request passes security headers, request log, API keys and admission, in this order."""
