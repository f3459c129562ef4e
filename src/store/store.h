/* store/store.h: the records: clients, keys, tokens, revocations. One interface, a file a kind. Every operation may
 * wait, so none runs on an event loop; all are thread-safe. Results are in the caller's arena. Failures of the store
 * itself are ERR_UNAVAILABLE, with the detail logged. Column names are the platform's (docs/contract.md, "Tables").
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/mem.h"
#include "base/settings.h"
#include "jose/claims.h"
#include "store/event.h"
#include "store/item.h"

/* A time or a lifetime as it comes from a database, in seconds: what somebody has put there may lie anywhere. Held to
 * what sums of a few of them can't overflow. */
static inline int64_t store_seconds(int64_t value)
{
    return value < 0 ? 0 : value > CLAIMS_TIME_MAX ? CLAIMS_TIME_MAX : value;
}

struct client_metadata;

struct client {
    struct str id, name;
    bool is_public;                                /* client_type: no secret, may not authenticate here */
    unsigned char secret_hash[32];                 /* SHA-256 of the secret; zero: it has none, as a public client */
    unsigned char old_secret_hash[32];             /* of the secret before it; zero: none */
    int64_t old_secret_until;                      /* s; from then on the old one is not good any more; 0: none */
    struct str scopes;                             /* allowed_scopes, space-separated */
    int64_t access_ttl_s, refresh_ttl_s, id_ttl_s; /* 0: the service's default */
    bool is_active;
    int64_t created_at;  /* s */
    struct str metadata; /* a JSON object with the names of RFC 7591 section 2: service/client_metadata.h */
    int64_t version;     /* of this row: each change adds to it, whoever makes it. Not looked at by add_client */
    const struct client_metadata
        *registered; /* the metadata as it was read, by memory (service/clients.h); else NULL */
};

enum key_state { KEY_PENDING = 1, KEY_ACTIVE, KEY_RETIRING, KEY_RETIRED, KEY_REVOKED };

enum { KEYS_LIVE_MAX = 32 }; /* pending, active and retiring keys together: what one JWKS holds */

struct key {
    struct str kid, alg;   /* RFC 7638 thumbprint, but of an envelope key 128 random bits in base64url; "RS256" */
    struct str public_jwk; /* JSON */
    /* Where the signer finds the private half: "file:signing-key-<kid>.pem", "kms:<ARN>", "envelope:<ARN>:<wrapped>" */
    struct str private_ref;
    enum key_state state;
    int64_t created_at;                                                      /* s */
    int64_t published_at, activated_at, retiring_at, retired_at, revoked_at; /* s; 0: not yet */
    int64_t rotate_requested_at; /* s; of an active key: when a rotation was asked for; 0: none was */
    int64_t lifetime_s;          /* of the longest token that it may have signed since it became active */
    int64_t retire_after;        /* s; of a retiring key: when its last token has expired everywhere */
    int64_t disposed_at;         /* s; its private half is gone. 0: not yet */
    struct str revocation_reason, rotated_from_kid; /* "" : none */
};

/* What the settings say of tokens and of the keys that sign them (keys/lifecycle.h). */
struct key_terms {
    int64_t lifetime_s; /* of the longest token that a request may ask for; a client's own may be longer */
    int64_t retiring_s; /* how long a key retires at least */
    int64_t margin_s;   /* added to the lifetime of its last token: clocks, and how late others see a change */
};

/* What a revocation refuses: one token; or, by a rule, every token that was issued at `before` or earlier to that
 * subject, client or session, or to anybody. A rule is one entry, however many tokens. */
enum revocation_kind { REVOKED_TOKEN = 0, REVOKED_SUBJECT, REVOKED_CLIENT, REVOKED_SESSION, REVOKED_ALL };
enum { REVOCATION_KINDS = REVOKED_ALL + 1 };

/* "token", "subject", "client", "session", "all"; static. */
struct str revocation_kind_name(enum revocation_kind kind);
MUST_USE bool revocation_kind_find(struct str name, enum revocation_kind *out);

