// An API with npm's `express-oauth2-jwt-bearer`, for test_client_express.py: it knows the issuer's URL and its name.
// The first line of standard output is its port; it ends when standard input does.
import express from 'express';
import { auth, claimIncludes, requiredScopes } from 'express-oauth2-jwt-bearer';

const [issuerBaseURL, audience] = process.argv.slice(2);
const app = express();
app.use(auth({ issuerBaseURL, audience }));
app.get('/', (request, response) => response.json(request.auth.payload));
app.get('/write', requiredScopes('stories:write'), (request, response) => response.json({ ok: true }));
app.get('/amr', claimIncludes('amr', 'pwd'), (request, response) => response.json({ ok: true }));
app.use((error, request, response, next) => {
  response.status(error.status ?? 500).set(error.headers ?? {}).json({ error: error.code ?? error.message });
});
const server = app.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.resume().on('end', () => process.exit(0));
