#!/usr/bin/env node
// npm's compiler in the place of a native one, for those who run `solc --standard-json`, as Foundry does.
import { readFileSync } from "node:fs";
import solc from "solc";

const words = process.argv.slice(2);
if (words.includes("--version")) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else if (words.includes("--standard-json")) {
  process.stdout.write(solc.compile(readFileSync(0, "utf8")));
} else {
  console.error(`expected --version or --standard-json, found ${words.join(" ")}`);
  process.exit(1);
}
