/* service/client_rules.h: what must hold between the members that a client registers, and of its keys. */
#ifndef SERVICE_CLIENT_RULES_H
#define SERVICE_CLIENT_RULES_H

#include "service/client_metadata.h"

struct client_fault {
    const char *member; /* that is to be changed */
    const char *why;    /* static, or in the arena; NULL: nothing is wrong */
};

/* The first rule that is broken: RFC 6749 section 3.1.2.2 (redirect URIs), RFC 8252 and RFC 9700 (public clients,
 * PKCE), OpenID Connect Core section 8.1 (pairwise subjects); jwks has public keys alone, for signatures or for
 * encryption, at least one of the former and at most 16, none with another's kid. */
struct client_fault client_rules_fault(struct arena *arena, const struct client_metadata *metadata);

#endif
