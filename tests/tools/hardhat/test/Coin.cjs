// OpenZeppelin's ERC-20 behaves on this chain as its authors say: transfers, allowances, burning, permits, errors, events.
const { expect } = require("chai");
const { ethers } = require("hardhat");

const SUPPLY = 100n;
const NOBODY = ethers.ZeroAddress;
const UNLIMITED = ethers.MaxUint256;

describe("OpenZeppelin's ERC20", function () {
  let coin, holder, recipient, spender;

  beforeEach(async function () {
    [holder, recipient, spender] = await ethers.getSigners();
    coin = await ethers.deployContract("Coin", [SUPPLY]);
    await coin.waitForDeployment();
  });

  // Hardhat's matcher of events looks at once for the receipt, as on a chain that mines while it takes a transaction.
  const mined = async (sending) => {
    const sent = await sending;
    await sent.wait();
    return sent;
  };

  it("has a name, a symbol and 18 decimals", async function () {
    expect([await coin.name(), await coin.symbol(), await coin.decimals()]).to.deep.equal(["Coin", "COIN", 18n]);
    expect(await coin.totalSupply()).to.equal(SUPPLY);
    expect(await coin.balanceOf(holder)).to.equal(SUPPLY);
    expect(await coin.balanceOf(recipient)).to.equal(0n);
  });

  it("mints with a Transfer from nobody", async function () {
    await expect(coin.deploymentTransaction()).to.emit(coin, "Transfer").withArgs(NOBODY, holder.address, SUPPLY);
  });

  for (const amount of [0n, 30n, SUPPLY]) {
    it(`transfers ${amount}`, async function () {
      const transfer = mined(coin.transfer(recipient, amount));
      await expect(transfer).to.emit(coin, "Transfer").withArgs(holder.address, recipient.address, amount);
      expect(await coin.balanceOf(holder)).to.equal(SUPPLY - amount);
      expect(await coin.balanceOf(recipient)).to.equal(amount);
    });
  }

  it("changes the balances of both", async function () {
    await expect(coin.transfer(recipient, 7n)).to.changeTokenBalances(coin, [holder, recipient], [-7n, 7n]);
    await expect(holder.sendTransaction({ to: recipient.address, value: 3n })).to.changeEtherBalances([holder, recipient], [-3n, 3n]);
  });

  it("refuses more than there is, and nobody as a recipient", async function () {
    await expect(coin.transfer(recipient, SUPPLY + 1n))
      .to.be.revertedWithCustomError(coin, "ERC20InsufficientBalance").withArgs(holder.address, SUPPLY, SUPPLY + 1n);
    await expect(coin.transfer(NOBODY, 1n)).to.be.revertedWithCustomError(coin, "ERC20InvalidReceiver").withArgs(NOBODY);
  });

  it("approves, and replaces an allowance", async function () {
    for (const amount of [SUPPLY, 1n, 0n]) {
      await expect(mined(coin.approve(spender, amount))).to.emit(coin, "Approval").withArgs(holder.address, spender.address, amount);
      expect(await coin.allowance(holder, spender)).to.equal(amount);
    }
    await expect(coin.approve(NOBODY, 1n)).to.be.revertedWithCustomError(coin, "ERC20InvalidSpender").withArgs(NOBODY);
  });

  it("transfers for another within the allowance, which it uses up", async function () {
    await mined(coin.approve(spender, 20n));
    await expect(mined(coin.connect(spender).transferFrom(holder, recipient, 15n)))
      .to.emit(coin, "Transfer").withArgs(holder.address, recipient.address, 15n);
    expect(await coin.allowance(holder, spender)).to.equal(5n);
    await expect(coin.connect(spender).transferFrom(holder, recipient, 6n))
      .to.be.revertedWithCustomError(coin, "ERC20InsufficientAllowance").withArgs(spender.address, 5n, 6n);
  });

  it("does not use up an unlimited allowance", async function () {
    await mined(coin.approve(spender, UNLIMITED));
    await mined(coin.connect(spender).transferFrom(holder, recipient, 1n));
    expect(await coin.allowance(holder, spender)).to.equal(UNLIMITED);
    await expect(coin.connect(spender).transferFrom(holder, recipient, SUPPLY))
      .to.be.revertedWithCustomError(coin, "ERC20InsufficientBalance").withArgs(holder.address, SUPPLY - 1n, SUPPLY);
  });

  it("burns, one's own and another's", async function () {
    await expect(mined(coin.burn(10n))).to.emit(coin, "Transfer").withArgs(holder.address, NOBODY, 10n);
    await mined(coin.approve(spender, 5n));
    await mined(coin.connect(spender).burnFrom(holder, 5n));
    expect(await coin.totalSupply()).to.equal(SUPPLY - 15n);
    await expect(coin.burn(SUPPLY)).to.be.revertedWithCustomError(coin, "ERC20InsufficientBalance");
  });

  it("takes a permit once, and none that is late", async function () {
    const domain = { name: "Coin", version: "1", chainId: 20_160_621n, verifyingContract: await coin.getAddress() };
    const types = { Permit: ["owner:address", "spender:address", "value:uint256", "nonce:uint256", "deadline:uint256"]
      .map((field) => ({ name: field.split(":")[0], type: field.split(":")[1] })) };
    const permit = async (nonce, deadline) => {
      const message = { owner: holder.address, spender: spender.address, value: 9n, nonce, deadline };
      const { v, r, s } = ethers.Signature.from(await holder.signTypedData(domain, types, message));
      return coin.connect(spender).permit(holder, spender, 9n, deadline, v, r, s);
    };
    await mined(permit(0n, UNLIMITED));
    expect([await coin.nonces(holder), await coin.allowance(holder, spender)]).to.deep.equal([1n, 9n]);
    await expect(permit(0n, UNLIMITED)).to.be.revertedWithCustomError(coin, "ERC2612InvalidSigner");
    await expect(permit(1n, 1n)).to.be.revertedWithCustomError(coin, "ERC2612ExpiredSignature").withArgs(1n);
  });
});
