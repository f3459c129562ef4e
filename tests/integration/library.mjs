// A program over an OAuth library, for provider.py's Library: each line of standard input is a job, each line of
// standard output its outcome: {"ok": true, …} or {"ok": false, "error": …}, which is the OAuth error, the library's
// code, or a name.
import { createInterface } from 'node:readline';

export async function serve(jobs) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { job, ...input } = JSON.parse(line);
    let outcome;
    try {
      outcome = { ok: true, ...(await jobs[job](input)) };
    } catch (error) {
      outcome = { ok: false, error: error.error ?? error.code ?? error.name, message: error.message };
    }
    process.stdout.write(`${JSON.stringify(outcome)}\n`);
  }
}

// A client's private JWK, as both libraries take it.
export async function keyOf({ kid, ...jwk }) {
  const algorithm = { ES256: { name: 'ECDSA', namedCurve: 'P-256' }, EdDSA: { name: 'Ed25519' },
    PS256: { name: 'RSA-PSS', hash: 'SHA-256' } }[jwk.alg];
  return { kid, key: await crypto.subtle.importKey('jwk', jwk, algorithm, false, ['sign']) };
}
