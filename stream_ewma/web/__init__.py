"""The member's window: live page, HTTP API, probes and metrics. It reads, and never writes."""
