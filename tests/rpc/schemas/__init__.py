"""Ethereum's own result schemas."""
