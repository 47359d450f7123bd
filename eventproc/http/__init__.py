"""One POST to one endpoint: connections, TLS, egress guard, and what came of it."""
