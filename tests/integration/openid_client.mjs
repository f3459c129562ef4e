// npm's `openid-client`, for test_client_openid_client.py.
import * as oauth from 'openid-client';
import { keyOf, serve } from './library.mjs';

let config, checks, tokens;

const authentications = {
  client_secret_basic: ({ secret }) => oauth.ClientSecretBasic(secret),
  client_secret_post: ({ secret }) => oauth.ClientSecretPost(secret),
  private_key_jwt: async ({ key }) => oauth.PrivateKeyJwt(await keyOf(key)),
  none: () => oauth.None(),
};

function take(answer) {
  tokens = { ...answer, claims: answer.claims() };
  return { tokens };
}

await serve({
  // From the issuer's URL alone.
  async discover({ issuer, client_id, method, ...credentials }) {
    const metadata = { token_endpoint_auth_method: method, ...credentials.metadata };
    config = await oauth.discovery(new URL(issuer), client_id, metadata, await authentications[method](credentials));
    return { metadata: config.serverMetadata() };
  },

  async begin({ parameters, signed_with }) {
    const pkceCodeVerifier = oauth.randomPKCECodeVerifier();
    checks = { pkceCodeVerifier, expectedState: oauth.randomState(), expectedNonce: oauth.randomNonce(),
      idTokenExpected: true };
    if (parameters.max_age) checks.maxAge = Number(parameters.max_age);
    const all = { ...parameters, state: checks.expectedState, nonce: checks.expectedNonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256' };
    const url = signed_with
      ? await oauth.buildAuthorizationUrlWithJAR(config, all, await keyOf(signed_with))
      : oauth.buildAuthorizationUrl(config, all);
    return { url: url.href };
  },

  // Where the browser came back to; `form`: what it posted there.
  async finish({ url, form }) {
    const came = form ? new Request(url, { method: 'POST', body: new URLSearchParams(form) }) : new URL(url);
    return take(await oauth.authorizationCodeGrant(config, came, checks));
  },

  async userinfo() {
    return { userinfo: await oauth.fetchUserInfo(config, tokens.access_token, tokens.claims.sub) };
  },

  async refresh({ token, parameters }) {
    return { tokens: await oauth.refreshTokenGrant(config, token ?? tokens.refresh_token, parameters) };
  },

  async client_credentials({ parameters }) {
    return { tokens: await oauth.clientCredentialsGrant(config, parameters) };
  },

  async introspect({ token }) {
    return { introspected: await oauth.tokenIntrospection(config, token) };
  },

  async revoke({ token }) {
    await oauth.tokenRevocation(config, token);
    return {};
  },

  async logout_url({ parameters }) {
    return { url: oauth.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, ...parameters }).href };
  },
});
