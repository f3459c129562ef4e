/* oauth/resource.h: what a token is to be for, as the client names it: `resource` (RFC 8707). Several may be named;
 * each step of a grant may ask for fewer than the step before, and never for others. Pure functions on lists of texts.
 */
#ifndef OAUTH_RESOURCE_H
#define OAUTH_RESOURCE_H

#include "base/mem.h"

enum { RESOURCES_MAX = 8, RESOURCE_LEN_MAX = 255 };

struct resources {
    struct str of[RESOURCES_MAX]; /* views; each once */
    size_t count;
};

/* Adds one that was named, unless it is there already. ERR_INVALID_TARGET: it is no absolute URI, or has a fragment
 * (section 2), or is longer than RESOURCE_LEN_MAX; or there are too many. */
MUST_USE struct err resources_add(struct resources *resources, struct str named);

/* Whether a client may ask for all of them: each is one that it has registered, byte by byte, or one of `usual`, what
 * every token is for (TOKEN_AUDIENCE, comma-separated). ERR_INVALID_TARGET. */
MUST_USE struct err resources_allow(const struct resources *asked, const struct str *registered, size_t count,
                                    struct str usual);

/* What a step gets that asks for `asked` of what was `granted`: all of it when it names none. ERR_INVALID_TARGET when
 * one was not granted: also when nothing was, for then the grant is for the usual audience alone, which the caller puts
 * into `granted` if it may be named. */
MUST_USE struct err resources_narrow(const struct resources *asked, const struct resources *granted,
                                     struct resources *out);

#endif
