"""HTTP: connections, routing, signatures and the AWS protocols. It knows no service, only their API models."""
