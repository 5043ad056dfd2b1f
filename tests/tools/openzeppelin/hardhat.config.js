// OpenZeppelin's tests of 2018, for Truffle 4, on a gridpact validator: GRIDPACT_RPC=URL hardhat test --network gridpact
const { subtask } = require("hardhat/config");
const { TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD } = require("hardhat/builtin-tasks/task-names");
require("@nomiclabs/hardhat-truffle4");

const VERSION = "0.4.25";

// npm's compiler, in place of one that Hardhat would download
subtask(TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD, async () => ({
  compilerPath: require.resolve("solc/soljson.js"), isSolcJs: true, version: VERSION, longVersion: VERSION,
}));

module.exports = {
  solidity: { version: VERSION, settings: { evmVersion: "byzantium", optimizer: { enabled: true, runs: 200 } } },
  networks: {
    gridpact: {
      url: process.env.GRIDPACT_RPC ?? "http://127.0.0.1:8545",
      chainId: 20_160_621,
      accounts: { mnemonic: "test test test test test test test test test test test junk", count: 10 },
    },
  },
  mocha: { timeout: 120_000 },
};
