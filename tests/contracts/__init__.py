"""The contracts, run on py-evm's stock machinery."""
