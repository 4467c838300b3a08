"""Kafka record batch v2, bytes to columns and back. No I/O."""
