const { buildModule } = require("@nomicfoundation/hardhat-ignition/modules");

module.exports = buildModule("Coin", (module) => {
  const coin = module.contract("Coin", [module.getParameter("supply", 1_000n)]);
  module.call(coin, "transfer", ["0x00000000000000000000000000000000000000aa", 5n]);
  return { coin };
});
