// viem against a validator: node viem.mjs RPC_URL WS_URL. Every check must pass; else the status is 1.
import assert from "node:assert/strict";
import {
  BaseError,
  ContractFunctionRevertedError,
  InsufficientFundsError,
  NonceTooLowError,
  createPublicClient,
  createWalletClient,
  defineChain,
  encodeDeployData,
  http,
  parseEther,
  parseEventLogs,
  recoverTypedDataAddress,
  webSocket,
} from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { check, finish, MNEMONIC, refused, verifyProof } from "./checks.mjs";
import { compile } from "./compile.mjs";

const [rpcUrl, wsUrl] = process.argv.slice(2);
const chain = defineChain({
  id: 20_160_621,
  name: "gridpact devnet",
  nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [rpcUrl], webSocket: [wsUrl] } },
});
const fast = { pollingInterval: 100, cacheTime: 0 };
const client = createPublicClient({ chain, transport: http(undefined, { batch: true, retryCount: 0 }), ...fast });
const account = mnemonicToAccount(MNEMONIC, { addressIndex: 2 });
const other = mnemonicToAccount(MNEMONIC, { addressIndex: 3 });
const wallet = createWalletClient({ account, chain, transport: http(undefined, { retryCount: 0 }) });
const { abi, bytecode } = compile("Probe.sol", "Probe");
const mined = (hash) => client.waitForTransactionReceipt({ hash });
let probe; // { address, abi }
let deployed; // receipt

const set = (number, note = "", more = {}) =>
  wallet.writeContract({ ...probe, functionName: "set", args: [number, note], ...more });

await check("network", async () => {
  assert.equal(await client.getChainId(), chain.id);
  assert.ok((await client.getBalance({ address: account.address })) > parseEther("1000"));
});

await check("deploy", async () => {
  deployed = await mined(await wallet.deployContract({ abi, bytecode, args: [7n] }));
  assert.equal(deployed.status, "success");
  probe = { address: deployed.contractAddress, abi };
  assert.equal(await client.readContract({ ...probe, functionName: "number" }), 7n);
  return `gas ${deployed.gasUsed}`;
});

await check("transactions of type 0, 1 and 2", async () => {
  const accessList = [{ address: probe.address, storageKeys: [`0x${"00".repeat(32)}`] }];
  for (const fields of [
    { type: "legacy", gasPrice: 0n },
    { type: "eip2930", gasPrice: 0n, accessList },
    { type: "eip1559", maxFeePerGas: 0n, maxPriorityFeePerGas: 0n, accessList },
    {}, // what viem chooses by itself
  ]) {
    const hash = await wallet.sendTransaction({ to: other.address, value: 1n, ...fields });
    const [receipt, read] = [await mined(hash), await client.getTransaction({ hash })];
    assert.deepEqual([receipt.status, receipt.type, read.type], ["success", fields.type ?? "eip1559", receipt.type]);
    if (fields.accessList) assert.equal(read.accessList[0].address, probe.address.toLowerCase());
    assert.equal(receipt.effectiveGasPrice, 0n);
  }
});

await check("sendTransactionSync answers with the receipt", async () => {
  const receipt = await wallet.sendTransactionSync({ to: other.address, value: 1n });
  assert.deepEqual([receipt.status, receipt.to], ["success", other.address.toLowerCase()]);
  assert.deepEqual(await client.getTransactionReceipt({ hash: receipt.transactionHash }), receipt);
});

await check("a custom error, a reason and a panic are decoded", async () => {
  const decoded = async (promise) => {
    const reverted = (await refused(promise)).walk((error) => error instanceof ContractFunctionRevertedError);
    return [reverted.data.errorName, ...reverted.data.args];
  };
  const attempt = (number) => client.simulateContract({ ...probe, functionName: "set", args: [number, ""], account });
  assert.deepEqual(await decoded(attempt(2_000n)), ["TooLarge", 2_000n, 1_000n]);
  assert.deepEqual(await decoded(set(2_000n)), ["TooLarge", 2_000n, 1_000n]);
  assert.deepEqual(await decoded(attempt(13n)), ["Error", "thirteen is refused"]);
  assert.deepEqual(await decoded(client.readContract({ ...probe, functionName: "divide", args: [0n] })), ["Panic", 18n]);
});

await check("a reverted transaction is mined and reported", async () => {
  assert.equal((await mined(await set(13n, "", { gas: 100_000n }))).status, "reverted");
});

await check("simulateContract, then write what it returned", async () => {
  const { request, result } = await client.simulateContract({ ...probe, functionName: "set", args: [41n, "x"], account });
  assert.equal(result, 7n);
  assert.equal((await mined(await wallet.writeContract(request))).status, "success");
  assert.equal(await client.readContract({ ...probe, functionName: "number" }), 41n);
});

