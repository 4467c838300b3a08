"""What the benchmark scripts share: a broker, input, processes to measure, outputs to compare."""
