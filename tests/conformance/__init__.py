"""Ethereum's published state tests, run through the execution seams with either opcode loop."""
