"""web3.py's own module tests, as they ship in the package, against gridpact and, for comparison, anvil."""
