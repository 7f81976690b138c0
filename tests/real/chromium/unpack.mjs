// Unpacks the Chromium that @sparticuz/chromium carries into this folder: the program, its libraries, its fonts.
import { spawnSync } from "node:child_process";
import { chmodSync, createReadStream, createWriteStream, renameSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";

const packed = "node_modules/@sparticuz/chromium/bin";

const unpack = (from, to) => pipeline(createReadStream(`${packed}/${from}`), createBrotliDecompress(), createWriteStream(to));

await unpack("chromium.br", "chromium.part");
for (const name of ["al2023.tar", "fonts.tar"]) {
  await unpack(`${name}.br`, name);
  const done = spawnSync("tar", ["-xf", name], { stdio: "inherit" });
  if (done.status !== 0) process.exit(1);
}
chmodSync("chromium.part", 0o755);
// last: a program that is there is a whole one
renameSync("chromium.part", "chromium");
