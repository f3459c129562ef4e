// npm's `oauth4webapi`, for test_client_oauth4webapi.py: each step by itself, with all the checks that the library has.
import * as oauth from 'oauth4webapi';
import { keyOf, serve } from './library.mjs';

let server, client, authentication, sent, tokens;

async function signed(response) {
  await oauth.validateApplicationLevelSignature(server, response);
}

await serve({
  // algorithm: oidc or oauth2, which are two documents.
  async discover({ issuer, algorithm, client_id, key, secret, metadata }) {
    const url = new URL(issuer);
    server = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, { algorithm }));
    client = { client_id, ...metadata };
    authentication = key ? oauth.PrivateKeyJwt(await keyOf(key)) : oauth.ClientSecretBasic(secret);
    return { metadata: server };
  },

  async begin({ parameters }) {
    sent = { verifier: oauth.generateRandomCodeVerifier(), state: oauth.generateRandomState(),
      nonce: oauth.generateRandomNonce(), redirect_uri: parameters.redirect_uri, max_age: parameters.max_age };
    const url = new URL(server.authorization_endpoint);
    url.search = new URLSearchParams({ ...parameters, client_id: client.client_id, response_type: 'code',
      state: sent.state, nonce: sent.nonce, code_challenge_method: 'S256',
      code_challenge: await oauth.calculatePKCECodeChallenge(sent.verifier) });
    return { url: url.href };
  },

  // Where the browser came back to; `sent_to`: the issuer that the client sent the user to, if another one.
  async finish({ url, sent_to }) {
    const expected = sent_to ? { ...server, issuer: sent_to } : server;
    const came = oauth.validateAuthResponse(expected, client, new URL(url), sent.state);
    const response = await oauth.authorizationCodeGrantRequest(
      server, client, authentication, came, sent.redirect_uri, sent.verifier);
    tokens = await oauth.processAuthorizationCodeResponse(server, client, response, {
      expectedNonce: sent.nonce, maxAge: Number(sent.max_age), requireIdToken: true });
    await signed(response);
    return { tokens: { ...tokens, claims: oauth.getValidatedIdTokenClaims(tokens) } };
  },

  async userinfo({ subject }) {
    const response = await oauth.userInfoRequest(server, client, tokens.access_token);
    const userinfo = await oauth.processUserInfoResponse(server, client, subject, response);
    if (client.userinfo_signed_response_alg) await signed(response);
    return { userinfo };
  },

  async refresh() {
    const response = await oauth.refreshTokenGrantRequest(server, client, authentication, tokens.refresh_token);
    tokens = await oauth.processRefreshTokenResponse(server, client, response);
    await signed(response);
    return { tokens: { ...tokens, claims: oauth.getValidatedIdTokenClaims(tokens) } };
  },

  async client_credentials({ parameters }) {
    const response = await oauth.clientCredentialsGrantRequest(server, client, authentication, parameters);
    return { tokens: await oauth.processClientCredentialsResponse(server, client, response) };
  },

  async introspect({ token }) {
    const response = await oauth.introspectionRequest(server, client, authentication, token);
    return { introspected: await oauth.processIntrospectionResponse(server, client, response) };
  },

  async revoke({ token }) {
    await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, authentication, token));
    return {};
  },

  // As a resource server, RFC 9068 section 4.
  async validate({ token, audience }) {
    const request = new Request('https://api.example/', { headers: { Authorization: `Bearer ${token}` } });
    return { claims: await oauth.validateJwtAccessToken(server, request, audience) };
  },
});
