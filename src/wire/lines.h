/* wire/lines.h: the lines that an HTTP/1.1 message begins with (RFC 9112), read in the same way for incoming requests
 * and for responses to outgoing ones. Pure functions on bytes.
 *
 * As strict as the standard allows: lenience between two parsers is what request smuggling lives on (CWE-444). No bare
 * LF, no folded line, no space before a colon. Fuzzed: tests/fuzz/head.c. */
#ifndef WIRE_LINES_H
#define WIRE_LINES_H

#include "base/mem.h"

/* The size of the request or status line and headers that `bytes` begins with, including the empty line; 0 while they
 * are not complete. `searched`: how many bytes an earlier call has searched, so that a peer that sends byte by byte
 * costs nothing. */
size_t wire_head_size(struct str bytes, size_t searched);

/* Cuts a line that ends in CR LF, without its end; false when there is none, or only an LF. */
bool wire_next_line(struct str *rest, struct str *line);

/* One header line without its end: name and value without the spaces around it. False when it is malformed. */
bool wire_read_header(struct str line, struct str *name, struct str *value);

/* Content-Length (RFC 9110 section 8.6): only digits, at most 18. */
bool wire_read_length(struct str text, size_t *out);

/* RFC 9110 section 5.6.2: not empty, and only what may stand in a method or a header's name. */
bool wire_is_token(struct str text);
/* RFC 9110 section 5.5: no control character but the tab. */
bool wire_is_value(struct str value);
/* RFC 3986: not empty, only visible ASCII. */
bool wire_is_visible(struct str text);

#endif
