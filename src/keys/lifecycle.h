/* keys/lifecycle.h: the life of a signing key, as pure functions of the keys, the settings and the time:
 *
 *   pending    published, so that verifiers have it before it signs. One at most: the standby, always there, so that a
 *              rotation at once finds a key that verifiers have known for long
 *   active     signs. One exactly
 *   retiring   published until the last token that it signed has expired
 *   retired    published no more; its private half is disposed of
 *   revoked    from any state, at once: published no more, none of its tokens verifies
 *
 * What is done about it, and by whom, is in rotation.h. */
#ifndef KEYS_LIFECYCLE_H
#define KEYS_LIFECYCLE_H

#include "jose/jwk.h"
#include "store/store.h"

/* How long an instance may take to see what another did to a key: housekeeping looks once a second. */
enum { KEY_NOTICE_S = 2 };

/* "pending", "active", "retiring", "retired", "revoked": static. */
const char *key_state_name(enum key_state state);

/* How long a key must be published before it signs: verifiers may keep a JWKS for max-age, and use it stale for as long
 * as stale-while-revalidate or stale-if-error allow (RFC 5861), by their own clock. */
int64_t lifecycle_pending_min_s(const struct settings *settings);
/* What store.h's transitions need of the settings. */
struct key_terms lifecycle_terms(const struct settings *settings);

/* ERR_INVALID_REQUEST with a sentence that names the variable when the settings would let a verifier meet a token that
 * it can't check. The sentence lies in `arena`. */
MUST_USE struct err lifecycle_check(struct arena *arena, const struct settings *settings);

/* What the store holds: as list_keys gives them. The rest of this page takes one of these. */
struct lifecycle {
    const struct key *keys;
    size_t count;
    const struct settings *settings;
};

const struct key *lifecycle_active(const struct lifecycle *life);  /* NULL: none */
const struct key *lifecycle_standby(const struct lifecycle *life); /* NULL: none */

/* When the pending key may sign: when all verifiers know it. 0 when there is none. */
int64_t lifecycle_standby_ready_at(const struct lifecycle *life);
/* When the next key follows the active one by itself: by age, because somebody asked, or because the settings ask for
 * another algorithm or signer; never before verifiers know the standby (a standby still to be made counts from now on).
 * LIFECYCLE_NEVER: not by itself. */
enum { LIFECYCLE_NEVER = -1 };
int64_t lifecycle_rotation_at(const struct lifecycle *life, int64_t now_s);

/* Steps in a key's life; the first four are done by housekeeping when they are due. */
enum step { STEP_NONE, STEP_MAKE_STANDBY, STEP_DROP_STANDBY, STEP_ROTATE, STEP_RETIRE };

/* The first step that is due, with the key that it is about: DROP_STANDBY the standby (not of the algorithm or signer
 * that the settings ask for), ROTATE the standby, RETIRE the retiring key. */
struct due {
    enum step step;
    const struct key *key;
};
struct due lifecycle_due(const struct lifecycle *life, int64_t now_s);

/* --- for people (timetable.c) --------------------------------------------------------------------------------- */

/* A line of the timetable ahead. */
struct plan_row {
    int64_t at_s;
    struct str kid;   /* "" : of a key that is still to be made */
    struct str event; /* a sentence without its stop */
};
enum { PLAN_MAX = KEYS_LIVE_MAX + 8 };
/* What will happen until the keys of today are gone and the standby has been followed once, in order of time. */
size_t lifecycle_plan(const struct lifecycle *life, int64_t now_s, struct plan_row out[PLAN_MAX]);

/* Why a key (live or past) is in its state, and what comes next: sentences. */
struct str lifecycle_explain(const struct lifecycle *life, struct arena *arena, const struct key *key, int64_t now_s);

/* "3 d 4 h". */
struct str lifecycle_span(struct arena *arena, int64_t seconds);

#endif
