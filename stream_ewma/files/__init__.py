"""Recorded data: files to records for the engine, and what it answers back to files."""
