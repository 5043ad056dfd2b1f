"""Long runs: validators killed again and again under full load, and one chain of a million transfers."""
