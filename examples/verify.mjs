// verify.mjs: how a service verifies access tokens by itself, in Node (20 or later) without a package. It fetches the
// issuer's public keys, follows its revocation feed (docs/revocation-feed.md), and from then on asks nobody.
//
//   import { Verifier } from "./verify.mjs";
//   const verifier = new Verifier({ issuerUrl: "https://auth.example", issuer: "https://auth.example",
//                                   audience: "https://api.example" });
//   await verifier.start();
//   const claims = await verifier.verify(token);   // throws Refused, whose message is one word
//
// As a command: tokens come in a line each, "ok <sub>" or "refused <why>" goes out for each.
//
//   node verify.mjs --issuer-url http://127.0.0.1:8080 --issuer https://auth.example --audience https://api.example
//
// verify.py and verify.c beside it do the same.

import { constants, createHash, createPublicKey, verify as verifySignature } from "node:crypto";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const POLL_MS = 800;              // with a cache of one second in between, a revocation is known within two
const TIMEOUT_MS = 5000;          // of one request
const SKEW_S = 30;                // how far the clocks of the issuer and of this machine may differ
const UNKNOWN_KEY_S = 10;         // an unknown kid has the keys fetched again at most that often
const TOKEN_MAX = 16 * 1024, PAGE_MAX = 2 * 1024 * 1024, KEYS_MAX = 256 * 1024; // bytes
const HASH_BYTES = 16, ENTRY_BYTES = 20;
const RULES = ["sub", "client_id", "sid", "all"];

// What each algorithm needs of a key, and of OpenSSL (RFC 7518 section 3, RFC 8037).
const ALGORITHMS = {
  RS256: { kty: "RSA", members: ["n", "e"], hash: "sha256", options: {} },
  PS256: { kty: "RSA", members: ["n", "e"], hash: "sha256",
           options: { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } },
  ES256: { kty: "EC", crv: "P-256", members: ["crv", "x", "y"], hash: "sha256",
           options: { dsaEncoding: "ieee-p1363" } },
  EdDSA: { kty: "OKP", crv: "Ed25519", members: ["crv", "x"], hash: null, options: {} },
};

export class Refused extends Error {}

const nowSeconds = () => Math.floor(Date.now() / 1000);
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms).unref(); });
const sha256 = (data) => createHash("sha256").update(data).digest();

// --- parts of a JWS --------------------------------------------------------------------------------------------------

// base64url without padding, in the one spelling that its bytes have.
function decode(text) {
  const bytes = Buffer.from(text, "base64url");
  if (bytes.toString("base64url") !== text)
    throw new Refused("malformed");
  return bytes;
}

function parseObject(bytes) {
  let value;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    throw new Refused("malformed");
  }
  if (value === null || typeof value !== "object" || Array.isArray(value))
    throw new Refused("malformed");
  return value;
}

const isTime = (value) => Number.isSafeInteger(value) && value >= 0;
const isHash = (value) => typeof value === "string" && /^[\w-]{42}[AEIMQUYcgkosw048]$/.test(value); // of 32 bytes
const has = (object, name) => Object.hasOwn(object, name);
// All that a token says of the one that it was issued with, or nothing.
const hasWholeParent = (claims) => has(claims, "parent_hash")
  ? isHash(claims.parent_hash) && Boolean(text(claims, "parent_client_id")) && isTime(claims.parent_iat)
  : !has(claims, "parent_client_id") && !has(claims, "parent_iat");
const text = (object, name) => (has(object, name) && typeof object[name] === "string" ? object[name] : "");

