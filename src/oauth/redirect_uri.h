/* oauth/redirect_uri.h: where an answer to an authorization request may go, and how it is put there. Compared byte by
 * byte with what the client has registered (RFC 9700 section 2.1); whatever is not the same is another URI. Pure
 * functions on bytes. Fuzzed: tests/fuzz/redirect_uri.c. */
#ifndef OAUTH_REDIRECT_URI_H
#define OAUTH_REDIRECT_URI_H

#include "base/mem.h"

enum { REDIRECT_URI_MAX = 2048, REDIRECT_MAX = 16 * 1024 };

/* A URI that is registered. Only redirect_uri_find() makes one, and redirect_uri_with() takes nothing else: so nobody
 * is sent to a URI that was only asked for. */
struct redirect_uri {
    struct str text; /* as it was asked for: a view of the request */
};

/* Finds the URI of a request among the client's. The port is free when the registered URI is `http` on a loopback
 * address, 127.0.0.1 or [::1], and the client is a native application (RFC 8252 section 7.3); "localhost" is a name,
 * and gets no such freedom (section 8.3).
 *
 * A registered URI that must not be redirected to is never found, whoever has registered it: with a fragment, user
 * information, no host, a scheme that runs in the browser, a byte that no URI has, or with a parameter of ours
 * (`code`, `state`, `iss`, `error`, …) in its query, which the client could take for the answer. */
MUST_USE bool redirect_uri_find(const struct str *registered, size_t count, bool is_native, struct str presented,
                                struct redirect_uri *out);

struct redirect_parameter {
    struct str name, value; /* value.at == NULL: it is left out */
};

/* The URI with parameters added to its query, which stays as it is (RFC 6749 section 3.1.2), in the arena. Every byte
 * that is not unreserved is percent-encoded. ERR_TOO_LARGE above REDIRECT_MAX. */
MUST_USE struct err redirect_uri_with(struct arena *arena, const struct redirect_uri *to,
                                      const struct redirect_parameter *parameters, size_t count, struct str *out);

#endif
