"""Who may ask the service for what: tokens and roles, the perimeter in front of all routes, rates, limits, TLS.

roles: which role a route needs. tokens: making, storing and revoking. guard: a header's caller. rate: per-token rates.
perimeter: the ASGI layer that applies them. protocol: limits below ASGI. tls, internal: certificates, and the
controller's own key. document: the same in the OpenAPI document.
"""
