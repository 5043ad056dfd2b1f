// ethers v6 against a validator: node ethers.mjs RPC_URL WS_URL. Every check must pass; else the status is 1.
import assert from "node:assert/strict";
import {
  Contract,
  ContractFactory,
  HDNodeWallet,
  JsonRpcProvider,
  WebSocketProvider,
  Wallet,
  ZeroHash,
  parseEther,
  verifyTypedData,
} from "ethers";
import { check, finish, MNEMONIC, refused, verifyProof } from "./checks.mjs";
import { compile } from "./compile.mjs";

const [rpcUrl, wsUrl] = process.argv.slice(2);
const POLL_MS = 100;
// By default ethers repeats an answer for 250 ms, in which this chain makes a block: the next nonce would be an old one.
const provider = new JsonRpcProvider(rpcUrl, undefined, { pollingInterval: POLL_MS, cacheTimeout: -1 });
const signer = (index) => HDNodeWallet.fromPhrase(MNEMONIC, undefined, `m/44'/60'/0'/0/${index}`).connect(provider);
const [owner, other] = [signer(0), signer(1)];
const { abi, bytecode } = compile("Probe.sol", "Probe");
let probe;
let deployed; // receipt

await check("network", async () => {
  const { chainId } = await provider.getNetwork();
  assert.equal(chainId, 20_160_621n);
  assert.ok((await provider.getBalance(owner.address)) > parseEther("1000"));
  return `chain ${chainId}, client ${await provider.send("web3_clientVersion", [])}`;
});

await check("deploy", async () => {
  const made = await new ContractFactory(abi, bytecode, owner).deploy(7);
  deployed = await made.deploymentTransaction().wait();
  probe = new Contract(await made.getAddress(), abi, owner);
  assert.equal(deployed.contractAddress, probe.target);
  assert.equal(await probe.number(), 7n);
  assert.notEqual(await probe.getDeployedCode(), null);
  return `gas ${deployed.gasUsed}`;
});

await check("transactions of type 0, 1 and 2", async () => {
  const accessList = [{ address: probe.target, storageKeys: [ZeroHash] }];
  for (const fields of [
    { type: 0, gasPrice: 0n },
    { type: 1, gasPrice: 0n, accessList },
    { type: 2, maxFeePerGas: 0n, maxPriorityFeePerGas: 0n, accessList },
    {}, // what ethers chooses by itself
  ]) {
    const sent = await owner.sendTransaction({ to: other.address, value: 1n, ...fields });
    const receipt = await sent.wait();
    const read = await provider.getTransaction(sent.hash);
    assert.deepEqual([receipt.status, receipt.type, read.type, read.from], [1, sent.type, sent.type, owner.address]);
    assert.equal(read.signature.serialized, sent.signature.serialized);
    if (fields.type !== undefined) assert.equal(receipt.type, fields.type);
    if (fields.accessList) assert.deepEqual(read.accessList, accessList);
    assert.equal(receipt.fee, 0n);
  }
});

await check("a custom error is decoded", async () => {
  for (const attempt of [
    () => probe.set.staticCall(2_000, ""),
    () => probe.set.estimateGas(2_000, ""),
    () => probe.set(2_000, ""),
  ]) {
    const error = await refused(attempt());
    assert.equal(error.code, "CALL_EXCEPTION");
    const decoded = probe.interface.parseError(error.data);
    assert.deepEqual([decoded.name, ...decoded.args], ["TooLarge", 2_000n, 1_000n]);
  }
  assert.equal((await refused(probe.set.staticCall(2_000, ""))).revert.name, "TooLarge"); // ethers does so for calls alone
});

await check("a reason and a panic are decoded", async () => {
  const error = await refused(probe.set.staticCall(13, ""));
  assert.deepEqual([error.code, error.reason], ["CALL_EXCEPTION", "thirteen is refused"]);
  const panic = await refused(probe.divide(0));
  assert.deepEqual([panic.code, panic.revert.name, panic.revert.args[0]], ["CALL_EXCEPTION", "Panic", 0x12]);
});

