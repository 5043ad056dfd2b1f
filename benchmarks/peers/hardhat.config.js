// Hardhat's node as it comes, but for the accounts: those of every other chain in the comparison.
module.exports = {
  networks: { hardhat: { accounts: { mnemonic: "test test test test test test test test test test test junk" } } },
};
