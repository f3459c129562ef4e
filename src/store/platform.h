/* store/platform.h: the platform's tables, whichever way they are reached. Each of store.h's operations is one call of
 * an SQL function of deploy/supabase/migrations, so it is one transaction there, and a store here is no more than a way
 * to call a function: over a connection (store_postgres.c) or over HTTP (store_supabase.c). No other file includes it.
 */
#ifndef STORE_PLATFORM_H
#define STORE_PLATFORM_H

#include "base/json.h"
#include "store/store.h"
#include <stdatomic.h>

enum { PLATFORM_ANSWER_MAX = 16 * 1024 * 1024, PLATFORM_ARGS_MAX = 64 * 1024 * 1024, PLATFORM_TRIES = 3 };

/* What became of one try. */
enum platform_outcome {
    PLATFORM_OK,
    PLATFORM_UNREACHED,  /* there was no connection: nothing was done */
    PLATFORM_LOST,       /* no response: perhaps it was done, perhaps not */
    PLATFORM_OVERTAKEN,  /* undone: a serialization failure, a deadlock, a user deleted in between. Another attempt may
                            succeed */
    PLATFORM_UNMIGRATED, /* there is no such function */
    PLATFORM_DENIED,     /* the user or key may not */
    PLATFORM_TROUBLED,   /* it is full, too busy, or read-only: whatever is asked */
    PLATFORM_REFUSED,    /* undone: it can't hold a value (its encoding, a length, a constraint) */
    PLATFORM_FAILED,     /* undone, for whatever else; it was logged */
};

struct platform;
/* Calls public.<function>(args jsonb); the response's text lies in the arena. May wait. Logs what went wrong; *why may
 * be set to a sentence for operators, which names host and setting (base/sentence.h). */
typedef enum platform_outcome (*platform_call)(struct platform *, struct arena *, const char *function, struct str args,
                                               bool is_repeatable, struct str *answer, const char **why);

struct platform {
    struct store store; /* first */
    platform_call call;
    char holder[33];      /* of leases: random, this handle's own; hexadecimal */
    atomic_llong clients; /* the last count of their changes */
    atomic_llong purged;  /* s; until then access tokens were deleted by steps of which there is to be another one */
};

static inline struct platform *platform_of(struct store *store)
{
    return (struct platform *)store;
}

/* Fills what is the same for all kinds. */
void platform_init(struct platform *platform, const struct store_ops *ops, platform_call call);
/* Arguments of a call: an object under way. */
void platform_begin(struct buf *args, struct arena *arena);
/* A text that is not UTF-8, or holds a NUL, can't be kept there: such bytes become U+FFFD. Look-ups ask first. */
void platform_put_str(struct buf *args, const char *name, struct str value);
void platform_put_int(struct buf *args, const char *name, int64_t value);
void platform_put_bool(struct buf *args, const char *name, bool value);
bool platform_can_hold(struct str text);

/* SQLSTATE (PostgreSQL's manual, appendix A), or PostgREST's own PGRST…: what it means. */
enum platform_outcome platform_outcome_of(struct str code);

/* Closes the arguments, calls, and reads the response. A verdict in it is an error: ERR_CONFLICT or ERR_NOT_FOUND with
 * `sentence`. Failures of the database are ERR_UNAVAILABLE. `out` may be NULL. */
enum repeatable { PLATFORM_ONCE, PLATFORM_REPEATABLE };
MUST_USE struct err platform_do(struct store *store, struct arena *arena, const char *function, struct buf *args,
                                enum repeatable repeatable, const char *sentence, const struct json **out);

/* The same, and returns the outcome: PLATFORM_LOST when the response is not understood. */
MUST_USE struct err platform_try(struct store *store, struct arena *arena, const char *function, struct buf *args,
                                 enum repeatable repeatable, const char *sentence, const struct json **out,
                                 enum platform_outcome *outcome);

/* The lines of a response's "rows": false at the end. */
bool platform_next_row(struct str *rest, struct str *row);
struct str platform_rows(const struct json *answer);
/* Members of an object; "" and 0 where there is none. */
struct str platform_str(const struct json *object, const char *name);
int64_t platform_int(const struct json *object, const char *name);

/* platform_clients.c: store.h's operations on clients. */
struct err platform_find_client(struct store *, struct arena *, struct str id, struct client *out);
struct err platform_list_clients(struct store *, struct arena *, struct str after, size_t max, struct client **out,
                                 size_t *count);
struct err platform_add_client(struct store *, const struct client *);
struct err platform_change_client(struct store *, const struct client *, int64_t version);
struct err platform_delete_client(struct store *, struct str id);

/* platform_users.c: store.h's operation on users. */
struct err platform_find_user_claims(struct store *, struct arena *, struct str user_id, const struct json **out);

/* platform.c: those that are about nothing else. platform_check also says whether the database has this version's
 * migration. */
