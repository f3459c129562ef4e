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

/* The value of a field; at == NULL when it is absent. Several lines of a field are one list (RFC 9110 section 5.3): the
 * value is then joined in the arena by ", ", or by "; " for Cookie (RFC 9113 section 8.2.3). So a field that is not a
 * list and came twice has a value that its grammar does not allow, or, where a comma is allowed, headers_count() > 1.
 */
struct str headers_value(struct headers headers, struct arena *arena, struct str name);

#endif
