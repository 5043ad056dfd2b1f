"""Devnets: several validators and their households on one machine, with keys that everyone knows."""