await check("a reverted transaction is mined and reported", async () => {
  const sent = await probe.set(13, "", { gasLimit: 100_000 });
  const error = await refused(sent.wait());
  assert.deepEqual([error.code, error.receipt.status], ["CALL_EXCEPTION", 0]);
});

await check("NONCE_EXPIRED, REPLACEMENT_UNDERPRICED, INSUFFICIENT_FUNDS", async () => {
  const fields = { to: other.address, gasLimit: 21_000n, type: 2, maxFeePerGas: 0n, maxPriorityFeePerGas: 0n };
  assert.equal((await refused(owner.sendTransaction({ ...fields, nonce: 0 }))).code, "NONCE_EXPIRED");
  const dear = { ...fields, value: parseEther("1000000") };
  assert.equal((await refused(owner.sendTransaction(dear))).code, "INSUFFICIENT_FUNDS");

  const nonce = await owner.getNonce("pending");
  const waiting = await owner.sendTransaction({ ...fields, nonce: nonce + 1, value: 1n });
  const same = await refused(owner.sendTransaction({ ...fields, nonce: nonce + 1, value: 2n }));
  assert.equal(same.code, "REPLACEMENT_UNDERPRICED");
  const again = await refused(provider.send("eth_sendRawTransaction", [await provider.send("eth_getRawTransactionByHash", [waiting.hash])]));
  assert.match(again.error.message, /already known/);
  assert.equal(await owner.getNonce("pending"), nonce); // what waits behind a gap does not count
  await owner.sendTransaction({ ...fields, nonce });
  assert.equal((await waiting.wait()).status, 1);
});

await check("replacement by a higher fee", async () => {
  const fields = { to: other.address, gasLimit: 21_000n, type: 2 };
  const nonce = await owner.getNonce();
  const first = await owner.sendTransaction({ ...fields, nonce: nonce + 1, maxFeePerGas: 10n, maxPriorityFeePerGas: 10n });
  const second = await owner.sendTransaction({ ...fields, nonce: nonce + 1, maxFeePerGas: 20n, maxPriorityFeePerGas: 20n });
  await owner.sendTransaction({ ...fields, nonce, maxFeePerGas: 0n, maxPriorityFeePerGas: 0n });
  assert.equal((await second.wait()).status, 1);
  assert.equal(await provider.getTransactionReceipt(first.hash), null);
});

await check("events and logs", async () => {
  const receipt = await (await probe.set(42, "forty-two")).wait();
  assert.deepEqual([...receipt.logs[0].args], [owner.address, 42n, "forty-two"]);
  await (await probe.connect(other).set(43, "")).wait();
  const all = await probe.queryFilter(probe.filters.NumberSet(), deployed.blockNumber);
  assert.deepEqual(all.map((log) => log.args.number), [42n, 43n]);
  const mine = await probe.queryFilter(probe.filters.NumberSet(other.address), deployed.blockNumber, "latest");
  assert.deepEqual(mine.map((log) => log.args.number), [43n]);
  const byHash = await provider.getLogs({ blockHash: receipt.blockHash, address: [probe.target] });
  assert.equal(byHash[0].transactionHash, receipt.hash);
});

await check("polled listeners", async () => {
  const seen = new Promise((resolve) => probe.once("NumberSet", (by, number) => resolve(number)));
  const block = new Promise((resolve) => provider.once("block", resolve));
  await new Promise((resolve) => setTimeout(resolve, 3 * POLL_MS)); // the filter is made at the first poll
  await (await probe.set(44, "")).wait();
  assert.equal(await seen, 44n);
  assert.ok((await block) > deployed.blockNumber);
});

await check("node-side filters", async () => {
  const filter = await provider.send("eth_newFilter", [{ address: probe.target }]);
  const blocks = await provider.send("eth_newBlockFilter", []);
  const receipt = await (await probe.set(45, "")).wait();
  const logs = await provider.send("eth_getFilterChanges", [filter]);
  assert.deepEqual(logs.map((log) => log.transactionHash), [receipt.hash]);
  assert.ok((await provider.send("eth_getFilterChanges", [blocks])).includes(receipt.blockHash));
  assert.equal(await provider.send("eth_uninstallFilter", [filter]), true);
  assert.match((await refused(provider.send("eth_getFilterChanges", [filter]))).error.message, /filter not found/);
});

