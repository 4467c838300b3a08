"""One partition's processing as a pure state machine: no I/O, no clock, no threads."""
