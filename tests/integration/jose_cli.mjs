// npm's `jose` and `openid-client` for the Python tests: a JSON list of jobs on standard input, a JSON list of outcomes
// on standard output, each {"ok": true, …} or {"ok": false, "code": …}. Many jobs share a process: node starts slowly.
import { webcrypto } from 'node:crypto';
import { text } from 'node:stream/consumers';

// Debian 12's node has these, but not as globals; so the libraries can only be loaded after this.
globalThis.crypto ??= webcrypto;
globalThis.CryptoKey ??= webcrypto.CryptoKey;
const jose = await import('jose');
const oauth = await import('openid-client');

const utf8 = (bytes) => new TextDecoder().decode(bytes);

function client({ url, client_id, client_secret, method }) {
  const authentication = { basic: oauth.ClientSecretBasic, post: oauth.ClientSecretPost }[method](client_secret);
  const config = new oauth.Configuration(
    { issuer: url, introspection_endpoint: `${url}/token/introspect`, revocation_endpoint: `${url}/token/revoke` },
    client_id, {}, authentication);
  oauth.allowInsecureRequests(config); // loopback without TLS
  return config;
}

const jobs = {
  // A JWT against a JWKS: the key is found by kid, the claims are checked.
  async jwt_verify({ jwks, token, options }) {
    const { payload, protectedHeader } = await jose.jwtVerify(token, jose.createLocalJWKSet(jwks), options);
    return { payload, header: protectedHeader };
  },
  async sign({ key, header, payload }) {
    const signer = new jose.CompactSign(new TextEncoder().encode(payload)).setProtectedHeader(header);
    return { token: await signer.sign(await jose.importJWK(key, header.alg)) };
  },
  async jws_verify({ key, alg, token }) {
    const { payload } = await jose.compactVerify(token, await jose.importJWK(key, alg), { algorithms: [alg] });
    return { payload: utf8(payload) };
  },
  async thumbprint({ key }) {
    return { thumbprint: await jose.calculateJwkThumbprint(key) };
  },
  async introspect(job) {
    return { answer: await oauth.tokenIntrospection(client(job), job.token) };
  },
  async revoke(job) {
    await oauth.tokenRevocation(client(job), job.token);
    return {};
  },
};

const outcomes = [];
for (const { job, ...input } of JSON.parse(await text(process.stdin))) {
  try {
    outcomes.push({ ok: true, ...(await jobs[job](input)) });
  } catch (error) {
    outcomes.push({ ok: false, code: error.code ?? error.name, message: error.message });
  }
}
process.stdout.write(JSON.stringify(outcomes));
