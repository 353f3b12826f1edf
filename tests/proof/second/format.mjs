// Sections 1 to 9 of docs/FORMAT.md, for the second checker.

import { createHash, createPublicKey, verify } from "node:crypto";

export class Malformed extends Error {}
export class Refuted extends Error {}

export const malformed = (told) => { throw new Malformed(told); };
export const refuted = (told) => { throw new Refuted(told); };
export const sha256 = (...parts) => createHash("sha256").update(Buffer.concat(parts)).digest();
export const bytes = (text) => Buffer.from(text, "utf8");

// -- section 1: one form for everything

const DECIMAL = /^(0|[1-9][0-9]{0,18})$/;
const MAX = 2n ** 63n - 1n;

export function decimal(text) {
  if (!DECIMAL.test(text) || BigInt(text) > MAX) malformed(`${text} is no decimal`);
  return BigInt(text);
}

export function base64(text) {
  const data = Buffer.from(text, "base64");
  if (data.toString("base64") !== text) malformed("a value is not base64 in its one form");
  return data;
}

export function hash(text) {
  const data = base64(text);
  return data.length === 32 ? data : malformed("a hash is not of 32 bytes");
}

export function utf8(data) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
  } catch { malformed("it is not UTF-8"); }
}

export function id(text) {
  return /^[0-9a-f]{32}$/.test(text) ? text : malformed("an id is not of 32 hex digits");
}

export function string(text) {
  let value;
  try { value = JSON.parse(text); } catch { malformed("a string is no JSON"); }
  if (typeof value !== "string" || JSON.stringify(value) !== text) malformed("a string is not in its one form");
  return value;
}

// -- section 8: trees

export const EMPTY = sha256();
export const leafHash = (leaf) => sha256(Buffer.from([0]), leaf);
export const nodeHash = (left, right) => sha256(Buffer.from([1]), left, right);

// RFC 9162, section 2.1.3.2, word for word.
export function rootOf(leaf, index, size, path) {
  if (index >= size) refuted(`leaf ${index} is outside of a tree of ${size}`);
  let fn = index, sn = size - 1n, r = leafHash(leaf);
  for (const p of path) {
    if (sn === 0n) refuted("the path is too long");
    if (fn & 1n || fn === sn) {
      r = nodeHash(p, r);
      while (!(fn & 1n) && fn !== 0n) { fn >>= 1n; sn >>= 1n; }
    } else {
      r = nodeHash(r, p);
    }
    fn >>= 1n; sn >>= 1n;
  }
  if (sn !== 0n) refuted("the path is too short");
  return r;
}

export function mustBeIn(leaf, index, size, path, root, what) {
  if (!rootOf(leaf, index, size, path).equals(root)) refuted(`${what} is not in its tree`);
}

// -- section 5: signed notes and statements

const NOTE_MAX = 65536;
const KEY_PREFIX = Buffer.from("302a300506032b6570032100", "hex"); // SPKI of an Ed25519 key

export function noteOf(text) {
  if (bytes(text).length > NOTE_MAX) malformed("a note is too large");
  if (/[\x00-\x09\x0b-\x1f]/.test(text)) malformed("a note holds a control character");
  const end = text.lastIndexOf("\n\n");
  if (end < 0 || !text.endsWith("\n")) malformed("a note has no signatures");
  const lines = text.slice(end + 2, -1).split("\n");
  if (lines.length > 64) malformed("a note has too many signatures");
  const signatures = lines.map((line) => {
    const found = /^— ([^\s+]+) (\S+)$/u.exec(line) ?? malformed("a signature line is none");
    const raw = base64(found[2]);
    if (raw.length < 5) malformed("a signature is cut off");
    return { name: found[1], id: raw.subarray(0, 4), signature: raw.subarray(4) };
  });
  return { text: text.slice(0, end + 1), signatures };
}

export function mustBeSigned(note, name, key) {
  const keyId = sha256(bytes(name), Buffer.from([0x0a, 0x01]), key).subarray(0, 4);
  const publicKey = createPublicKey({ key: Buffer.concat([KEY_PREFIX, key]), format: "der", type: "spki" });
  const own = note.signatures.filter((each) => each.name === name && each.id.equals(keyId));
  if (own.length === 0) refuted(`${name} did not sign`);
  for (const each of own) {
    if (!verify(null, bytes(note.text), publicKey, each.signature)) refuted(`a signature of ${name} does not hold`);
  }
}

