/* store/postgres.h: a pool of connections to one PostgreSQL. A connection keeps no state between two calls (no
 * prepared statement, no SET, no transaction), so a pooler that changes servers after each transaction is as good as
 * the server itself. Thread-safe. */
#ifndef STORE_POSTGRES_H
#define STORE_POSTGRES_H

#include "base/mem.h"
#include "store/libpq.h"

struct postgres;

struct postgres_terms {
    const char *url;    /* libpq's: postgresql://… or keywords and values. Lives as long as the pool */
    size_t connections; /* at most */
    int64_t timeout_ms; /* of a call, waiting and connecting included; connecting takes whole seconds, two at least */
};

enum postgres_fault {
    POSTGRES_OK,
    POSTGRES_UNSENT, /* there was no connection */
    POSTGRES_LOST,   /* sent, and the connection broke before the response was complete */
    POSTGRES_LATE,   /* sent, and no complete response came in time */
    POSTGRES_SAID,   /* the server refused: its SQLSTATE says why */
};

struct postgres_answer {
    char sqlstate[6]; /* POSTGRES_SAID */
    const char *why;  /* of the others: a sentence for operators (base/sentence.h) */
    struct str value; /* POSTGRES_OK: of the only column of the only row, in the arena */
};

/* Checks the URL, connects to nothing yet. ERR_INVALID_REQUEST when it is no URL of libpq's. */
MUST_USE struct err postgres_open(const struct postgres_terms *terms, struct postgres **out);
void postgres_close(struct postgres *postgres); /* NULL allowed; no call may be in progress */

/* One statement with one text parameter. Never sent twice. What fails is logged without values. */
enum postgres_fault postgres_ask(struct postgres *postgres, struct arena *arena, const char *sql, struct str parameter,
                                 struct postgres_answer *out);

/* A connection outside of a pool. ERR_INVALID_REQUEST when libpq does not accept the URL; ERR_UNAVAILABLE, with a
 * sentence that names the host and says why, when it can't connect in `timeout_s`. The caller finishes it. */
MUST_USE struct err postgres_connect(const struct libpq_calls *calls, const char *url, int64_t timeout_s, PGconn **out);

#endif
