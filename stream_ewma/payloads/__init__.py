"""Record values to readings, smoothed readings to record values: one file a format."""
