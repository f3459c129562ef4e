/* wire/headers.h: the header fields of a message, in the order in which they came (RFC 9110 section 5). */
#ifndef WIRE_HEADERS_H
#define WIRE_HEADERS_H

#include "base/mem.h"

/* Views. The name as it was sent: it is compared without regard to case. */
struct header {
    struct str name, value;
};
struct headers {
    const struct header *at;
    size_t count;
};

/* On how many lines the field came. */
size_t headers_count(struct headers headers, struct str name);

/* The value of a field; at == NULL: it did not come. Several lines of it are one list (RFC 9110 section 5.3): then the
 * value is made in the arena, divided by ", ", and Cookie's by "; " (RFC 9113 section 8.2.3). So a field that is no
 * list and came twice has a value that its grammar doesn't allow, or, where a comma is allowed, headers_count() > 1. */
struct str headers_value(struct headers headers, struct arena *arena, struct str name);

#endif
