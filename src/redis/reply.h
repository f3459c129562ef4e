/* redis/reply.h: replies of Redis (RESP2), from bytes. The result lies in an arena and is bounded, whatever the other
 * end sends; what is not RESP2 is refused. Fuzzed, with hiredis as a second opinion. */
#ifndef REDIS_REPLY_H
#define REDIS_REPLY_H

#include "base/mem.h"

enum {
    REPLY_BYTES_MAX = 16 * 1024 * 1024, /* of one reply, as it comes */
    REPLY_ITEMS_MAX = 256 * 1024,       /* of all lists of one reply */
    REPLY_DEPTH_MAX = 7,                /* lists in lists; no command that is used has more than 4 */
    REPLY_LINE_MAX = 4 * 1024,          /* a status, an error, a number or a length */
};

/* A status is a line ("OK"), a text is bytes behind their length. */
enum reply_kind { REPLY_NIL, REPLY_STATUS, REPLY_TEXT, REPLY_NUMBER, REPLY_LIST, REPLY_ERROR };
struct reply {
    enum reply_kind kind;
    struct str text; /* REPLY_STATUS, REPLY_TEXT; REPLY_ERROR: "MOVED 3999 127.0.0.1:6381" */
    int64_t number;
    const struct reply **items; /* REPLY_LIST: none of them is NULL */
    size_t count;
};

struct reply_reader;
struct reply_reader *reply_reader_new(void);
void reply_reader_free(struct reply_reader *reader); /* NULL allowed */
/* Whether every received byte belongs to a reply that was read: bytes left over are a reply to nothing that was asked.
 */
bool reply_reader_is_empty(const struct reply_reader *reader);
/* Takes bytes as they come. ERR_UNAVAILABLE: more than a reply may have. */
MUST_USE struct err reply_feed(struct reply_reader *reader, struct str bytes);
/* The next reply, in the arena; *out is NULL when more bytes are needed: call again with the same arena. After
 * ERR_UNAVAILABLE (not the protocol, or too large) the reader is good for nothing more. */
MUST_USE struct err reply_next(struct reply_reader *reader, struct arena *arena, const struct reply **out);

/* The item of a list; NULL when it isn't there or is of another kind. */
const struct reply *reply_item(const struct reply *list, size_t at, enum reply_kind kind);
/* Whether it is an error that begins with this word. */
bool reply_is_error(const struct reply *reply, struct str word);

#endif