/* What must be durable before its response is sent. Views must live until the record is committed. */
enum record_kind { RECORD_TOKEN = 1, RECORD_REVOCATION, RECORD_ITEM, RECORD_EVENT };
struct record {
    enum record_kind kind;
    enum token_kind token_kind;
    unsigned char token_hash[32];                        /* SHA-256 of the token; of a rule, its own (revocation) */
    struct str jti, subject, client_id, scope, audience; /* audience: JSON list. RECORD_TOKEN */
    int64_t issued_at, expires_at; /* s. Of a revocation: when it was made, and until when it must be kept */
    int64_t token_expires_at;      /* s; RECORD_REVOCATION: the token's own exp, which finds its row */
    struct str reason, revoked_by; /* RECORD_REVOCATION; revoked_by: the calling client's id */
    enum revocation_kind revokes;  /* RECORD_REVOCATION; a rule has neither token_kind nor token_expires_at */
    int64_t before;                /* s; of a rule: tokens issued then or earlier are refused */
    struct str target;             /* of a rule: the subject, client or session in plain, for people; else "" */
    const struct item *item;       /* RECORD_ITEM: what it becomes, with item_version + 1 as its version */
    int64_t item_version;          /* the version that must be there now; 0: there must be none */
    uint64_t item_change;          /* random, made with the record: names this change when it is recorded again */
    const struct event *event;     /* RECORD_EVENT; its position is the store's to give */
    struct record *next;           /* of the same request: committed together or not at all */
};

struct revocation {
    int64_t position; /* ever growing in one epoch (struct sequence): `revocations_since` continues after it */
    enum revocation_kind kind;
    unsigned char hash[32]; /* SHA-256 of the token; of a rule, of what it names (revocation/rule.h) */
    int64_t before;         /* s; of a rule. 0 of a token */
    int64_t expires_at;     /* s */
    struct str reason;
};

/* The sequence of positions that revocations were read from. After a fail-over to a server that lagged, or from a
 * backup, a position is given a second time: then the epoch is another one, and readers start over. */
struct sequence {
    uint64_t epoch; /* never 0 */
    int64_t last;   /* the last position that was given, perhaps not visible yet; INT64_MAX: not known */
};

/* How long a row is kept after its end, since a clock may be wrong by hours: an instance whose clock is behind would
 * accept a revoked token again if the revocation were deleted at its end. */
enum { STORE_TOKEN_KEPT_S = 3600, STORE_REVOCATION_KEPT_S = 24 * 3600 };

/* How often a recorded token was used since that was told last. */
struct token_use {
    unsigned char token_hash[32];
    enum token_kind kind;        /* TOKEN_ACCESS: use_count and last_used_at; TOKEN_REFRESH: last_used_at */
    int64_t times, last_used_at; /* s */
};

struct store;
struct store_ops {
    const char *name; /* "sqlite" */
    bool is_shared;   /* any number of instances may be on it */
    bool is_costly;   /* a call costs as much as some ten records */
    /* ERR_NOT_FOUND when there is none; inactive clients are found. */
    struct err (*find_client)(struct store *, struct arena *, struct str id, struct client *out);
    /* At most `max` of those whose id comes after `after` (""; from the first one on), ordered by id. */
    struct err (*list_clients)(struct store *, struct arena *, struct str after, size_t max, struct client **out,
                               size_t *count);
    /* ERR_CONFLICT when the id is taken. A lifetime of its own raises the active key's lifetime_s with it. A shared
     * store may give the members of the metadata in another order, and those that have a column of the platform's with
     * the column's default. */
    struct err (*add_client)(struct store *, const struct client *);
    /* Puts this in the place of the client with that id, all but created_at, when its version is `version`: a
     * compare-and-swap. ERR_CONFLICT: it has another one, as after the same change whose answer was lost: find it
     * again. ERR_NOT_FOUND. A lifetime of its own raises the active key's lifetime_s with it. */
    struct err (*change_client)(struct store *, const struct client *, int64_t version);
    /* ERR_NOT_FOUND. Its tokens' records are not deleted by this, but with the platform's row may go what refers to it.
     * ERR_CONFLICT: something refers to the row and keeps it. */
    struct err (*delete_client)(struct store *, struct str id);
    /* Those that are pending, active or retiring, newest first. */
    struct err (*list_keys)(struct store *, struct arena *, struct key **out, size_t *count);
    /* At most `max` retired or revoked keys, the last ended first; all, or only those whose private key is still to be
     * disposed of. */
    struct err (*list_past_keys)(struct store *, struct arena *, bool undisposed, size_t max, struct key **out,
                                 size_t *count);
    /* ERR_NOT_FOUND when no key, live or past, has that kid. */
    struct err (*find_key)(struct store *, struct arena *, struct str kid, struct key *out);

