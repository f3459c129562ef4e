/* service/events.h: what others are told of by the event bus (docs/events.md): a token was issued, a token or more were
 * revoked, a verification failed; the store itself writes that keys were rotated. The first two are records among those
 * of what they tell (RECORD_EVENT, store.h), so they are kept if that is kept, and told of by outbox.h; failed
 * verifications wait in memory (event_queue.h). No event holds a token. */
#ifndef SERVICE_EVENTS_H
#define SERVICE_EVENTS_H

#include "jose/claims.h"

struct event_bus;
struct events;
struct record;
struct service;
struct store;

/* Both must outlive it. `bus` NULL: this process writes events, and another one tells of them. Never NULL. */
struct events *events_new(struct store *store, struct event_bus *bus);
void events_free(struct events *events); /* NULL allowed */

/* A token that was issued. */
struct told_token {
    enum token_kind kind;
    const unsigned char *hash; /* 32 bytes: what a revocation of it names */
    struct str subject, client_id;
    int64_t issued_at, expires_at; /* s */
};

/* The record that tells of it, in front of `next`; only `next`, where nobody is told (service->events is NULL). */
struct record *events_of_token(const struct service *service, struct arena *arena, const struct told_token *token,
                               struct record *next);
/* The records that tell of the revocations of a list, in front of it; the list alone, where there is none. */
struct record *events_of_revocations(const struct service *service, struct arena *arena, struct record *list);
/* A verification found that a token isn't good. Never waits. */
void events_note_unverified(const struct service *service, enum err_code why, int64_t now_s);

/* Tells the bus of what there is, on the caller's thread, until `until_ns` (clock_ns(); INT64_MAX: no limit); what has
 * begun is ended (a call of 5 s at most). Thread-safe: a second caller returns at once. OK: nothing is left but what
 * has its own time to be tried again, or another thread or instance is at it. ERR_TIMEOUT: there is more, and no time.
 * ERR_UNAVAILABLE: the bus or the store fails. `events` NULL: OK. */
MUST_USE struct err events_round_now(struct events *events, int64_t until_ns);

/* For metrics; any thread. */
struct events_state {
    size_t outbox_length; /* OUTBOX_COUNTED_MAX: so many or more */
    int64_t oldest_at;    /* s; 0: it is empty */
    size_t queue_length;
};
struct events_state events_state(struct events *events);

#endif
