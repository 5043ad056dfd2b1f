// Hardhat on a gridpact validator: GRIDPACT_RPC=URL hardhat test --network gridpact
const { subtask } = require("hardhat/config");
const { TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD } = require("hardhat/builtin-tasks/task-names");
const solc = require("solc");
require("@nomicfoundation/hardhat-ethers");
require("@nomicfoundation/hardhat-chai-matchers");
require("@nomicfoundation/hardhat-ignition-ethers");

const VERSION = solc.version().split("+")[0];

// npm's compiler, in place of one that Hardhat would download
subtask(TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD, async ({ solcVersion }) => {
  if (solcVersion !== VERSION) throw new Error(`solc ${VERSION} is installed, expected ${solcVersion}`);
  return { compilerPath: require.resolve("solc/soljson.js"), isSolcJs: true, version: VERSION, longVersion: solc.version() };
});

module.exports = {
  solidity: { version: VERSION, settings: { evmVersion: "prague", optimizer: { enabled: true, runs: 200 } } },
  networks: {
    gridpact: {
      url: process.env.GRIDPACT_RPC ?? "http://127.0.0.1:8545",
      chainId: 20_160_621,
      accounts: { mnemonic: "test test test test test test test test test test test junk", initialIndex: 5, count: 4 },
    },
  },
  ignition: { requiredConfirmations: 1 }, // a block is final when it is there
  mocha: { timeout: 120_000 },
};
