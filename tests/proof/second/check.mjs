// A second checker of `holdfast-proof/1` and of certificates of completeness, written from docs/FORMAT.md
// alone, in another language.
//
//     node check.mjs TRAIL SALT_ID FILE...
//
// SALT_ID: `-` where none is known. Prints for each file the verdict; of a proof, the step of section 10 that
// it was reached at, too. Exit code: 0 if all are proven, else 1 if one is refuted, else 3.

import { readFileSync } from "node:fs";
import { checkCertificate, isCertificate } from "./certificate.mjs";
import {
  Malformed, Refuted, bytes, certified, hash, headOf, malformed, mustBeIn, nameOf, number, path, refuted,
  rootOf, sha256, text, utf8,
} from "./format.mjs";

// -- section 10

const FIELDS = [
  ["format", text], ["record", text], ["record_index", number], ["record_path", path], ["count", number],
  ["blind", (value) => hash(text(value))], ["leaf", text], ["leaf_index", number], ["leaf_path", path],
  ["segment", text], ["segment_path", path], ["certificate", text], ["head", text],
];

function formOf(data) {
  if (data.length > 16 * 1024 * 1024) malformed("the file is too large");
  const read = utf8(data);
  let found;
  try { found = JSON.parse(read); } catch { malformed("the file is no JSON"); }
  const written = `${JSON.stringify(found)}\n` === read;
  const keys = FIELDS.map(([key]) => key).join();
  if (found === null || typeof found !== "object" || found.format !== "holdfast-proof/1") malformed("it is of another format");
  if (!written || Object.keys(found).join() !== keys) malformed("it is not in its one form");
  return Object.fromEntries(FIELDS.map(([key, read]) => [key, read(found[key])]));
}

function check(data, trail, at) {
  at(1);
  const proof = formOf(data);
  at(2);
  const node = certified(proof.certificate, trail);
  at(3);
  const head = headOf(proof.head, node, trail);
  at(4);
  const name = nameOf(proof.segment);
  mustBeIn(bytes(proof.segment), name.index, head.size, proof.segment_path, head.root, "the segment");
  at(5);
  if (!/^[0-9a-f]{64} [0-9a-f]{64}$/.test(proof.leaf)) malformed("the leaf is none");
  mustBeIn(bytes(proof.leaf), proof.leaf_index, name.tenants, proof.leaf_path, name.root, "the leaf");
  at(6);
  if (proof.count < 1n || proof.count > name.count) refuted("a tenant has not so many records");
  const root = rootOf(bytes(proof.record), proof.record_index, proof.count, proof.record_path);
  const counted = Buffer.alloc(8);
  counted.writeBigUInt64BE(proof.count);
  const hidden = sha256(proof.blind, counted, root).toString("hex");
  if (hidden !== proof.leaf.slice(65)) refuted("the record is not what the leaf hides");
}

const [trail, saltId, ...files] = process.argv.slice(2);
const verdicts = files.map((file) => {
  let step = 0;
  const data = readFileSync(file);
  try {
    if (isCertificate(data)) return checkCertificate(data, trail, saltId);
    check(data, trail, (next) => { step = next; });
    return `proven ${step}`;
  } catch (error) {
    if (!(error instanceof Refuted || error instanceof Malformed)) console.error(error);
    const verdict = error instanceof Refuted ? "refuted" : "unchecked";
    if (process.env.WHY) console.error(error.message);
    return isCertificate(data) ? verdict : `${verdict} ${step}`;
  }
});
console.log(verdicts.join("\n"));
process.exitCode = verdicts.some((each) => each.startsWith("refuted")) ? 1 : verdicts.every((each) => each.startsWith("proven")) ? 0 : 3;
