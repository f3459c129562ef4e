/* wire/uri.h: absolute URIs without a fragment (RFC 3986 section 4.3), as redirect URIs and resources are. They are
 * only compared, never normalised: two spellings are two URIs. A pure function on bytes. */
#ifndef WIRE_URI_H
#define WIRE_URI_H

#include "base/mem.h"

struct uri {
    struct str scheme;
    struct str authority; /* at == NULL: there is none */
    struct str path;
    struct str query; /* at == NULL: there is none */
};

/* NULL, or which bytes are not those of a URI without a fragment; static. */
const char *uri_fault_of_bytes(struct str text);

/* Splits at the delimiters, and decodes nothing. False for whatever has a fragment, no scheme, a byte that no URI has
 * (spaces, control characters, quotes, backslashes, all above ASCII), or a percent sign without two digits. */
MUST_USE bool uri_split(struct str text, struct uri *out);

#endif