await check("NonceTooLowError, InsufficientFundsError, replacement underpriced", async () => {
  const fields = { to: other.address, gas: 21_000n, maxFeePerGas: 0n, maxPriorityFeePerGas: 0n };
  const has = (error, kind) => assert.ok(error instanceof BaseError && error.walk((one) => one instanceof kind), error);
  has(await refused(wallet.sendTransaction({ ...fields, nonce: 0 })), NonceTooLowError);
  has(await refused(wallet.sendTransaction({ ...fields, value: parseEther("1000000") })), InsufficientFundsError);
  const call = { account: other.address, to: account.address, value: parseEther("1000000") };
  has(await refused(client.call(call)), InsufficientFundsError);

  const nonce = await client.getTransactionCount({ address: account.address });
  const waiting = await wallet.sendTransaction({ ...fields, nonce: nonce + 1, value: 1n });
  const same = await refused(wallet.sendTransaction({ ...fields, nonce: nonce + 1, value: 2n }));
  assert.match(same.details, /replacement transaction underpriced/);
  await wallet.sendTransaction({ ...fields, nonce });
  assert.equal((await mined(waiting)).status, "success");
});

await check("waitForTransactionReceipt tells of a replacement", async () => {
  const fields = { to: other.address, gas: 21_000n };
  const nonce = await client.getTransactionCount({ address: account.address });
  const first = await wallet.sendTransaction({ ...fields, nonce: nonce + 1, maxFeePerGas: 10n, maxPriorityFeePerGas: 10n });
  let reason;
  const receipt = client.waitForTransactionReceipt({ hash: first, onReplaced: (found) => (reason = found.reason) });
  await new Promise((resolve) => setTimeout(resolve, 500)); // it reads at once who sent what; later it could not
  const price = { maxFeePerGas: 20n, maxPriorityFeePerGas: 20n };
  const second = await wallet.sendTransaction({ ...fields, nonce: nonce + 1, ...price });
  await wallet.sendTransaction({ ...fields, nonce, maxFeePerGas: 0n, maxPriorityFeePerGas: 0n });
  assert.deepEqual([(await receipt).transactionHash, reason], [second, "repriced"]);
});

await check("events and logs", async () => {
  const receipt = await mined(await set(42n, "forty-two"));
  const [event] = parseEventLogs({ abi, logs: receipt.logs });
  assert.deepEqual(event.args, { by: account.address, number: 42n, note: "forty-two" });
  const query = { ...probe, eventName: "NumberSet", fromBlock: deployed.blockNumber };
  assert.deepEqual((await client.getContractEvents(query)).map((log) => log.args.number), [41n, 42n]);
  const one = await client.getContractEvents({ ...query, args: { number: [42n, 43n] } });
  assert.deepEqual(one.map((log) => log.transactionHash), [receipt.transactionHash]);
  const byHash = await client.getLogs({ blockHash: receipt.blockHash });
  assert.ok(byHash.some((log) => log.transactionHash === receipt.transactionHash));
});

await check("node-side filters", async () => {
  const filter = await client.createContractEventFilter({ ...probe, eventName: "NumberSet" });
  const [blocks, pending] = [await client.createBlockFilter(), await client.createPendingTransactionFilter()];
  const receipt = await mined(await set(43n));
  assert.deepEqual((await client.getFilterChanges({ filter })).map((log) => log.args.number), [43n]);
  assert.deepEqual(await client.getFilterChanges({ filter }), []);
  assert.ok((await client.getFilterChanges({ filter: blocks })).includes(receipt.blockHash));
  assert.ok((await client.getFilterChanges({ filter: pending })).includes(receipt.transactionHash));
  assert.equal(await client.uninstallFilter({ filter }), true);
});

await check("subscriptions over WebSocket: newHeads, logs, pending", async () => {
  const socket = createPublicClient({ chain, transport: webSocket() });
  const ends = [];
  const once = (watch) => new Promise((resolve, reject) => ends.push(watch(resolve, reject)));
  const head = once((onBlockNumber, onError) => socket.watchBlockNumber({ onBlockNumber, onError }));
  const logs = once((onLogs, onError) => socket.watchContractEvent({ ...probe, eventName: "NumberSet", onLogs, onError }));
  const hashes = once((onTransactions, onError) => socket.watchPendingTransactions({ onTransactions, onError }));
  await socket.getBlockNumber();
  await socket.getChainId(); // sent after the subscriptions
  const hash = await set(44n);
  assert.deepEqual((await logs).map((log) => [log.args.number, log.transactionHash]), [[44n, hash]]);
  assert.ok((await hashes).includes(hash));
  assert.ok((await head) >= deployed.blockNumber);
  for (const end of ends) end();
});

await check("a batch", async () => {
  const heights = await Promise.all(Array.from({ length: 20 }, (_, index) => client.getBlock({ blockNumber: BigInt(index % 3) })));
  assert.deepEqual(heights.map((block) => block.number), Array.from({ length: 20 }, (_, index) => BigInt(index % 3)));
});

