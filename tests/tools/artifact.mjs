// Prints a contract's artifact: node artifact.mjs FILE CONTRACT.
import { compile } from "./compile.mjs";

const [file, contract] = process.argv.slice(2);
console.log(JSON.stringify({ name: contract, gas: 5_000_000, ...compile(file, contract) }));
