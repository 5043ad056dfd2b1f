"""The benchmarks, as far as they need no measurement."""
