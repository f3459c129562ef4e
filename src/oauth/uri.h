/* oauth/uri.h: absolute URIs without a fragment (RFC 3986 section 4.3), as redirect URIs and resources are. They are
 * only compared, never normalised: two spellings are two URIs. A pure function on bytes. */
#ifndef OAUTH_URI_H
#define OAUTH_URI_H

#include "base/mem.h"

struct uri {
    struct str scheme;
    struct str authority; /* at == NULL: there is none */
    struct str path;
    struct str query; /* at == NULL: there is none */
};

/* Splits at the delimiters, and decodes nothing. False for whatever has a fragment, no scheme, a byte that no URI has
 * (spaces, control characters, quotes, backslashes, all above ASCII), or a percent sign without two digits. */
MUST_USE bool uri_split(struct str text, struct uri *out);

#endif