await check("subscriptions over WebSocket: newHeads, logs, pending", async () => {
  const socket = new WebSocketProvider(wsUrl);
  const watched = probe.connect(socket);
  const block = new Promise((resolve) => socket.once("block", resolve));
  const pending = new Promise((resolve) => socket.once("pending", resolve));
  const event = new Promise((resolve) => watched.once("NumberSet", (by, number) => resolve(number)));
  await socket.getBlockNumber(); // the three subscriptions were sent before it
  await new Promise((resolve) => setTimeout(resolve, 3 * POLL_MS));
  const sent = await probe.set(46, "");
  assert.equal(await event, 46n);
  assert.equal(await pending, sent.hash);
  assert.ok((await block) >= (await sent.wait()).blockNumber - 1);
  await socket.destroy();
});

await check("a batch", async () => {
  const [height, nonce, balance, number] = await Promise.all([
    provider.getBlockNumber(), owner.getNonce(), provider.getBalance(owner.address), probe.number(),
  ]);
  assert.ok(height > 0 && nonce > 0 && balance > 0n);
  assert.equal(number, 46n);
  const body = [1, 2, 3].map((id) => ({ jsonrpc: "2.0", id, method: "eth_getBlockByNumber", params: ["latest", false] }));
  const headers = { "content-type": "application/json" };
  const answers = await (await fetch(rpcUrl, { method: "POST", headers, body: JSON.stringify(body) })).json();
  assert.deepEqual(answers.map((answer) => answer.id), [1, 2, 3]);
});

await check("blocks with and without their transactions", async () => {
  const block = await provider.getBlock(deployed.blockNumber, true);
  assert.equal(block.prefetchedTransactions[0].hash, deployed.hash);
  assert.equal((await provider.getBlock(block.hash)).transactions[0], deployed.hash);
  for (const tag of ["earliest", "latest", "safe", "finalized", "pending"]) assert.ok(await provider.getBlock(tag), tag);
  assert.equal(await provider.getBlock(10 ** 9), null);
});

await check("eth_getProof, verified against the state root", async () => {
  const block = await provider.send("eth_getBlockByNumber", ["latest", false]);
  const slots = ["0x0", "0x5"];
  const proof = await provider.send("eth_getProof", [probe.target, slots, block.number]);
  assert.equal(BigInt(proof.storageProof[0].value), 46n);
  await verifyProof(block.stateRoot, proof);
  await verifyProof(block.stateRoot, await provider.send("eth_getProof", [owner.address, [], block.number]));
});

await check("fee estimates", async () => {
  const fees = await provider.getFeeData();
  assert.deepEqual([fees.gasPrice, fees.maxFeePerGas], [0n, null]); // a base fee of zero: ethers sends type 0
  const history = await provider.send("eth_feeHistory", ["0x4", "latest", [25, 75]]);
  assert.deepEqual(history.baseFeePerGas, Array(5).fill("0x0"));
  return `gasPrice ${fees.gasPrice}`;
});

await check("EIP-712", async () => {
  const domain = { name: "Probe", version: "1", chainId: 20_160_621, verifyingContract: probe.target };
  const types = { Offer: [{ name: "seller", type: "address" }, { name: "energyWh", type: "uint256" }] };
  const offer = { seller: owner.address, energyWh: 500n };
  assert.equal(verifyTypedData(domain, types, offer, await owner.signTypedData(domain, types, offer)), owner.address);
});

await check("what this chain refuses: a stranger, a creation with value", async () => {
  const endowed = new ContractFactory(abi, bytecode, owner).deploy(7, { value: 5n, gasLimit: 500_000 });
  assert.match((await refused(endowed)).message, /a contract creation carries no value on this chain/);
  const stranger = Wallet.createRandom().connect(provider);
  const error = await refused(stranger.sendTransaction({ to: other.address, gasLimit: 21_000n }));
  assert.match(error.message, /no member of the consortium vouches/);
});

finish();
