/* cache/uses.h: how often tokens were used, until somebody writes it down. Noting a use takes no lock and waits for
 * nothing: it adds to a count of the token's own. Only the first use since the last collection puts the token on a
 * list. Bounded: of tokens beyond USES_MAX the uses are dropped, and a metric counts them. */
#ifndef CACHE_USES_H
#define CACHE_USES_H

#include "jose/claims.h"

enum { USES_MAX = 65536, USES_BATCH = 1000 }; /* tokens on the list, about 100 bytes each; and written at once */

/* Of one token. Lives as long as anybody holds it: the verified token it belongs to, and the list. */
struct use;
struct use *use_new(const unsigned char hash[32], enum token_kind kind);
void use_release(struct use *use); /* NULL allowed */

struct uses;
struct uses *uses_new(void);
void uses_free(struct uses *uses); /* NULL allowed; no thread may be noting any more */
/* The token was used once more, at `now_s`. */
void uses_note(struct uses *uses, struct use *use, int64_t now_s);

/* --- For one thread, which writes them down. */
struct use_count {
    unsigned char hash[32]; /* SHA-256 of the token */
    enum token_kind kind;
    uint64_t times;
    int64_t last_used_at; /* s */
};
/* Those that were used until now are what uses_take() gives, when it has given all of the last collection. */
void uses_collect(struct uses *uses);
/* Up to USES_BATCH of what was collected; 0: that was all. Then uses_settle() before the next. The same token may come
 * twice. */
size_t uses_take(struct uses *uses, struct use_count out[USES_BATCH]);
/* What was taken last has been written; or has not, and is to be given again, with what has come to it. */
void uses_settle(struct uses *uses, const struct use_count taken[USES_BATCH], bool is_written);

#endif
