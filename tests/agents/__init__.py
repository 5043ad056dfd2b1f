"""The agents: devices, forecasts, negotiation, the day, and a street of them against a small node."""
