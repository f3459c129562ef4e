/* store/store_sqlite.h: what the files of the embedded store share. No other file includes it. */
#ifndef STORE_STORE_SQLITE_H
#define STORE_STORE_SQLITE_H

#include "store/sqlite.h"
#include "store/store.h"
#include <pthread.h>

enum statement {
    FIND_CLIENT,
    LIST_CLIENTS,
    ADD_CLIENT,
    CHANGE_CLIENT,
    DELETE_CLIENT,
    LIST_KEYS,
    LIST_PAST_KEYS,
    FIND_KEY,
    ADD_KEY,
    ACTIVATE_KEY,
    RETIRE_PREVIOUS,
    RETIRE_KEY,
    REVOKE_KEY,
    REQUEST_ROTATION,
    RAISE_LIFETIME,
    MARK_DISPOSED,
    ADD_KEY_EVENT,
    ADD_EVENT,
    LIST_EVENTS,
    DROP_EVENT,
    COUNT_EVENTS,
    ADD_ACCESS,
    ADD_REFRESH,
    ADD_REVOCATION,
    REVOKE_ACCESS,
    REVOKE_REFRESH,
    REVOCATIONS_SINCE,
    FIND_ITEM,
    LIST_ITEMS,
    LIST_SESSIONS_OF_SUBJECT,
    LIST_SESSIONS_OF_SID,
    READ_ITEM_CHANGE,
    CHANGE_ITEM,
    PUT_ITEM,
    FIND_PURGE_END,
    PURGE_ACCESS,
    PURGE_REFRESH,
    PURGE_REVOCATIONS,
    PURGE_EVENTS,
    PURGE_ITEMS,
    CHECK,
    READ_IDENTITY,
    DATA_VERSION,
    BEGIN,
    COMMIT,
    ROLLBACK,
    STATEMENTS
};

enum { STORE_SQLITE_VERSION = 8 };
extern const char *const store_sqlite_migrations[STORE_SQLITE_VERSION];
extern const char *const store_sqlite_texts[STATEMENTS];

struct connection {
    struct sqlite sqlite;
    pthread_mutex_t lock;
};

struct store_sqlite {
    struct store store;
    struct connection writer, reader;
    int64_t data_version; /* under the writer's lock, as is the next */
    uint32_t next_id;     /* of an access token, among those that expire in the same second */
    uint64_t epoch;       /* of the positions, a new one each time: the file may be a backup's since */
};

static inline struct store_sqlite *sqlite_of(struct store *store)
{
    return (struct store_sqlite *)store;
}

static inline sqlite3_stmt *statement_of(const struct connection *connection, enum statement which)
{
    return connection->sqlite.statements[which];
}

static inline void unlockp(pthread_mutex_t **lock)
{
    pthread_mutex_unlock(*lock);
}

/* Holds a connection until the end of the scope. */
#define HOLD(connection)                                                                                               \
    AUTO(unlockp) pthread_mutex_t *held_ = &(connection)->lock;                                                        \
    pthread_mutex_lock(held_)

/* A transaction on the writer, which the caller holds: whatever comes between is kept whole or not at all.
 * transaction_end commits when `err` is OK, else rolls back and returns it. */
MUST_USE struct err transaction_begin(struct connection *writer);
MUST_USE struct err transaction_end(struct connection *writer, struct err err);

/* store_sqlite_keys.c: store.h's operations on keys. */
struct err sqlite_list_keys(struct store *, struct arena *, struct key **out, size_t *count);
struct err sqlite_list_past_keys(struct store *, struct arena *, bool undisposed, size_t max, struct key **out,
                                 size_t *count);
struct err sqlite_find_key(struct store *, struct arena *, struct str kid, struct key *out);
struct err sqlite_add_first_key(struct store *, const struct key *);
struct err sqlite_add_pending_key(struct store *, const struct key *);
struct err sqlite_activate_key(struct store *, struct str kid, struct str previous, int64_t now_s,
                               const struct key_terms *);
struct err sqlite_retire_key(struct store *, struct str kid, int64_t now_s);
struct err sqlite_revoke_key(struct store *, struct str kid, struct str successor, struct str reason, int64_t now_s,
                             const struct key_terms *);
struct err sqlite_request_rotation(struct store *, struct str kid, int64_t now_s);
struct err sqlite_raise_lifetime(struct store *, int64_t lifetime_s);
struct err sqlite_mark_key_disposed(struct store *, struct str kid, int64_t now_s);
/* Inside or outside a transaction: the active key may sign tokens of that lifetime. */
MUST_USE struct err sqlite_raise_key_lifetime(struct connection *writer, int64_t lifetime_s);

/* store_sqlite_events.c: store.h's operations on events. */
struct err sqlite_list_events(struct store *, struct arena *, int64_t after, size_t max, struct event **out,
                              size_t *count);
struct err sqlite_drop_events(struct store *, const struct event *events, size_t count);
struct err sqlite_count_events(struct store *, size_t max, size_t *count, int64_t *oldest_at);
/* Inside a transaction. */
MUST_USE struct err sqlite_add_event(struct connection *writer, const struct event *event);

/* store_sqlite_purge.c: store.h's operation that deletes what has expired. */
struct err sqlite_purge(struct store *, int64_t now_s, size_t max, size_t *deleted, int64_t *held_ns);

/* store_sqlite_items.c: store.h's operations on items. */
struct err sqlite_find_item(struct store *, struct arena *, enum item_kind kind, const unsigned char id[32],
                            struct item *out);
struct err sqlite_list_items(struct store *, struct arena *, const struct item_query *query, struct item **out,
                             size_t *count);
/* Inside a transaction: the verdict on a list by its items. */
MUST_USE struct err sqlite_judge_items(struct connection *writer, const struct record *list, struct err *verdict);
/* Inside a transaction: changes the item of a record that was judged OK. */
MUST_USE struct err sqlite_put_item(struct connection *writer, const struct record *record);

#endif
