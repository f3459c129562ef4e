/* service/key_admin.h: the signing keys as an administrator sees and moves them, whichever front asks. What a move is,
 * and what it waits for, is in keys/rotation.h. Everything here may wait, and passes ERR_UNAVAILABLE on; results lie in
 * the arena. To look takes service->store and ->settings, to move ->rotation as well. */
#ifndef SERVICE_KEY_ADMIN_H
#define SERVICE_KEY_ADMIN_H

#include "base/mem.h"

struct service;

/* A key as the store has it. */
struct key_entry {
    struct str kid, alg;
    struct str public_jwk;                          /* JSON */
    const char *state;                              /* "pending", "active", "retiring", "retired", "revoked" */
    int64_t created_at, published_at, activated_at; /* s, as all that follow; 0: not yet */
    int64_t rotate_requested_at, retiring_at, retire_after, retired_at, revoked_at, disposed_at;
    struct str revocation_reason, rotated_from_kid; /* "" : none */
};

/* Those that are published, newest first, then at most `past_max` of those that are no more. */
MUST_USE struct err key_admin_list(struct service *service, struct arena *arena, size_t past_max,
                                   struct key_entry **out, size_t *count);
/* ERR_NOT_FOUND: no key, live or past, has that kid. */
MUST_USE struct err key_admin_find(struct service *service, struct arena *arena, struct str kid, struct key_entry *out);

/* A line of the timetable ahead. */
struct key_event {
    int64_t at_s;
    struct str in;   /* from now on: "3 d 4 h", or "now" */
    struct str kid;  /* "" : of a key that is still to be made */
    struct str what; /* a sentence without its stop */
};
/* What will happen by itself, in order of time. */
MUST_USE struct err key_admin_plan(struct service *service, struct arena *arena, int64_t now_s, struct key_event **out,
                                   size_t *count);
/* Why a key is in its state, and what comes next: sentences. ERR_NOT_FOUND. */
MUST_USE struct err key_admin_explain(struct service *service, struct arena *arena, struct str kid, int64_t now_s,
                                      struct key_entry *key, struct str *out);

struct key_move {
    struct str revoke; /* the kid of a key that goes at once; at == NULL: the next key follows the active one */
    struct str reason; /* of that, for people */
    bool immediate;    /* the next key follows before every verifier knows it; beside `revoke` of another one, too */
};
struct key_moved {
    struct str new_kid, old_kid; /* of the key that signs from now on and of the one that signed; "" : as before */
    int64_t at_s;                /* when the rotation will happen; 0: it has happened, or there is none */
    const char *message;         /* a sentence for people */
};
/* Rotates, or revokes a key; to revoke the active key also rotates. In force in this process when it returns.
 * ERR_NOT_FOUND: there is no such key to revoke; ERR_CONFLICT: no key can follow, or the keys changed in the meantime.
 */
MUST_USE struct err key_admin_move(struct service *service, struct arena *arena, const struct key_move *move,
                                   int64_t now_s, struct key_moved *out);

#endif
