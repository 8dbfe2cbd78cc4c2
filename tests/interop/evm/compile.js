// Compiles the contracts and, beside them, those of the tests: node compile.js [--check] FOLDER TESTS
// writes compiled.json into each folder; --check compares what is there with what the sources make.
"use strict";
const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const solc = require("solc");

const isCheck = process.argv[2] === "--check";
const folders = process.argv.slice(isCheck ? 3 : 2);
const sources = {};
const folderOf = {};
for (const folder of folders) {
  for (const name of fs.readdirSync(folder).filter((file) => file.endsWith(".sol"))) {
    sources[name] = { content: fs.readFileSync(path.join(folder, name), "utf8") };
    folderOf[name] = folder;
  }
}
const input = {
  language: "Solidity",
  sources,
  settings: {
    evmVersion: "cancun",
    optimizer: { enabled: true, runs: 200 },
    metadata: { appendCBOR: false, bytecodeHash: "none" },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
const said = output.errors ?? [];
if (said.length > 0) {
  process.stderr.write(said.map((one) => one.formattedMessage).join("\n"));
  process.exit(1); // a warning too
}
for (const folder of folders) {
  const made = { compiler: solc.version(), sources: {}, contracts: {} };
  for (const name of Object.keys(sources).sort()) {
    if (folderOf[name] !== folder) continue;
    made.sources[name] = crypto.createHash("sha256").update(sources[name].content).digest("hex");
    for (const [contract, { abi, evm }] of Object.entries(output.contracts[name] ?? {})) {
      if (evm.bytecode.object) made.contracts[contract] = { abi, bytecode: evm.bytecode.object };
    }
  }
  const file = path.join(folder, "compiled.json");
  const text = JSON.stringify(made, null, 1) + "\n";
  if (!isCheck) fs.writeFileSync(file, text);
  else if (fs.readFileSync(file, "utf8") !== text) {
    process.stderr.write(`${file} is not what its sources make: run \`make contracts\`\n`);
    process.exit(1);
  }
}
