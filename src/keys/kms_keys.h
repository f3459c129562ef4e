/* keys/kms_keys.h: what both KMS signers ask of a KMS key: whether it is of the right kind, usable, and still so. */
#ifndef KEYS_KMS_KEYS_H
#define KEYS_KMS_KEYS_H

#include "aws/kms.h"
#include "keys/loaded.h"
#include <pthread.h>
#include <stdatomic.h>

/* The spec of a fresh key pair for an algorithm. */
struct str kms_spec_for(enum jwa alg);

/* ERR_INVALID_REQUEST with a sentence (in the arena) when the key can't sign with `alg` because of what it is. */
MUST_USE struct err kms_check_kind(struct arena *arena, const struct kms_key *key, enum jwa alg);
/* ERR_UNAVAILABLE with a static sentence unless the key is enabled: Disabled, PendingDeletion, and the rest. */
MUST_USE struct err kms_check_state(const struct kms_key *key);

/* Readiness without a call for each question: what the last calls told, and a DescribeKey every 30 s (5 s while
 * something is wrong), or when asked after a signature that failed. */
struct kms_watch {
    struct kms *kms;
    pthread_mutex_t lock;
    char active[JWK_THUMBPRINT_LEN + 1]; /* the kid that is asked about; "": all that are loaded */
    int64_t ask_at_ms;                   /* monotonic */
    struct err known, heard;             /* what was said last, and what KMS itself said last; static sentences */
    atomic_bool doubt;                   /* a signature failed since */
    atomic_int_fast64_t worked_ms;       /* the last signature; 0: none */
    atomic_uint failures;                /* signatures in a row that failed */
};

void kms_watch_open(struct kms_watch *watch, struct kms *kms);
void kms_watch_close(struct kms_watch *watch);
/* Follows this key from now on: a pending key that can't be used makes no instance unready. */
void kms_watch_follow(struct kms_watch *watch, struct str kid);
/* A Sign call ended. Cheap. */
void kms_watch_note(struct kms_watch *watch, bool worked);
/* The fault of the followed key's KMS key; while none is, the first of what is loaded. `needs_answers`: whether KMS
 * being out of reach is one. May wait.
 */
MUST_USE struct err kms_watch_check(struct kms_watch *watch, struct loaded *loaded, bool needs_answers);
/* When all signatures have failed for 10 s, signs something with the followed key: an enabled key may still be denied
 * to us, and an instance that is not ready gets no requests that would show that the key works again. May wait. */
MUST_USE struct err kms_watch_probe(struct kms_watch *watch, struct loaded *loaded);

#endif
