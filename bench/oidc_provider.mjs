// bench/oidc_provider.mjs PORT ALG: npm's oidc-provider, as rows_oauth.py asks it: one client (CLIENT_ID,
// CLIENT_SECRET, REDIRECT_URI), whose users are not asked for consent; access tokens that are JWTs, for one API
// (RESOURCE, SCOPE); and every refresh token rotates. What it keeps is in its own adapter in memory, here with room for
// more than 1,000 things. A code brings a grant of its own, as in the service: that adapter goes through all of a grant
// at each use.
import { generateKeyPairSync } from 'node:crypto';
import LRU from '../tests/integration/node_modules/oidc-provider/lib/helpers/lru.js';
import MemoryAdapter from '../tests/integration/node_modules/oidc-provider/lib/adapters/memory_adapter.js';
import Provider from '../tests/integration/node_modules/oidc-provider/lib/index.js';

const [port, alg] = process.argv.slice(2);
const { CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, RESOURCE, SCOPE } = process.env;
const KEPT = 1_000_000;

const { privateKey } = alg === 'ES256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
                                       : generateKeyPairSync('rsa', { modulusLength: 2048 });
const storage = new LRU({ maxSize: KEPT });

const provider = new Provider(`http://127.0.0.1:${port}`, {
  adapter: (model) => new MemoryAdapter(model, storage),
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'bench', use: 'sig', alg }] },
  clients: [{
    client_id: CLIENT_ID,
    client_secret: CLIENT_SECRET,
    redirect_uris: [REDIRECT_URI],
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    token_endpoint_auth_method: 'client_secret_basic',
    id_token_signed_response_alg: alg,
  }],
  clientDefaults: { id_token_signed_response_alg: alg },
  cookies: { keys: ['bench'] },
  routes: { authorization: '/authorize' },
  ttl: { AuthorizationCode: 600 },
  features: {
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => RESOURCE,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({ scope: SCOPE, audience: RESOURCE, accessTokenFormat: 'jwt',
                                      jwt: { sign: { alg } } }),
    },
  },
  findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  async loadExistingGrant({ oidc }) {
    const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope('openid');
    grant.addResourceScope(RESOURCE, SCOPE);
    await grant.save();
    return grant;
  },
  expiresWithSession: () => false, // a session is of its last grant alone
  issueRefreshToken: (ctx, client, code) => !code.scopes.has('openid'),
  rotateRefreshToken: true,
});
provider.on('server_error', (ctx, error) => console.error(error));
provider.listen(Number(port), '127.0.0.1');