    /* --- Transitions of a key. Each is a compare-and-swap in one transaction, with its event (`keys_rotated`) in the
     * same one, and durable when it returns. ERR_CONFLICT: the store was not as the caller saw it (another instance was
     * faster): list again. At most one pending and one active key are kept by the store itself (partial unique
     * indexes). */
    /* Adds a first active key. */
    struct err (*add_first_key)(struct store *, const struct key *);
    /* Adds a pending one, published from key->published_at on. */
    struct err (*add_pending_key)(struct store *, const struct key *);
    /* pending -> active, and `previous` from active to retiring; its retire_after follows from its lifetime_s and the
     * terms. The new one's lifetime_s is the longest of the terms and of any client. */
    struct err (*activate_key)(struct store *, struct str kid, struct str previous, int64_t now_s,
                               const struct key_terms *);
    /* retiring -> retired; ERR_CONFLICT also before its retire_after. */
    struct err (*retire_key)(struct store *, struct str kid, int64_t now_s);
    /* Any state -> revoked. When it was the active one, `successor` goes from pending to active in its place; else
     * `successor` is not looked at. ERR_NOT_FOUND: no such kid. OK and nothing done: it is revoked already. */
    struct err (*revoke_key)(struct store *, struct str kid, struct str successor, struct str reason, int64_t now_s,
                             const struct key_terms *);

    /* --- Notes on a key that are no transitions. */
    /* Somebody wants the active key to be followed by the next one; the first request stays. ERR_CONFLICT: not active.
     */
    struct err (*request_rotation)(struct store *, struct str kid, int64_t now_s);
    /* The active key may sign tokens of up to `lifetime_s` from now on; never lowers it. */
    struct err (*raise_key_lifetime)(struct store *, int64_t lifetime_s);
    /* A past key's private half is gone. */
    struct err (*mark_key_disposed)(struct store *, struct str kid, int64_t now_s);

    /* The item as it was last committed; its texts are in the arena. ERR_NOT_FOUND when there is none, or it was
     * deleted. One that has expired is found until it is purged: the caller judges by its clock. */
    struct err (*find_item)(struct store *, struct arena *, enum item_kind kind, const unsigned char id[32],
                            struct item *out);
    /* Those that the query names, in the order of their ids, expired ones too. A full page may have a next one. */
    struct err (*list_items)(struct store *, struct arena *, const struct item_query *query, struct item **out,
                             size_t *count);

    /* What the platform knows of a user, an object by the column names of its oauth_id_token_claims, without those that
     * are null. ERR_NOT_FOUND: there is no row, or the id is no uuid. NULL: the store has no such table. */
    struct err (*find_user_claims)(struct store *, struct arena *, struct str user_id, const struct json **out);

