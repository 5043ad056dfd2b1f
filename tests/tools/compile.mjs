// Compiles a file of contracts/ with the pinned compiler: (file, contract) → { abi, bytecode }.
import { readFileSync } from "node:fs";
import solc from "solc";

export function compile(file, contract) {
  const input = {
    language: "Solidity",
    sources: { [file]: { content: readFileSync(new URL(`contracts/${file}`, import.meta.url), "utf8") } },
    settings: {
      evmVersion: "prague",
      optimizer: { enabled: true, runs: 200 },
      outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
    },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  if (output.errors?.length) throw new Error(output.errors.map((error) => error.formattedMessage).join("\n"));
  const made = output.contracts[file][contract];
  return { abi: made.abi, bytecode: `0x${made.evm.bytecode.object}` };
}
