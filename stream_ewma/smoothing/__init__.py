"""The mathematics of smoothing. No bytes, no Kafka, no clock."""
