"""The same smoothing job written by hand, and the floor: what throughput.py measures against."""