    /* A verdict for each list (a request's records, through ->next): verdicts[i] is OK when all of lists[i] is durable;
     * otherwise nothing of it is stored, or that is not known (ERR_UNAVAILABLE). ERR_INVALID_REQUEST: the store can't
     * hold its content. One transaction for all when none is bad; otherwise a bounded number, so that only the bad list
     * fails (store/batch.h, which has the maximum of lists). Revocations also mark the token's own row. Recording the
     * same refresh token or revocation twice is no error, and keeps the later expires_at; of a rule also the later
     * `before`. A revocation that raises either gets a new position; otherwise nothing changes.
     * ERR_CONFLICT: an item of the list is not of the version that must be there. Of lists in one batch that want the
     * same item, the first that can be kept is. A change that is there already (its answer was lost) is OK: an item
     * remembers its last change, a shared store the last four. */
    void (*record)(struct store *, const struct record *const *lists, size_t count, struct err *verdicts);
    /* Events that were committed and not dropped: up to `max` (at most EVENTS_LISTED_MAX) with a position above
     * `after`, in order. What was recorded twice, because an answer was lost, stands there twice, with one eventId. */
    struct err (*list_events)(struct store *, struct arena *, int64_t after, size_t max, struct event **out,
                              size_t *count);
    /* Deletes those, as they were listed; one that is gone already is passed over. Not durable at once: one that was
     * dropped may come back after a crash. */
    struct err (*drop_events)(struct store *, const struct event *events, size_t count);
    /* How many events there are, counted up to `max`, and when the first of them was made (s; 0: there is none). */
    struct err (*count_events)(struct store *, size_t max, size_t *count, int64_t *oldest_at);
    /* Up to `max` revocations with a position above `after` that have not expired at `now_s` (of a shared store: or not
     * by the database's clock), in order; and the sequence that these positions are of. */
    struct err (*revocations_since)(struct store *, struct arena *, int64_t after, int64_t now_s, size_t max,
                                    struct revocation **out, size_t *count, struct sequence *sequence);
    /* Adds to use_count, and moves last_used_at on; the same token may stand there twice. Not repeatable, and not
     * durable at once: these may lose their last seconds. A token without a row is passed over. NULL: the store keeps
     * neither.
     */
    struct err (*count_uses)(struct store *, const struct token_use *uses, size_t count);
    /* Deletes at most `max` rows that expired STORE_…_KEPT_S or longer before `now_s` (an event: 30 days after it was
     * made, and an hour); *deleted says how many: fewer than `max` only when no more are due. One transaction, which
     * need not be durable at once; *held_ns (NULL allowed): for how long it kept others from writing, or, of a shared
     * store, took. A shared store deletes nothing that has not expired by the database's own clock as well: an instance
     * whose clock is ahead takes nothing away from the others. */
    struct err (*purge)(struct store *, int64_t now_s, size_t max, size_t *deleted, int64_t *held_ns);
    /* Whether another process has changed clients since the last call; it may have written other things. Cheap; false
     * where a store can't tell. */
    bool (*has_changed)(struct store *);
    /* What only one of several instances should do (make a key pair, which costs money in AWS KMS): from now on this
     * handle holds the lease of that name for `ttl_s`, by the database's clock, again if it did already. ERR_CONFLICT:
     * another one holds it. A store from which one process serves may grant it always: what must happen once is still
     * seen to by the transitions. */
    struct err (*take_lease)(struct store *, struct str name, int64_t ttl_s);
    /* Before its end; OK also when it is not held. */
    struct err (*drop_lease)(struct store *, struct str name);
    /* The clock that all instances on this store share: Unix time in ms. NULL: the store has none. */
    struct err (*now)(struct store *, int64_t *out_ms);
    /* Readiness and `doctor`: reads and writes work. */
    struct err (*check)(struct store *);
    void (*close)(struct store *);
};
struct store {
    const struct store_ops *ops;
};

/* SQLite in settings->data_dir (made with mode 0700 when absent): WAL, synchronous=FULL, versioned migrations by
 * PRAGMA user_version; refuses a database from a newer version with a clear sentence. Safe beside other processes of
 * this program on the same file. */
MUST_USE struct err store_sqlite_open(const struct settings *settings, struct store **out);

/* The same for reading only: creates neither directory nor file, and migrates nothing. Where there is no database yet,
 * it is an empty one. */
MUST_USE struct err store_sqlite_look(const struct settings *settings, struct store **out);
/* Whether settings->data_dir has a database. */
MUST_USE bool store_sqlite_exists(const struct settings *settings);

/* The platform's tables (deploy/supabase/migrations must have been applied): over a connection to PostgreSQL
 * (settings->database_url), or over PostgREST (settings->supabase_url). Any number of instances may share them. Texts
 * that PostgreSQL can't hold (NUL, not UTF-8) are refused in clients and replaced in records. ERR_UNAVAILABLE with a
 * clear sentence when it does not answer, or lacks the migration. */
MUST_USE struct err store_postgres_open(const struct settings *settings, struct store **out);
MUST_USE struct err store_supabase_open(const struct settings *settings, struct store **out);

/* Makes settings->data_dir, with mode 0700, unless it is there: for what else lies in it. */
MUST_USE struct err store_make_dir(const struct settings *settings);

/* store_close(&store) for AUTO; NULL allowed. */
void store_closep(struct store **store);

#endif
