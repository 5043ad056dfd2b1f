"""One script a claim: each prints the figure, its spread and the machine."""
