// login.mjs: how a web application signs its users in, in Node (20 or later) without a package: the authorization code
// flow with PKCE (RFC 6749, RFC 7636, OpenID Connect Core), from a click to the claims of a checked id token, and out
// again.
//
//   node examples/login.mjs http://127.0.0.1:8080 --client-id=first-web-client --client-secret=SECRET
//
// as ./dev run prints it; then open what this prints. A public client has no secret. --port=PORT (8765), --scope="SCOPE
// SCOPE". Its redirect URI is http://127.0.0.1:PORT/callback, and it comes back from signing out at
// http://127.0.0.1:PORT/. login.py beside it does the same.

import { constants, createHash, createPublicKey, randomBytes, verify as verifySignature } from "node:crypto";
import { createServer } from "node:http";
import { parseArgs } from "node:util";

const { positionals: [issuer = "http://127.0.0.1:8080"], values: options } = parseArgs({
  allowPositionals: true,
  options: {
    "client-id": { type: "string", default: "first-web-client" }, "client-secret": { type: "string" },
    port: { type: "string", default: "8765" }, scope: { type: "string", default: "openid profile email" },
  },
});
const clientId = options["client-id"];
const SKEW_S = 30; // how far the clocks of the issuer and of this machine may differ
const SESSIONS_MAX = 1000;

const random = () => randomBytes(32).toString("base64url");
const sha256 = (text) => createHash("sha256").update(text).digest("base64url");

async function call(url, init) {
  const answer = await fetch(url, { redirect: "error", signal: AbortSignal.timeout(10000), ...init });
  const body = await answer.json();
  if (!answer.ok)
    throw new Error(`${body.error}: ${body.error_description}`);
  return body;
}

// --- the issuer ------------------------------------------------------------------------------------------------------

// All that is known of it comes from its URL (OpenID Connect Discovery 1.0).
const provider = await call(`${issuer}/.well-known/openid-configuration`);
if (provider.issuer !== issuer)
  throw new Error(`it calls itself ${provider.issuer}`);

async function askForTokens(parameters) {
  const form = new URLSearchParams(parameters);
  const headers = {};
  if (options["client-secret"]) {
    const pair = [clientId, options["client-secret"]].map(encodeURIComponent).join(":");
    headers.Authorization = `Basic ${Buffer.from(pair).toString("base64")}`;
  } else {
    form.set("client_id", clientId);
  }
  return call(provider.token_endpoint, { method: "POST", headers, body: form });
}

// --- the id token (OpenID Connect Core section 3.1.3.7) --------------------------------------------------------------

const ALGORITHMS = { // what each needs of OpenSSL (RFC 7518 section 3, RFC 8037)
  RS256: { hash: "sha256" },
  PS256: { hash: "sha256", padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 },
  ES256: { hash: "sha256", dsaEncoding: "ieee-p1363" },
  EdDSA: { hash: null },
};

const parse = (part) => JSON.parse(Buffer.from(part, "base64url"));

// A key is good for the algorithm that the issuer says it is for, and for no other.
async function checkSignature(header, signed, signature) {
  const { keys } = await call(provider.jwks_uri);
  const jwk = keys.find(({ kid, alg }) => kid === header.kid && alg === header.alg);
  const algorithm = ALGORITHMS[jwk?.alg];
  if (!algorithm)
    throw new Error("the id token's key is none of the issuer's");
  const key = { key: createPublicKey({ key: jwk, format: "jwk" }), ...algorithm };
  if (!verifySignature(algorithm.hash, Buffer.from(signed), key, Buffer.from(signature, "base64url")))
    throw new Error("the id token's signature is wrong");
}

async function readIdToken(text, nonce) {
  const [header, payload, signature] = text.split(".");
  const read = { header: parse(header), claims: parse(payload), text };
  await checkSignature(read.header, `${header}.${payload}`, signature);
  const { iss, aud, exp, iat } = read.claims;
  const now = Date.now() / 1000;
  if (iss !== issuer || ![aud].flat().includes(clientId) || read.claims.nonce !== nonce)
    throw new Error("the id token is for another login");
  if (!(exp > now - SKEW_S) || !(iat < now + SKEW_S))
    throw new Error("the id token has expired, or its time has not come");
  return read;
}

