// What the scripts share: named checks, each bounded in time, and proofs against a state root.
import assert from "node:assert/strict";
import { createMPTFromProof } from "@ethereumjs/mpt";
import { RLP } from "@ethereumjs/rlp";
import { bytesToHex, hexToBytes } from "@ethereumjs/util";

export const MNEMONIC = "test test test test test test test test test test test junk"; // of every devnet
export const BOUND_MS = 60_000;
const SHOWN = 2_000; // characters of an error
let passed = 0;

// Run a check; a failure or BOUND_MS without an end ends the script with status 1.
export async function check(name, job) {
  let timer;
  const late = new Promise((_, refuse) => {
    timer = setTimeout(() => refuse(new Error(`no end within ${BOUND_MS} ms`)), BOUND_MS);
  });
  try {
    const seen = await Promise.race([job(), late]);
    console.log(`ok ${name}${seen === undefined ? "" : `: ${seen}`}`);
    passed += 1;
  } catch (error) {
    console.log(`FAILED ${name}`);
    console.error(error.message.slice(0, SHOWN));
    console.error(error.stack?.split("\n").filter((line) => line.startsWith("    at ")).join("\n"));
    process.exit(1);
  } finally {
    clearTimeout(timer);
  }
}

export function finish() {
  console.log(`${passed} checks passed`);
  process.exit(0); // open sockets do not keep it
}

// Await a rejection and return the error.
export async function refused(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new assert.AssertionError({ message: "expected a refusal" });
}

// Check every part of an `eth_getProof` answer against a state root (EIP-1186), with ethereumjs's trie.
export async function verifyProof(stateRoot, proof) {
  const get = async (root, key, nodes) => {
    const trie = await createMPTFromProof(nodes.map(hexToBytes), { useKeyHashing: true, root: hexToBytes(root) });
    return trie.get(hexToBytes(key));
  };
  const account = RLP.decode(await get(stateRoot, proof.address, proof.accountProof));
  const integer = (bytes) => (bytes.length === 0 ? 0n : BigInt(bytesToHex(bytes)));
  assert.equal(integer(account[0]), BigInt(proof.nonce), "nonce");
  assert.equal(integer(account[1]), BigInt(proof.balance), "balance");
  assert.equal(bytesToHex(account[2]), proof.storageHash, "storage root");
  assert.equal(bytesToHex(account[3]), proof.codeHash, "code hash");
  for (const slot of proof.storageProof) {
    const key = `0x${BigInt(slot.key).toString(16).padStart(64, "0")}`;
    const found = await get(proof.storageHash, key, slot.proof);
    assert.equal(found === null ? 0n : integer(RLP.decode(found)), BigInt(slot.value), `slot ${slot.key}`);
  }
}
