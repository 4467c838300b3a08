"""The demo: live input, an embedded broker, the real service on it, and a view of the result."""