// --- the pages -------------------------------------------------------------------------------------------------------

// What this side remembers of a browser, by the cookie that it was given: a login that is under way, and its user.
const sessions = new Map();

function begin(response) {
  const id = random(), session = { state: random(), nonce: random(), verifier: random() };
  if (sessions.size >= SESSIONS_MAX)
    sessions.delete(sessions.keys().next().value);
  sessions.set(id, session);
  response.setHeader("Set-Cookie", `example_session=${id}; HttpOnly; SameSite=Lax; Path=/`);
  return session;
}

function sessionOf(request) {
  const [, id] = /(?:^|; )example_session=([\w-]{43})(?:;|$)/.exec(request.headers.cookie ?? "") ?? [];
  return { id, session: sessions.get(id) };
}

const escape = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const shown = (value) => `<pre>${escape(JSON.stringify(value, null, 2))}</pre>`;

function show(response, status, body) {
  response.writeHead(status, { "Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'" });
  response.end(`<!doctype html><html lang="en"><title>Example</title><h1>Example</h1>${body}</html>`);
}

function go(response, url) {
  response.writeHead(303, { Location: url });
  response.end();
}

const routes = {
  "/"(request, response) {
    const { session } = sessionOf(request);
    if (!session?.user)
      return show(response, 200, `<p><a href="/login">Sign in</a></p>`);
    const { header, claims, userinfo } = session.user;
    return show(response, 200, `<p><a href="/logout">Sign out</a></p><h2>ID token</h2>${shown(header)}${shown(claims)}
      <h2>Userinfo</h2>${shown(userinfo)}`);
  },

  // The click: the browser goes to the issuer, with a state, a nonce and a challenge of this login's own.
  "/login"(request, response) {
    const { state, nonce, verifier } = begin(response);
    const url = new URL(provider.authorization_endpoint);
    url.search = new URLSearchParams({ response_type: "code", client_id: clientId, redirect_uri: `${here}/callback`,
      scope: options.scope, state, nonce, code_challenge: sha256(verifier), code_challenge_method: "S256" });
    go(response, url.href);
  },

  // And comes back with a code, which is good for this login only.
  async "/callback"(request, response, query) {
    const { session } = sessionOf(request);
    const { state, nonce, verifier } = session ?? {};
    if (!state || query.get("state") !== state || query.get("iss") !== issuer) // RFC 9207
      throw new Error("this answer belongs to no login that was begun here");
    delete session.state;
    if (query.has("error"))
      throw new Error(`${query.get("error")}: ${query.get("error_description")}`);
    const tokens = await askForTokens({ grant_type: "authorization_code", code: query.get("code"),
      redirect_uri: `${here}/callback`, code_verifier: verifier });
    const user = await readIdToken(tokens.id_token, nonce);
    const headers = { Authorization: `Bearer ${tokens.access_token}` };
    user.userinfo = await call(provider.userinfo_endpoint, { headers });
    if (user.userinfo.sub !== user.claims.sub)
      throw new Error("the userinfo is somebody else's");
    session.user = user;
    go(response, "/");
  },

  "/logout"(request, response) {
    const { id, session } = sessionOf(request);
    sessions.delete(id);
    if (!session?.user)
      return go(response, "/");
    const url = new URL(provider.end_session_endpoint);
    url.search = new URLSearchParams({ id_token_hint: session.user.text, post_logout_redirect_uri: `${here}/` });
    return go(response, url.href);
  },
};

const server = createServer(async (request, response) => {
  try {
    const { pathname, searchParams } = new URL(request.url, "http://127.0.0.1");
    if (request.method !== "GET" || !Object.hasOwn(routes, pathname))
      show(response, 404, "<p>There is nothing here.</p>");
    else
      await routes[pathname](request, response, searchParams);
  } catch (error) {
    show(response, 400, `<p>${escape(error.message)}</p><p><a href="/">Back</a></p>`);
  }
});
let here;
server.listen(Number(options.port), "127.0.0.1", () => {
  here = `http://127.0.0.1:${server.address().port}`;
  console.log(`open ${here}/`);
});