await check("eth_getProof, verified against the state root", async () => {
  const block = await client.getBlock();
  const storageKeys = [`0x${"00".repeat(32)}`, `0x${"05".padStart(64, "0")}`];
  const proof = await client.getProof({ address: probe.address, storageKeys, blockNumber: block.number });
  assert.equal(proof.storageProof[0].value, 44n);
  await verifyProof(block.stateRoot, proof);
});

await check("fee estimates", async () => {
  const fees = await client.estimateFeesPerGas();
  assert.deepEqual(fees, { maxFeePerGas: 0n, maxPriorityFeePerGas: 0n });
  assert.deepEqual(await client.estimateFeesPerGas({ type: "legacy" }), { gasPrice: 0n });
  const history = await client.getFeeHistory({ blockCount: 4, rewardPercentiles: [25, 75] });
  assert.deepEqual(history.baseFeePerGas, Array(5).fill(0n));
  assert.equal(history.reward.length, 4);
  const gas = await client.estimateContractGas({ ...probe, functionName: "set", args: [45n, ""], account });
  assert.ok(gas > 25_000n && gas < 100_000n);
  return `maxFeePerGas ${fees.maxFeePerGas}`;
});

await check("EIP-712", async () => {
  const data = {
    domain: { name: "Probe", version: "1", chainId: chain.id, verifyingContract: probe.address },
    types: { Offer: [{ name: "seller", type: "address" }, { name: "energyWh", type: "uint256" }] },
    primaryType: "Offer",
    message: { seller: account.address, energyWh: 500n },
  };
  const signature = await wallet.signTypedData(data);
  assert.equal(await recoverTypedDataAddress({ ...data, signature }), account.address);
  assert.equal(await client.verifyTypedData({ ...data, address: account.address, signature }), true);
});

await check("multicall without a deployed Multicall3, by deployless call", async () => {
  const contracts = [
    { ...probe, functionName: "number" },
    { ...probe, functionName: "amounts", args: [account.address] },
    { ...probe, functionName: "divide", args: [0n] },
  ];
  const [number, amount, failed] = await client.multicall({ contracts, deployless: true });
  assert.deepEqual([number.result, failed.status], [44n, "failure"]);
  assert.ok(amount.result > 0n);
});

await check("a call of a contract that is not deployed", async () => {
  const code = encodeDeployData({ abi, bytecode, args: [55n] });
  assert.equal(await client.readContract({ abi, code, functionName: "number" }), 55n);
});

await check("state and block overrides", async () => {
  const slot = `0x${"00".repeat(32)}`;
  const stateOverride = [{ address: probe.address, stateDiff: [{ slot, value: `0x${"63".padStart(64, "0")}` }] }];
  assert.equal(await client.readContract({ ...probe, functionName: "number", stateOverride }), 99n);
  assert.equal(await client.readContract({ ...probe, functionName: "number" }), 44n);
  const rich = [{ address: other.address, balance: parseEther("2000000") }];
  await client.call({ account: other.address, to: account.address, value: parseEther("1000000"), stateOverride: rich });
  const code = "0x435f5260205ff3"; // returns NUMBER
  const overridden = [{ address: `0x${"ab".repeat(20)}`, code }];
  const { data } = await client.call({
    to: overridden[0].address, stateOverride: overridden, blockOverrides: { number: 1_000_000n },
  });
  assert.equal(BigInt(data), 1_000_000n);
});

await check("createAccessList", async () => {
  const made = await client.createAccessList({
    account: account.address, to: probe.address, data: "0x8381f58a", // number()
  });
  assert.deepEqual(made.accessList, [{ address: probe.address.toLowerCase(), storageKeys: [`0x${"00".repeat(32)}`] }]);
  assert.ok(made.gasUsed > 21_000n);
});

await check("simulateBlocks and simulateCalls", async () => {
  const head = await client.getBlock();
  const call = (number) => ({ to: probe.address, abi, functionName: "set", args: [number, "simulated"], account: account.address });
  const blocks = await client.simulateBlocks({
    blocks: [{ calls: [call(51n), call(2_000n)] }, { blockOverrides: { time: head.timestamp + 60n }, calls: [call(52n)] }],
  });
  assert.equal(blocks[1].timestamp, head.timestamp + 60n);
  assert.equal(blocks[1].parentHash, blocks[0].hash);
  assert.deepEqual(blocks[0].calls.map((one) => one.status), ["success", "failure"]);
  assert.equal(blocks[1].calls[0].result, 51n); // what the block before it left
  const { results } = await client.simulateCalls({ account: account.address, calls: [call(53n)] });
  assert.equal(results[0].result, 44n);
  assert.equal(await client.readContract({ ...probe, functionName: "number" }), 44n);
});

finish();
