/**
 * agent/directory/directory.proto → agent/generated/directory-schema.ts: the same, as the JSON that protobuf.js reads.
 *
 *   node scripts/generate-directory.ts           writes it
 *   node scripts/generate-directory.ts --check   fails when the tree's copy is stale
 *
 * So the bundle needs neither a file at run time nor a parser of .proto files.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";

const SOURCE = fileURLToPath(new URL("../agent/directory/directory.proto", import.meta.url));
const TARGET = fileURLToPath(new URL("../agent/generated/directory-schema.ts", import.meta.url));

const { root } = protobuf.parse(readFileSync(SOURCE, "utf8"));
const wanted = `// Generated from agent/directory/directory.proto by scripts/generate-directory.ts: run \`npm run generate\`.
export const DIRECTORY: object = ${JSON.stringify(root.toJSON(), undefined, 2)};
`;

if (process.argv.includes("--check")) {
  if (readFileSync(TARGET, "utf8") !== wanted) {
    process.stderr.write("agent/generated/directory-schema.ts is stale: run `npm run generate`\n");
    process.exitCode = 1;
  }
} else {
  writeFileSync(TARGET, wanted);
}
