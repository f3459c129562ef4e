/* wire/fields.h: what field values are made of (RFC 9110): lists, quoted strings, media types and what Accept makes of
 * them, entity tags, max-age. Pure functions on bytes, as strict as the grammar and no stricter. Fuzzed:
 * tests/fuzz/fields.c. */
#ifndef WIRE_FIELDS_H
#define WIRE_FIELDS_H

#include "base/mem.h"

/* The next element of a list (section 5.6.1) without the spaces around it; a comma in a quoted string does not separate
 * elements, and empty elements are skipped. False at the end. */
bool field_next(struct str *rest, struct str *element);

/* Whether one element of a list is `name`, without regard to case. */
bool field_has(struct str list, struct str name);

/* A parameter (section 5.6.6): name "=" token or quoted string, at the beginning of *rest. `value` is what stands
 * there: a quoted string with its quotes, *is_quoted. */
bool field_parameter(struct str *rest, struct str *name, struct str *value, bool *is_quoted);

/* Whether a Content-Type names the media type `type` ("application/json"). Its parameters must have the form of
 * parameters, and, known or not, say nothing here (section 8.3.1; RFC 8259 section 11). */
bool field_is_type(struct str content_type, struct str type);

/* What Accept says of a media type, by the most specific range that fits (section 12.5.1). A malformed element is
 * skipped. */
struct preference {
    int quality;     /* in thousandths: 0 is "not acceptable", or not named at all */
    int specificity; /* 0: no range fits; 1: "*" "/" "*"; 2: the main type's; 3: the type itself */
};
struct preference field_preference(struct str accept, struct str type);

/* max-age of a Cache-Control (RFC 9111 section 5.2.2.1) in seconds, the smallest if there are several, and 0 for one
 * that is no number; false when there is none. */
bool field_max_age(struct str cache_control, int64_t *seconds);

/* Whether an If-None-Match (section 13.1.2) names the entity tag: in a list, compared weakly, or by "*". A malformed
 * list names none. */
bool field_has_etag(struct str if_none_match, struct str etag);

#endif
