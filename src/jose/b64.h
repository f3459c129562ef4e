/* jose/b64.h: base64url without padding (RFC 7515 section 2, RFC 4648 section 5), strict; and plain base64 for HTTP
 * Basic. One spelling for each value: a revocation is kept by the token's text, so a second spelling would undo it. */
#ifndef JOSE_B64_H
#define JOSE_B64_H

#include "base/mem.h"

static inline size_t b64url_encoded_len(size_t len)
{
    return len / 3 * 4 + (len % 3 ? len % 3 + 1 : 0);
}

/* Writes b64url_encoded_len(in.len) bytes to `out`, no NUL. */
void b64url_encode(struct str in, char *out);
/* The same, appended to a buf. */
void b64url_add(struct buf *buf, struct str in);

/* Plain base64 with its padding, appended to a buf. */
void b64_add(struct buf *buf, struct str in);

/* Decodes into `out`, which has room for in.len / 4 * 3 + 2 bytes; *len says how many were written. False for any byte
 * outside the alphabet, padding, a length of 1 mod 4, or bits left over that are not zero. Fuzzed: tests/fuzz/b64.c. */
MUST_USE bool b64url_decode(struct str in, char *out, size_t *len);

/* The same for base64 with its required padding (RFC 4648 section 4), as HTTP Basic has it (RFC 7617). */
MUST_USE bool b64_decode(struct str in, char *out, size_t *len);

#endif
