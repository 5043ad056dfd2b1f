"""Who sold? What the ledger of private windows tells about it, by simulation (`make anonymity`)."""
