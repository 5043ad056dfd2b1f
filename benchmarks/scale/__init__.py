"""Many validators on household lines: the real driver, messages and sizes; simulated network, clock and processor."""
