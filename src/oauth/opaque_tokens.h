/* oauth/opaque_tokens.h: what the service's calls need to know of refresh tokens of grants (struct opaque_tokens): POST
 * /token/revoke (RFC 7009) and POST /token/introspect (RFC 7662). */
#ifndef OAUTH_OPAQUE_TOKENS_H
#define OAUTH_OPAQUE_TOKENS_H

struct opaque_tokens;
extern const struct opaque_tokens oauth_opaque_tokens;

#endif