// A header's typ is a media type whose "application/" may be left out (RFC 7515 section 4.1.9).
const mediaType = (typ) => typ.toLowerCase().replace(/^application\//, "");

// --- the revoked tokens ----------------------------------------------------------------------------------------------

// A hash table in one buffer, some 27 to 53 bytes a token: 16 bytes of the hash, 4 of the expiry, 0 where nothing is.
class RevokedTokens {
  #slots = Buffer.alloc(1024 * ENTRY_BYTES);
  #used = 0;

  get #capacity() {
    return this.#slots.length / ENTRY_BYTES;
  }

  // Where a hash is, or would be. Hashes are spread already: their first bytes will do.
  #find(hash) {
    const capacity = this.#capacity;
    for (let slot = hash.readUInt32BE(0) % capacity; ; slot = (slot + 1) % capacity) {
      const at = slot * ENTRY_BYTES;
      if (this.#slots.readUInt32BE(at + HASH_BYTES) === 0 ||
          this.#slots.compare(hash, 0, HASH_BYTES, at, at + HASH_BYTES) === 0)
        return at;
    }
  }

  has(hash) {
    return this.#slots.readUInt32BE(this.#find(hash) + HASH_BYTES) !== 0;
  }

  add(hash, expiry, now) {
    if (4 * (this.#used + 1) > 3 * this.#capacity)
      this.#rebuild(now);
    const at = this.#find(hash);
    const before = this.#slots.readUInt32BE(at + HASH_BYTES);
    if (before === 0)
      this.#used++;
    hash.copy(this.#slots, at, 0, HASH_BYTES);
    this.#slots.writeUInt32BE(Math.max(before, expiry), at + HASH_BYTES);
  }

  // Without those that have expired; half full at most.
  #rebuild(now) {
    const old = this.#slots;
    const live = [];
    for (let at = 0; at < old.length; at += ENTRY_BYTES)
      if (old.readUInt32BE(at + HASH_BYTES) > now)
        live.push(at);
    let capacity = 1024;
    while (capacity < 2 * (live.length + 1))
      capacity *= 2;
    this.#slots = Buffer.alloc(capacity * ENTRY_BYTES);
    this.#used = live.length;
    for (const at of live)
      old.copy(this.#slots, this.#find(old.subarray(at, at + HASH_BYTES)), at, at + ENTRY_BYTES);
  }
}

// --- the verifier ----------------------------------------------------------------------------------------------------

export class Verifier {
  #url; #issuer; #audience; #log;
  #keys = new Map();             // kid -> { alg, key }
  #keysAt = -Infinity;           // s; when they were asked for last
  #keysUntil = 0;                // s; when they are to be fetched again
  #keysComing = null;            // the fetch that is under way
  #tokens = new RevokedTokens();
  #rules = new Map(RULES.map((kind) => [kind, new Map()])); // kind -> hash -> { before, exp }
  #epoch = "";                   // whose positions #since is one of; "": none yet
  #since = 0;                    // the page to read next
  #begins = false;               // from 0, until the tail has been read
  #freshUntil = 0;               // s; until then it is known what is revoked
  #freshEnd = 0;                 // the same, by a clock that nobody sets back; ms of performance.now()
  #etag = null;                  // of the tail, while #since stays
  #stopped = false;
  #fault = "";                   // what was logged last

  constructor({ issuerUrl, issuer, audience, log = (line) => process.stderr.write(`${line}\n`) }) {
    this.#url = issuerUrl.replace(/\/$/, "");
    this.#issuer = issuer;
    this.#audience = audience;
    this.#log = log;
  }

  // Reads the keys and the feed, then follows it. When that fails it goes on trying: until then every token is refused.
  async start() {
    await this.#round();
    this.#follow();
  }

  stop() {
    this.#stopped = true;
  }

  async #follow() {
    for (;;) {
      await sleep(POLL_MS);
      if (this.#stopped)
        return;
      await this.#round();
    }
  }

  async #round() {
    try {
      if (nowSeconds() >= this.#keysUntil)
        await this.#fetchKeys();
      await this.#readFeed();
      this.#say("");
    } catch (error) {
      this.#say(error.cause?.message ?? error.message);
    }
  }

  // What fails again and again is said once.
  #say(fault) {
    if (fault !== this.#fault)
      this.#log(fault ? `verify: ${fault}` : "verify: the feed is followed again");
    this.#fault = fault;
  }

  // An answer and its body, of at most `most` bytes.
  async #get(path, most, headers = {}) {
    const answer = await fetch(this.#url + path,
                               { headers, redirect: "error", signal: AbortSignal.timeout(TIMEOUT_MS) });
    const chunks = [];
    let size = 0;
    for await (const chunk of answer.body ?? []) {
      size += chunk.length;
      if (size > most)
        throw new Error(`${path} is too large`);
      chunks.push(chunk);
    }
    if (answer.status !== 200 && answer.status !== 304)
      throw new Error(`${path} answers ${answer.status}`);
    return { status: answer.status, headers: answer.headers, body: Buffer.concat(chunks) };
  }

  // --- keys ----------------------------------------------------------------------------------------------------------

  // When it fails, the keys that are there stay.
  async #fetchKeys() {
    this.#keysAt = nowSeconds();
    const { headers, body } = await this.#get("/.well-known/jwks.json", KEYS_MAX);
    const keys = new Map();
    for (const jwk of parseObject(body).keys ?? []) {
      const rule = Object.hasOwn(ALGORITHMS, jwk.alg) ? ALGORITHMS[jwk.alg] : null;
      if (!rule || jwk.kty !== rule.kty || (rule.crv && jwk.crv !== rule.crv) || typeof jwk.kid !== "string" ||
          (jwk.use ?? "sig") !== "sig")
        continue;
      const members = Object.fromEntries(rule.members.map((name) => [name, jwk[name]]));
      const key = createPublicKey({ key: { kty: jwk.kty, ...members }, format: "jwk" });
      if (rule.kty !== "RSA" || key.asymmetricKeyDetails.modulusLength >= 2048)
        keys.set(jwk.kid, { alg: jwk.alg, key });
    }
    const maxAge = Number(/max-age=(\d+)/.exec(headers.get("cache-control") ?? "")?.[1] ?? 60);
    this.#keysUntil = nowSeconds() + Math.min(Math.max(maxAge, UNKNOWN_KEY_S), 3600);
    this.#keys = keys;
  }

  // Many tokens of an unknown key make one fetch.
  async #keyOf(kid) {
    if (!this.#keys.has(kid) && (this.#keysComing || nowSeconds() >= this.#keysAt + UNKNOWN_KEY_S)) {
      this.#keysComing ??= this.#fetchKeys().catch((error) => this.#say(error.message))
        .finally(() => { this.#keysComing = null; });
      await this.#keysComing;
    }
    const key = this.#keys.get(kid);
    if (!key)
      throw new Refused("unknown_key");
    return key;
  }

  // The payload of a compact JWS of that typ, signed by a key of the issuer's. The algorithm is the key's, never the
  // token's (RFC 8725 section 3.1).
  async #open(jws, typ, most) {
    const parts = jws.split(".");
    if (jws.length > most || parts.length !== 3 || parts.some((part) => !/^[A-Za-z0-9_-]+$/.test(part)))
      throw new Refused("malformed");
    const header = parseObject(decode(parts[0]));
    if (["crit", "b64", "zip"].some((name) => has(header, name)) || !text(header, "alg"))
      throw new Refused("malformed");
    if (mediaType(text(header, "typ")) !== typ)
      throw new Refused("type");
    const signature = decode(parts[2]);
    const { alg, key } = await this.#keyOf(text(header, "kid"));
    if (header.alg !== alg)
      throw new Refused("algorithm");
    const { hash, options } = ALGORITHMS[alg];
    if (!verifySignature(hash, Buffer.from(`${parts[0]}.${parts[1]}`), { key, ...options }, signature))
      throw new Refused("signature");
    return parseObject(decode(parts[1]));
  }

  // --- the feed ------------------------------------------------------------------------------------------------------

  // Page by page up to the tail, which is the one that says how things stand. What was once read stays known, so an old
  // page that somebody shows again takes nothing away, and makes nothing fresh for longer than its own exp.
  async #readFeed() {
    for (let hasStartedOver = false; ;) {
      const path = `/revocations?since=${this.#since}`;
      const headers = this.#begins ? { "Cache-Control": "no-cache" } // a cache may hold pages of another sequence
                                   : this.#etag ? { "If-None-Match": this.#etag } : {};
      const answer = await this.#get(path, PAGE_MAX, headers);
      if (answer.status === 304)
        return;
      let page;
      try {
        page = await this.#openPage(answer.body.toString("latin1"));
        this.#apply(page);
      } catch (error) {
        throw new Error(`a page of the feed is not believed: ${error.message}`);
      }
      this.#etag = null;
      const isAnother = this.#epoch !== "" && page.epoch !== this.#epoch;
      this.#epoch = page.epoch;
      if (isAnother || (!page.more && page.since < this.#since && !hasStartedOver)) { // positions are given anew
        this.#since = 0;
        this.#begins = true;
        if (hasStartedOver)
          throw new Error("the feed tells of two sequences");
        hasStartedOver = true;
      } else if (page.more) {
        this.#since = page.next;
      } else {
        this.#since = page.since;
        this.#begins = false;
        this.#freshUntil = Math.max(this.#freshUntil, page.exp);
        this.#freshEnd = Math.max(this.#freshEnd, performance.now() + 1000 * (page.exp - nowSeconds()));
        this.#etag = answer.headers.get("etag");
        return;
      }
    }
  }

  // A page that fits the one that was asked for. Another one could leave out what lies between.
  async #openPage(jws) {
    const page = await this.#open(jws, "revocation-feed+jwt", PAGE_MAX);
    const numbers = ["iat", "exp", "since", "next"];
    if (numbers.some((name) => !has(page, name) || !isTime(page[name])) || typeof page.more !== "boolean" ||
        typeof page.tokens !== "string" || !Array.isArray(page.rules) || page.iss !== this.#issuer ||
        !/^[0-9a-f]{16}$/.test(text(page, "epoch")))
      throw new Refused("claims");
    if (page.exp <= nowSeconds())
      throw new Refused("expired");
    if (page.iat > nowSeconds() + SKEW_S)
      throw new Refused("not_yet_valid");
    if (page.more ? page.since !== this.#since || page.next <= page.since
                  : page.since > this.#since || page.next !== page.since)
      throw new Refused("position");
    return page;
  }

  #apply(page) {
    const now = nowSeconds();
    const entries = decode(page.tokens);
    if (entries.length % ENTRY_BYTES !== 0)
      throw new Refused("claims");
    page.rules.forEach((rule) => this.#applyRule(rule));
    for (let at = 0; at < entries.length; at += ENTRY_BYTES) {
      const expiry = entries.readUInt32BE(at + HASH_BYTES);
      if (expiry > now)
        this.#tokens.add(entries.subarray(at, at + HASH_BYTES), expiry, now);
    }
    for (const known of this.#rules.values())
      for (const [hash, { exp }] of known)
        if (exp <= now)
          known.delete(hash);
  }

  // A kind that is not known here can't be followed, and so the feed can't.
  #applyRule(rule) {
    const kinds = RULES.filter((kind) => text(rule ?? {}, kind));
    if (kinds.length !== 1 || !isTime(rule.before) || !isTime(rule.exp))
      throw new Refused("claims");
    const known = this.#rules.get(kinds[0]);
    const hash = rule[kinds[0]];
    const before = known.get(hash);
    known.set(hash, { before: Math.max(rule.before, before?.before ?? 0), exp: Math.max(rule.exp, before?.exp ?? 0) });
  }

  // --- a token -------------------------------------------------------------------------------------------------------

  // Its claims, when it is good.
  async verify(token) {
    const claims = await this.#open(token, "at+jwt", TOKEN_MAX);
    this.#checkClaims(claims);
    if (this.#tokens.has(sha256(token)) || this.#hasLostItsParent(claims) || this.#isRuledOut(claims))
      throw new Refused("revoked");
    if (nowSeconds() >= this.#freshUntil || performance.now() >= this.#freshEnd)
      throw new Refused("feed_stale");
    return claims;
  }

  #checkClaims(claims) {
    const now = nowSeconds();
    const audience = typeof claims.aud === "string" ? [claims.aud] : claims.aud;
    if (!text(claims, "sub") || !Array.isArray(audience) || !["exp", "iat"].every((name) => isTime(claims[name])) ||
        ["nbf", "issued_after"].some((name) => has(claims, name) && !isTime(claims[name])) ||
        !hasWholeParent(claims))
      throw new Refused("claims");
    if (claims.iss !== this.#issuer)
      throw new Refused("issuer");
    if (!audience.includes(this.#audience))
      throw new Refused("audience");
    if (now >= claims.exp + SKEW_S)
      throw new Refused("expired");
    if (Math.max(claims.nbf ?? 0, claims.iat) > now + SKEW_S)
      throw new Refused("not_yet_valid");
  }

  // A token that was issued with a token is revoked with it.
  #hasLostItsParent(claims) {
    return has(claims, "parent_hash") && this.#tokens.has(decode(claims.parent_hash));
  }

  #isRuledOut(claims) {
    const values = { sub: claims.sub, client_id: claims.client_id ?? claims.azp, sid: claims.sid, all: "" };
    const parent = claims.parent_client_id; // of the token that it was issued with, which was its client's own
    return this.#isCovered(values, claims.iat, claims) || (parent !== undefined &&
      this.#isCovered({ sub: parent, client_id: parent, all: "" }, claims.parent_iat, claims));
  }

  #isCovered(values, issuedAt, claims) {
    return RULES.some((kind) => {
      const known = this.#rules.get(kind);
      if (known.size === 0 || typeof values[kind] !== "string")
        return false;
      const rule = known.get(sha256(`${kind}:${values[kind]}`).toString("base64url"));
      return rule !== undefined && issuedAt <= rule.before && (claims.issued_after ?? 0) <= rule.exp;
    });
  }
}

// --- the command -----------------------------------------------------------------------------------------------------

async function main() {
  const names = ["issuer-url", "issuer", "audience"];
  const { values } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, { type: "string" }])) });
  if (names.some((name) => !values[name]))
    throw new Error(`usage: verify.mjs ${names.map((name) => `--${name} …`).join(" ")}`);
  const verifier = new Verifier({ issuerUrl: values["issuer-url"], issuer: values.issuer, audience: values.audience });
  await verifier.start();
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      const { sub } = await verifier.verify(line);
      process.stdout.write(`ok ${sub.replace(/[\x00-\x1f\x7f]/g, "?")}\n`); // one line each, whatever it holds
    } catch (error) {
      if (!(error instanceof Refused))
        throw error;
      process.stdout.write(`refused ${error.message}\n`);
    }
  }
  verifier.stop();
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href)
  main().catch((error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 2;
  });
