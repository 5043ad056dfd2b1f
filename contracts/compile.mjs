// Compiles src/*.sol with the pinned compiler and writes artifacts/*.json; `--out DIR` writes them elsewhere.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

const here = dirname(fileURLToPath(import.meta.url));
const flag = process.argv.indexOf("--out");
const out = flag < 0 ? join(here, "artifacts") : process.argv[flag + 1];
const DEPLOYED = [
  "Consortium",
  "Disclosures",
  "EnergyToken",
  "FiatToken",
  "Market",
  "MeterRegistry",
  "PrivacyRegistry",
  "PrivateMarket",
  "SealedMeters",
  "ShieldedPool",
  "TestToken",
];
// whose storage the node reads without a call
const WITH_LAYOUT = new Set(["Consortium", "PrivacyRegistry", "PrivateMarket", "ShieldedPool"]);
const ELSEWHERE = ["TestToken.sol"]; // also runs on development chains that know no later fork than Shanghai

const files = readdirSync(join(here, "src")).filter((file) => file.endsWith(".sol")).sort();
const inputFor = (some, evmVersion) => ({
  language: "Solidity",
  sources: Object.fromEntries(some.map((file) => [file, { content: readFileSync(join(here, "src", file), "utf8") }])),
  settings: {
    evmVersion,
    optimizer: { enabled: true, runs: 200 },
    viaIR: true,
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: {
      "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "storageLayout", "userdoc"] },
    },
  },
});
const read = (path) => ({ contents: readFileSync(join(here, "node_modules", path), "utf8") });
const compile = (some, evmVersion) => {
  const output = JSON.parse(solc.compile(JSON.stringify(inputFor(some, evmVersion)), { import: read }));
  const messages = output.errors ?? [];
  for (const message of messages) console.error(message.formattedMessage);
  if (messages.length > 0) process.exit(1);
  return output.contracts;
};
const contracts = {
  ...compile(files.filter((file) => !ELSEWHERE.includes(file)), "prague"),
  ...compile(ELSEWHERE, "shanghai"),
};

// solc numbers types by syntax-tree node; the numbers say nothing, and sorting makes the file independent of order.
const withoutNodeIds = (value) => {
  const text = JSON.stringify(value, (key, part) => (key === "astId" ? undefined : part));
  return JSON.parse(text.replaceAll(/\)\d+/g, ")"));
};
const sorted = (value) => {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
};

mkdirSync(out, { recursive: true });
for (const name of DEPLOYED) {
  const contract = contracts[`${name}.sol`][name];
  const artifact = {
    abi: contract.abi,
    bytecode: `0x${contract.evm.bytecode.object}`,
    compiler: solc.version(),
    contract: name,
    deployedBytecode: `0x${contract.evm.deployedBytecode.object}`,
    errors: Object.fromEntries(
      Object.entries(contract.userdoc.errors ?? {}).map(([signature, [doc]]) => [signature, doc.notice]),
    ),
  };
  if (WITH_LAYOUT.has(name)) artifact.storageLayout = withoutNodeIds(contract.storageLayout);
  writeFileSync(join(out, `${name}.json`), `${JSON.stringify(sorted(artifact), null, 1)}\n`);
  const size = contract.evm.deployedBytecode.object.length / 2;
  console.log(`${name}: ${size} bytes deployed`);
  if (size > 24576) {
    console.error(`${name} is larger than 24,576 bytes (EIP-170)`);
    process.exit(1);
  }
}
