// bench/node_function.mjs KEY_FILE ALG: a function of AWS Lambda that only signs: each event is answered with a JWT by
// the key of that file, RS256 or ES256. It has what Node.js itself brings, and nothing else to load: neither AWS's
// runtime client nor a library for JWTs, with which such functions start later and grow larger.
import { createPrivateKey, randomUUID, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';

const [keyFile, alg] = process.argv.slice(2);
const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const key = { key: createPrivateKey(readFileSync(keyFile)), dsaEncoding: 'ieee-p1363' };
const TTL_S = 900;

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const headers = { 'content-length': Buffer.byteLength(body), 'content-type': 'application/json' };
    const sent = request({ agent, host, port, method, path: `/2018-06-01/runtime/${path}`, headers }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => resolve({ headers: answer.headers, body: Buffer.concat(parts).toString() }));
      answer.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

function encode(object) {
  return Buffer.from(JSON.stringify(object)).toString('base64url');
}

function signed({ subject, clientId, scope }) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: 'https://auth.example', sub: subject, aud: 'https://api.example', client_id: clientId, scope,
                   iat: now, exp: now + TTL_S, jti: randomUUID() };
  const text = `${encode({ alg, typ: 'at+jwt', kid: 'bench' })}.${encode(claims)}`;
  return `${text}.${sign('sha256', Buffer.from(text), key).toString('base64url')}`;
}

for (;;) {
  const event = await call('GET', 'invocation/next', '');
  const token = signed(JSON.parse(JSON.parse(event.body).body));
  const answer = { statusCode: 200, headers: { 'content-type': 'application/json' }, isBase64Encoded: false,
                   body: JSON.stringify({ token }) };
  await call('POST', `invocation/${event.headers['lambda-runtime-aws-request-id']}/response`, JSON.stringify(answer));
}