struct err platform_now(struct store *, int64_t *out_ms);
bool platform_has_changed(struct store *);
struct err platform_take_lease(struct store *, struct str name, int64_t ttl_s);
struct err platform_drop_lease(struct store *, struct str name);
struct err platform_check(struct store *);
/* The same, and whether the key files in `dir` belong to this database (store/identity.h). */
struct err platform_check_keys(struct store *, const char *dir);

/* platform_keys.c: store.h's operations on keys. */
struct err platform_list_keys(struct store *, struct arena *, struct key **out, size_t *count);
struct err platform_list_past_keys(struct store *, struct arena *, bool undisposed, size_t max, struct key **out,
                                   size_t *count);
struct err platform_find_key(struct store *, struct arena *, struct str kid, struct key *out);
struct err platform_add_first_key(struct store *, const struct key *);
struct err platform_add_pending_key(struct store *, const struct key *);
struct err platform_activate_key(struct store *, struct str kid, struct str previous, int64_t now_s,
                                 const struct key_terms *);
struct err platform_retire_key(struct store *, struct str kid, int64_t now_s);
struct err platform_revoke_key(struct store *, struct str kid, struct str successor, struct str reason, int64_t now_s,
                               const struct key_terms *);
struct err platform_request_rotation(struct store *, struct str kid, int64_t now_s);
struct err platform_raise_key_lifetime(struct store *, int64_t lifetime_s);
struct err platform_mark_key_disposed(struct store *, struct str kid, int64_t now_s);

/* platform_records.c: store.h's operations on tokens and revocations. */
void platform_record(struct store *, const struct record *const *lists, size_t count, struct err *verdicts);
struct err platform_revocations_since(struct store *, struct arena *, int64_t after, int64_t now_s, size_t max,
                                      struct revocation **out, size_t *count, struct sequence *sequence);
struct err platform_count_uses(struct store *, const struct token_use *uses, size_t count);
struct err platform_purge(struct store *, int64_t now_s, size_t max, size_t *deleted, int64_t *held_ns);

/* platform_items.c: store.h's operations on items. */
struct err platform_find_item(struct store *, struct arena *, enum item_kind kind, const unsigned char id[32],
                              struct item *out);
struct err platform_list_items(struct store *, struct arena *, const struct item_query *query, struct item **out,
                               size_t *count);
/* Whether there is a list with items; the verdict of one whose items may not be kept says so. */
bool platform_check_items(const struct record *const *lists, size_t count, struct err *verdicts);
/* "items" of the arguments: of all lists whose verdict is OK, each with its list's number. */
void platform_put_items(struct buf *args, const struct record *const *lists, size_t count, const struct err *verdicts);
/* The "conflicts" of the response become verdicts; false when they are not understood. */
MUST_USE bool platform_read_conflicts(const struct json *answer, const struct record *const *lists, size_t count,
                                      struct err *verdicts);
/* Deletes at most `max`. */
MUST_USE struct err platform_purge_items(struct store *, int64_t now_s, size_t max, size_t *deleted);

/* platform_events.c: store.h's operations on events. */
struct err platform_list_events(struct store *, struct arena *, int64_t after, size_t max, struct event **out,
                                size_t *count);
struct err platform_drop_events(struct store *, const struct event *events, size_t count);
struct err platform_count_events(struct store *, size_t max, size_t *count, int64_t *oldest_at);
/* The members of an event's row among the arguments of a call that records, after what it begins with. */
void platform_put_event(struct buf *args, const struct event *event);

/* All operations of store.h except name and close, which each kind has of its own. */
#define PLATFORM_OPERATIONS                                                                                            \
    .is_shared = true, .find_client = platform_find_client, .list_clients = platform_list_clients,                     \
    .add_client = platform_add_client, .change_client = platform_change_client,                                        \
    .delete_client = platform_delete_client, .now = platform_now, .list_keys = platform_list_keys,                     \
    .list_past_keys = platform_list_past_keys, .find_key = platform_find_key, .add_first_key = platform_add_first_key, \
    .add_pending_key = platform_add_pending_key, .activate_key = platform_activate_key,                                \
    .retire_key = platform_retire_key, .revoke_key = platform_revoke_key,                                              \
    .request_rotation = platform_request_rotation, .raise_key_lifetime = platform_raise_key_lifetime,                  \
    .mark_key_disposed = platform_mark_key_disposed, .find_item = platform_find_item,                                  \
    .find_user_claims = platform_find_user_claims, .list_items = platform_list_items,                                  \
    .list_events = platform_list_events, .drop_events = platform_drop_events, .count_events = platform_count_events,   \
    .record = platform_record, .revocations_since = platform_revocations_since, .count_uses = platform_count_uses,     \
    .purge = platform_purge, .has_changed = platform_has_changed, .take_lease = platform_take_lease,                   \
    .drop_lease = platform_drop_lease, .check = platform_check

#endif
