// Section 10 of docs/FORMAT.md: certificates of completeness, of versions 1 and 2.

import { createHmac } from "node:crypto";
import {
  bytes, certified, decimal, end, hash, headOf, id, idOf, inner, leafHash, malformed, mustBeSigned, nameOf,
  nodeHash, noteOf, number, refuted, sha256, statement, string, text, utf8,
} from "./format.mjs";

const LINE_MAX = 16 * 1024 * 1024;
const BEGINS = /^\{"format":"holdfast-completeness(?:-all)?\/[12]"/;
const list = (of) => (value) => Array.isArray(value) ? value.map(of) : malformed("a field is no array");
const key = (value) => hash(text(value));
const hashes = list(key);
const texts = list(text);
const HEX = /^[0-9a-f]{64}$/;

const ASKED = [["from_us", number], ["to_us", number], ["complete_through_us", number], ["basis", texts], ["nodes", texts]];
const AROUND = [["segment", text], ["leaf", number], ["before", hashes], ["after", hashes]];
const WHOLE = [["segment", text], ["tags", texts], ["blinds", hashes], ["counts", list(number)]];
const SHOWN = [["hashes", hashes], ["records", number]];
const LEFT = [["floors", number], ["hidden", hashes]];
const TABLES = {
  stretch: [
    ["gaps", texts], ["certificate", text], ["head", text], ["start", number], ["end", number], ["before", hashes],
    ["after", hashes], ["until", text],
  ],
  segment: [["segment", text]],
  tenant: [...AROUND, ["beside", texts], ...SHOWN],
  whole: [...WHOLE, ...SHOWN],
  left: [...AROUND, ...LEFT, ...SHOWN],
  "whole-left": [...WHOLE, ...LEFT, ...SHOWN],
  floor: [["note", text]],
  gone: [
    ["unit", text], ["retention", text], ["leaf", number], ["before", hashes], ["after", hashes], ["leaves", texts],
    ["hashes", hashes],
  ],
};

const FLOOR = [
  ["unit", unitEnd], ["class", (word) => word], ["rule", string], ["min", decimal], ["max", decimal], ["rows", decimal],
  ["earliest_us", decimal], ["latest_us", decimal], ["by", id], ["floored_us", decimal], ["certificate", inner],
  ["remains", hex], ["part", (line) => line, "*"], ["gone", tree],
];
const HEARTBEAT = [
  ["epoch", decimal], ["n", decimal], ["time_us", decimal], ["promise_us", decimal], ["promise_size", decimal],
  ["checkpoint", inner, "?"], ["region", (line) => line, "*"],
];
const BIRTH = [
  ["trail_key", hash], ["node_key", hash], ["certificate", inner], ["epoch", decimal], ["instance", id], ["started_us", decimal],
  ["quorum", decimal], ["region", (line) => line, "*"], ["base", end],
];
const GAP = [
  ["trail_key", hash], ["from", decimal], ["to", decimal], ["first", decimal, "?"], ["next", decimal, "?"], ["after_us", decimal],
  ["until_us", decimal, "?"], ["region", (line) => line, "*"], ["gone", (line) => line, "*"], ["by", string], ["cause", string],
  ["declared_us", decimal],
];
const CLOSED = [["epoch", decimal], ["end", end], ["by", id], ["why", string], ["closed_us", decimal], ["certificate", inner]];

function hex(word) {
  return HEX.test(word) ? word : malformed("it is no hash of 64 hex digits");
}

function tree(line) {
  const [size, root, ...more] = line.split(" ");
  if (root === undefined || more.length) malformed("a tree is two words");
  return { size: decimal(size), root: hash(root) };
}

// When a unit is over, µs; its name beside it.
function unitEnd(name) {
  const found = /^(\d{4}-\d\d-\d\d)(?:t([01]\d|2[0-3]))?$/.exec(name) ?? malformed("a unit is none");
  const start = Date.parse(`${found[1]}T00:00:00Z`);
  if (Number.isNaN(start) || new Date(start).toISOString().slice(0, 10) !== found[1]) malformed("a unit is no day");
  const hours = found[2] === undefined ? 24 : Number(found[2]) + 1;
  return { name, end: (BigInt(start) + BigInt(hours) * 3600000n) * 1000n };
}

function parsed(line, mark, name, table) {
  const read = utf8(line);
  let found;
  try { found = JSON.parse(read); } catch { malformed("a line is no JSON"); }
  if (found === null || typeof found !== "object" || Array.isArray(found)) malformed("a line is no object");
  const keys = [mark, ...table.map(([each]) => each)].join();
  if (Object.keys(found).join() !== keys || found[mark] !== name) malformed(`a line is no ${name}`);
  if (`${JSON.stringify(found)}\n` !== read) malformed("a line is not in its one form");
  return { kind: name, ...Object.fromEntries(table.map(([each, of]) => [each, of(found[each])])) };
}

function kindOf(line) {
  const found = /^\{"line":"([a-z-]+)"/.exec(line.subarray(0, 40).toString("latin1"));
  return found ? found[1] : malformed("a line has no kind");
}

// The root of a tree of `size` leaves: [i, i + leaves.length) are these, the rest stands around them.
function rootAround(leaves, i, before, after, size) {
  const pieces = new Map();
  let at = 0n;
  const put = (width, hash) => { pieces.set(at, { end: at + width, hash }); at += width; };
  let waiting = [...before];
  for (let bit = 1n << 60n; bit; bit >>= 1n) {
    if (i & bit) put(bit, waiting.shift() ?? malformed("something is missing on the left"));
  }
  if (waiting.length) malformed("something more is on the left");
  for (const leaf of leaves) put(1n, leaf);
  waiting = [...after];
  while (at < size) {
    const low = at & -at;
    put(low < size - at ? low : size - at, waiting.shift() ?? malformed("something is missing on the right"));
  }
  if (waiting.length || at !== size || !leaves.length) malformed("what surrounds the leaves does not fit");
  const root = (from, to) => {
    const piece = pieces.get(from);
    if (piece && piece.end === to) return piece.hash;
    let half = 1n;
    while (half * 2n < to - from) half *= 2n;
    return to - from < 2n ? malformed("a leaf is missing") : nodeHash(root(from, from + half), root(from + half, to));
  };
  return root(0n, size);
}

const treeOf = (leaves) => leaves.length ? rootAround(leaves, 0n, [], [], BigInt(leaves.length)) : sha256();

function hiddenOf(blind, count, root) {
  const counted = Buffer.alloc(8);
  counted.writeBigUInt64BE(count);
  return sha256(blind, counted, root).toString("hex");
}

function ascending(words) {
  words.forEach((word, at) => { if (at && words[at - 1] >= word) malformed("they are not in ascending order"); });
}

function timeText(us) {
  if (us >= 2n ** 56n) malformed("it is no time");
  const seconds = new Date(Number(us / 1000000n) * 1000).toISOString().slice(0, 19);
  return `${seconds}.${String(us % 1000000n).padStart(6, "0")}Z`;
}

function receivedOf(record, tenant) {
  let found;
  try { found = JSON.parse(utf8(record)); } catch { malformed("a record is no JSON"); }
  if (found === null || typeof found !== "object" || Array.isArray(found)) refuted("a record is no object");
  if (tenant !== null && (found.tenant ?? "") !== tenant) refuted("a record is another tenant's");
  const received = found.received;
  const fits = typeof received === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(received);
  return fits ? received : malformed("a record does not say when it was received");
}

// -- floors, and what they let go

function wentOf(leaf) {
  const found = /^([0-9a-f]{64}) (\d+)((?: \d+-\d+)+)$/.exec(leaf) ?? malformed("a leaf of what went is none");
  const lines = found[3].slice(1).split(" ").map((span) => span.split("-").map(decimal));
  const count = decimal(found[2]);
  let last = -1n;
  for (const [from, to] of lines) {
    if (from <= last || from >= to || to > count) malformed("lines that went are none");
    last = to;
  }
  if (lines[0][0] < 0n) malformed("lines that went are none");
  return { tag: found[1], count, lines };
}

class Checker {
  constructor(data, trail, saltId) {
    Object.assign(this, { data, at: 0, trail, saltId, floors: new Map(), absent: false, gapped: false });
  }

  line() {
    const stop = this.data.indexOf(10, this.at);
    if (stop < 0 || stop - this.at >= LINE_MAX) malformed("it is cut off, or a line is too long");
    const found = this.data.subarray(this.at, stop + 1);
    this.at = stop + 1;
    return found;
  }

  read(kind) {
    return parsed(this.line(), "line", kind, TABLES[kind]);
  }

  check() {
    const first = this.line();
    const format = BEGINS.exec(first.subarray(0, 60).toString("latin1"))[0].slice(11, -1);
    this.isAll = format.includes("-all");
    this.isLeft = format.endsWith("2");
    const owner = this.isAll ? [] : [["tenant", text], ["salt", key]];
    const asked = this.asked = parsed(first, "format", format, [...owner, ...ASKED]);
    ascending(asked.nodes);
    if (!asked.nodes.length) malformed("it names no node");
    if (!(asked.from_us < asked.to_us && asked.to_us <= asked.complete_through_us + 1n)) malformed("it is of no time");
    if (!this.isAll && this.saltId !== "-" && sha256(asked.salt).toString("hex") !== this.saltId) refuted("the salt is another's");
    for (const node of asked.nodes) this.node(id(node));
    if (this.at !== this.data.length) malformed("more follows");
    if (this.absent && this.saltId === "-") return "unchecked";
    return this.gapped ? "gap" : "proven";
  }

  node(node) {
    this.who = node;
    this.origin = `holdfast/${this.trail}/${node}`;
    let done = false;
    let size = 0n;
    while (!done) {
      const shown = this.read("stretch");
      if (shown.gaps.length) {
        for (const each of shown.gaps) this.gap(each, shown, size);
        this.gapped = true;
        if (shown.end === 0n) {
          const more = [shown.certificate, shown.head, shown.until].join("") || shown.start || shown.before.length || shown.after.length;
          return more ? malformed("more is said of what is not shown") : undefined;
        }
      } else if (size) refuted("what follows is not shown");
      done = this.stretch(shown);
      size = shown.end;
    }
  }

  gap(data, shown, size) {
    const note = noteOf(data);
    const gap = statement(note, "holdfast-gap/1", GAP);
    if (idOf(gap.trail_key) !== this.trail) refuted("a gap is another trail's");
    mustBeSigned(note, `holdfast/${this.trail}`, gap.trail_key);
    if (gap.origin !== this.origin || gap.to <= size || (shown.end && gap.from >= shown.start)) refuted("a gap is elsewhere");
  }

  stretch(shown) {
    const own = certified(shown.certificate, this.trail);
    if (own.node !== this.who) refuted("another node was admitted");
    const head = shown.head === "" ? { size: 0n, root: sha256() } : headOf(shown.head, own, this.trail);
    const empty = !shown.start && !shown.end && !head.size && !shown.after.length;
    if (!empty && !(shown.start < shown.end && shown.end <= head.size)) refuted("a ledger has not so many segments");
    const leaves = [];
    let last = null;
    for (let at = shown.start; at < shown.end; at += 1n) {
      const name = this.segment(last, shown);
      if (name.index !== at) refuted("a segment is missing");
      if (last && (name.first !== last.first + last.count || name.sealed <= last.sealed)) refuted("a segment does not continue");
      if (!at && name.first) refuted("the first segment is not the first");
      leaves.push(leafHash(bytes(name.text)));
      last = name;
    }
    if (head.size && !rootAround(leaves, shown.start, shown.before, shown.after, head.size).equals(head.root)) refuted("the segments are others");
    const { to_us: to } = this.asked;
    if (shown.until === "") return last !== null && last.sealed >= to - 1n;
    const root = leaves.length ? rootAround(leaves, shown.start, shown.before, [], shown.end) : sha256();
    if (!shown.end && shown.before.length) malformed("an empty ledger has no surroundings");
    this.bound(shown.until, own, { size: shown.end, root, epoch: last ? last.epoch : 1n });
    return true;
  }

  bound(data, own, ended) {
    const note = noteOf(data);
    const last = this.asked.to_us - 1n;
    let said;
    if (data.startsWith("holdfast-heartbeat/1")) {
      const beat = statement(note, "holdfast-heartbeat/1", HEARTBEAT);
      mustBeSigned(note, this.origin, own.node_key);
      said = { origin: beat.origin, size: beat.promise_size, root: ended.root, until: beat.promise_us, epoch: beat.epoch };
    } else if (data.startsWith("holdfast-birth/1")) {
      const born = statement(note, "holdfast-birth/1", BIRTH);
      const admitted = certified(utf8(born.certificate), this.trail);
      if (!admitted.node_key.equals(born.node_key) || !admitted.trail_key.equals(born.trail_key)) refuted("a birth has other keys");
      mustBeSigned(note, `holdfast/${this.trail}/${admitted.node}`, admitted.node_key);
      if (born.origin !== `holdfast/${this.trail}/${admitted.node}`) refuted("a birth is of another ledger");
      said = { origin: born.origin, ...born.base, until: born.started_us, epoch: born.epoch };
    } else {
      const closed = statement(note, "holdfast-closed/1", CLOSED);
      const closer = certified(utf8(closed.certificate), this.trail);
      if (closer.node !== closed.by) refuted("the certificate is not the closer's");
      mustBeSigned(note, `holdfast/${this.trail}/${closer.node}`, closer.node_key);
      said = { origin: closed.origin, ...closed.end, until: last, epoch: closed.epoch };
    }
    const same = said.origin === this.origin && said.size === ended.size && said.root.equals(ended.root);
    if (!same || said.until < last || said.epoch < ended.epoch || said.epoch < 1n) refuted("what should bound it does not");
  }

  segment(last, shown) {
    const line = this.line();
    const kind = kindOf(line);
    const opens = this.isAll ? ["whole", "whole-left"] : ["tenant", "left"];
    const allowed = ["segment", opens[0], ...(this.isLeft ? [opens[1]] : [])];
    if (!allowed.includes(kind)) malformed("a line is of another kind");
    const found = parsed(line, "line", kind, TABLES[kind]);
    const name = nameOf(found.segment);
    const { from_us: from, to_us: to } = this.asked;
    const since = last ? last.sealed : 0n;
    if (!last && shown.start && !shown.gaps.length && name.sealed >= from) refuted("what precedes is not shown");
    if (kind === "segment") {
      if (from <= name.sealed && since < to - 1n) refuted("a segment is in question, and only named");
      return name;
    }
    const gone = kind === opens[1] ? this.gone(found.floors, name) : new Map();
    const things = [found.hashes.length > 0, found.records > 0n, kind === "tenant" && found.beside.length > 0];
    const count = things.filter((each) => each).length;
    if (count > 1 || (!count && !gone.size)) malformed("more or less than one thing is shown");
    const kept = found.hashes.length ? found.hashes : this.records(found.records, name, since);
    if (this.isAll) this.whole(found, name, gone, kept);
    else this.tenant(found, name, gone, kept);
    return name;
  }

  records(count, name, since) {
    const found = [];
    for (let n = 0n; n < count; n += 1n) {
      const record = this.line().subarray(0, -1);
      const received = receivedOf(record, this.isAll ? null : this.asked.tenant);
      if (received > timeText(name.sealed) || (since && received <= timeText(since))) refuted("a record was received at another time");
      found.push(leafHash(record));
    }
    return found;
  }

  // By tag: how many records, and of each line that went its hash, where one stays.
  gone(count, name) {
    if (!count) malformed("nothing went");
    const told = [];
    for (let n = 0n; n < count; n += 1n) told.push(this.went(name));
    const places = told.map(({ line }) => `${line.unit} ${line.retention}`);
    ascending(places);
    const found = new Map();
    for (const { went } of told) {
      for (const each of went) {
        const own = found.get(each.tag) ?? { count: each.count, lines: new Map() };
        found.set(each.tag, own);
        if (own.count !== each.count) refuted("floors contradict each other");
        for (const [from, to] of each.lines) {
          for (let at = from; at < to; at += 1n) {
            if (own.lines.has(at)) refuted("a record went twice");
            own.lines.set(at, null);
          }
        }
      }
    }
    for (const { line, went } of told) {
      const waiting = [...line.hashes];
      for (const { tag, lines } of went) {
        const own = found.get(tag);
        if (BigInt(own.lines.size) === own.count) continue;
        for (const [from, to] of lines) {
          for (let at = from; at < to; at += 1n) own.lines.set(at, waiting.shift() ?? malformed("a hash is missing"));
        }
      }
      if (waiting.length) malformed("there is a hash too many");
    }
    return found;
  }

  went(name) {
    let line = this.line();
    let fresh = null;
    if (kindOf(line) === "floor") {
      fresh = this.floor(parsed(line, "line", "floor", TABLES.floor).note);
      line = this.line();
    }
    const found = parsed(line, "line", "gone", TABLES.gone);
    const place = `${found.unit} ${found.retention}`;
    if (fresh !== null && fresh !== place) malformed("a floor is not in front of what rests on it");
    const floor = this.floors.get(place) ?? malformed("a floor is not there");
    const went = found.leaves.map(wentOf);
    if (went.some((each) => each.count > name.count)) refuted("a segment has not so many records");
    if (!went.length) refuted("a floor let nothing go");
    const root = rootAround(found.leaves.map((leaf) => leafHash(bytes(leaf))), found.leaf, found.before, found.after, floor.gone.size);
    if (!root.equals(floor.gone.root)) refuted("the floor let others go");
    if (name.sealed >= floor.unit.end) refuted("the segment is of a later unit");
    for (const { lines } of went) for (const [from, to] of lines) floor.missing += to - from;
    if (floor.missing > floor.rows) refuted("more is missing than the floor let go");
    return { line: found, went };
  }

  floor(data) {
    const note = noteOf(data);
    const floor = statement(note, "holdfast-floor/2", FLOOR);
    const own = certified(utf8(floor.certificate), this.trail);
    if (own.node !== floor.by) refuted("the certificate is not that of who states it");
    mustBeSigned(note, `holdfast/${this.trail}/${own.node}`, own.node_key);
    if (floor.origin !== `holdfast/${this.trail}`) refuted("a floor is of another trail");
    const place = `${floor.unit.name} ${floor.class}`;
    if (this.floors.has(place)) malformed("a floor is there twice");
    if (floor.floored_us < floor.unit.end + floor.min * 86400000000n) refuted("it went before its time");
    this.floors.set(place, { ...floor, missing: 0n });
    return place;
  }

  // The leaf of a tenant whose records are partly there.
  leaf(tag, blind, own, kept) {
    if (own === undefined) return `${tag} ${hiddenOf(blind, BigInt(kept.length), treeOf(kept))}`;
    const all = [];
    const waiting = [...kept];
    for (let at = 0n; at < own.count; at += 1n) {
      all.push(own.lines.get(at) ?? waiting.shift() ?? refuted("records are missing that no floor let go"));
    }
    if (waiting.length) refuted("there are more records than there were");
    return `${tag} ${hiddenOf(blind, own.count, treeOf(all))}`;
  }

  tenant(found, name, gone, kept) {
    const place = `${this.who} ${name.index.toString(16).padStart(10, "0")}`;
    const secret = (label) => createHmac("sha256", this.asked.salt).update(`${label} ${place}`).digest();
    const tag = secret("holdfast-tag/1").toString("hex");
    let leaves;
    if (found.kind === "tenant" && found.beside.length) {
      leaves = found.beside;
      const tags = leaves.map((each) => each.split(" ")[0]);
      ascending(tags);
      const isFirst = found.leaf === 0n;
      const isLast = found.leaf + BigInt(tags.length) === name.tenants;
      const stands = !tags.includes(tag) && (isFirst || tags[0] < tag) && (isLast || tag < tags.at(-1));
      if (tags.length > 2 || !stands) refuted("the tenant's leaf may be elsewhere");
      this.absent = true;
    } else {
      const own = gone.get(tag);
      if (found.kind === "left") {
        if (!own || gone.size > 1) refuted("what went is another tenant's");
        const left = own.count - BigInt(own.lines.size);
        if (BigInt(kept.length) !== left || found.hidden.length !== (left ? 0 : 1)) refuted("records are missing, or too many");
      }
      const hidden = found.kind === "left" && found.hidden.length ? found.hidden[0].toString("hex") : null;
      leaves = [hidden ? `${tag} ${hidden}` : this.leaf(tag, secret("holdfast-blind/1"), own, kept)];
    }
    for (const each of leaves) if (!/^[0-9a-f]{64} [0-9a-f]{64}$/.test(each)) malformed("a leaf is none");
    const root = rootAround(leaves.map((each) => leafHash(bytes(each))), found.leaf, found.before, found.after, name.tenants);
    if (!root.equals(name.root)) refuted("the segment holds something else");
  }

  whole(found, name, gone, kept) {
    ascending(found.tags);
    const size = Number(name.tenants);
    const hidden = [...(found.hidden ?? [])];
    const blinds = [...found.blinds];
    if (found.tags.length !== size || found.counts.length !== size || blinds.length + hidden.length !== size) malformed("not all tenants are there");
    const total = found.counts.reduce((sum, count) => sum + count, 0n);
    if (total !== name.count || found.counts.includes(0n)) refuted("a segment has other counts");
    for (const tag of gone.keys()) if (!found.tags.includes(tag)) refuted("what went is of others");
    const waiting = [...kept];
    const leaves = found.tags.map((tag, at) => {
      hex(tag);
      const own = gone.get(tag);
      const count = found.counts[at];
      if (own && own.count !== count) refuted("a floor has another count");
      const left = Number(count) - (own ? own.lines.size : 0);
      const mine = waiting.splice(0, left);
      if (mine.length !== left) refuted("records are missing");
      if (!left) return `${tag} ${(hidden.shift() ?? malformed("a hidden leaf is missing")).toString("hex")}`;
      return this.leaf(tag, blinds.shift() ?? malformed("a blind is missing"), own, mine);
    });
    if (waiting.length || hidden.length || blinds.length) malformed("more than all is shown");
    if (!treeOf(leaves.map((leaf) => leafHash(bytes(leaf)))).equals(name.root)) refuted("the segment holds something else");
  }
}

export const isCertificate = (data) => BEGINS.test(data.subarray(0, 60).toString("latin1"));
export const checkCertificate = (data, trail, saltId) => new Checker(data, trail, saltId).check();