// A table has [key, reader, how many]: once where nothing is said, else "?" or "*".
export function statement(note, kind, table) {
  const [first, origin, ...lines] = note.text.split("\n");
  if (first !== kind) malformed(`it is a ${first}, not a ${kind}`);
  if (lines.pop() !== "") malformed(`a ${kind} is cut off`);
  const values = { origin };
  let at = 0;
  for (const [key, read, times] of table) {
    const found = [];
    while (at < lines.length && lines[at].startsWith(`${key} `)) {
      found.push(read(lines[at].slice(key.length + 1)));
      at += 1;
    }
    if (times !== "*" && (found.length > 1 || (!times && !found.length))) malformed(`a line ${key} is not in its place`);
    values[key] = times === "*" ? found : found[0];
  }
  if (at !== lines.length) malformed(`a ${kind} has other lines`);
  if (!/^holdfast\/[0-9a-f]{32}(\/[0-9a-f]{32})?$/.test(origin)) malformed("the origin is none");
  return values;
}

export function end(text) {
  const [size, first, sealed, root, ...range] = text.split(" ");
  if (root === undefined) malformed("an end is cut off");
  const numbers = [size, first, sealed].map(decimal);
  const hashes = range.map(hash);
  const ones = [...numbers[0].toString(2)].filter((bit) => bit === "1").length;
  if (hashes.length !== ones) malformed("an end has not one hash for each 1 bit of its size");
  if (numbers[0] === 0n && (numbers[1] || numbers[2])) malformed("an empty ledger is `0 0 0`");
  if (numbers[0] !== 0n && (numbers[1] < numbers[0] || numbers[2] < 1n)) malformed("no ledger has these numbers");
  const whole = hashes.length ? hashes.reduceRight((right, left) => nodeHash(left, right)) : EMPTY;
  if (!whole.equals(hash(root))) refuted("an end's root is not that of its range");
  return { size: numbers[0], root: whole };
}

export const inner = (text) => text === "" ? malformed("a note is empty") : base64(text);
const CERTIFICATE = [["trail_key", hash], ["node", id], ["node_key", hash], ["certified_us", decimal]];
const CLOSED = [
  ["epoch", decimal], ["end", end], ["by", id], ["why", string], ["closed_us", decimal],
  ["certificate", inner],
];

export const idOf = (key) => sha256(key).toString("hex").slice(0, 32);

export function certified(text, trail) {
  const note = noteOf(text);
  const found = statement(note, "holdfast-certificate/1", CERTIFICATE);
  if (found.node !== idOf(found.node_key)) malformed("the node is not that of its key");
  if (idOf(found.trail_key) !== trail) refuted("it is another trail's");
  if (found.origin !== `holdfast/${trail}`) refuted("it speaks of another origin");
  mustBeSigned(note, `holdfast/${trail}`, found.trail_key);
  return found;
}

export function headOf(text, node, trail) {
  const note = noteOf(text);
  const origin = `holdfast/${trail}/${node.node}`;
  if (text.startsWith("holdfast-")) {
    const closed = statement(note, "holdfast-closed/1", CLOSED);
    const closer = certified(utf8(closed.certificate), trail);
    if (closer.node !== closed.by) refuted("the certificate is not the closer's");
    mustBeSigned(note, `holdfast/${trail}/${closer.node}`, closer.node_key);
    if (!closed.origin.includes("/", 9)) malformed("a close is of a ledger");
    if (closed.origin !== origin) refuted("it is the close of another ledger");
    return closed.end;
  }
  const lines = note.text.slice(0, -1).split("\n");
  if (lines.length < 3 || lines.includes("")) malformed("a checkpoint has other lines");
  const head = { size: decimal(lines[1]), root: hash(lines[2]) };
  mustBeSigned(note, origin, node.node_key);
  return lines[0] === origin ? head : refuted("it is the checkpoint of another ledger");
}

// -- section 4: names

const NAME = /^([0-9a-f]{10})-([0-9a-f]{6})-([0-9a-f]{12})-([0-9a-f]{6})-([0-9a-f]{6})-([0-9a-f]{14})-([0-9a-f]{64})-([0-9a-f]{64})$/;

export function nameOf(text) {
  const found = NAME.exec(text) ?? malformed("it is no segment's name");
  const [index, epoch, first, count, tenants, sealed] = found.slice(1, 7).map((hex) => BigInt(`0x${hex}`));
  if (tenants < 1n || tenants > count || epoch < 1n || sealed < 1n || first < index) malformed("no segment has this name");
  return { index, epoch, first, count, tenants, sealed, root: Buffer.from(found[7], "hex"), text };
}

// -- section 10: fields of JSON objects

export const number = (value) => Number.isSafeInteger(value) && value >= 0 ? BigInt(value) : malformed("a field is no number");
export const text = (value) => typeof value === "string" && !/\p{Surrogate}/u.test(value) ? value : malformed("a field is no string");
export const path = (value) => Array.isArray(value) ? value.map((each) => hash(text(each))) : malformed("a field is no path");
