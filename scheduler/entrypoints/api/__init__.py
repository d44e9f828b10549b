"""The HTTP API under /v1: routes translate, and decide nothing. `app.create_app` puts it together."""
