/* keys/rotation.h: moves keys along their life (lifecycle.h): what is due, and what an administrator asks for.
 *
 * Every transition is one compare-and-swap in the store, durable before anything acts on it; so of many instances one
 * performs it, and whoever is cut off at any point leaves a state from which the next round goes on:
 *   - a key pair without a row (made, not yet published, or its maker lost a race) is adopted as the next standby;
 *   - a row that is pending, active, retiring: the next round looks what is due, from the row alone;
 *   - a past key whose private half is still there is disposed of again, until it is noted that this is done.
 * What signs and verifies follows the store: call keyring_reload() after anything that changed. Everything here may
 * wait (stores, signers), and is safe on several threads. */
#ifndef KEYS_ROTATION_H
#define KEYS_ROTATION_H

#include "keys/lifecycle.h"
#include "keys/signer.h"

struct rotation;

/* Store, signer and settings must outlive it. */
struct rotation *rotation_new(struct store *store, struct signer *signer, const struct settings *settings);
void rotation_free(struct rotation *rotation); /* NULL allowed */

/* The keys as the store has them now, in the arena. */
MUST_USE struct err rotation_read_life(struct store *store, const struct settings *settings, struct arena *arena,
                                       struct lifecycle *out);

/* To be called before the first token is signed: from now on the active key is known to sign tokens as long as the
 * settings allow. */
MUST_USE struct err rotation_allow_lifetime(struct rotation *rotation);

/* Before the ring is opened, when TOKEN_SIGNER says local: if the active key is of a signer that is not open (AWS KMS,
 * without KMS_KEY_ID), a key of this one follows at once, although verifiers may not know it yet: there is no other way
 * to sign. Does nothing otherwise. */
MUST_USE struct err rotation_take_over(struct rotation *rotation, struct arena *arena, int64_t now_s);

/* Does what is due at `now_s`: disposes of past keys, retires, makes the standby, rotates. *changed: the keys are no
 * longer as they were. A failure is logged here, once in a while, and tried again by later rounds. */
void rotation_round(struct rotation *rotation, int64_t now_s, bool *changed);

/* Disposes of the private halves of past keys; rotation_round does it too. */
void rotation_dispose(struct rotation *rotation, int64_t now_s, bool *changed);

/* What came of a request; views lie in the arena that was given. */
struct rotated {
    struct str new_kid, old_kid; /* of the key that signs from now on and of the one that signed; "" : as before */
    int64_t at_s;                /* when the rotation will happen; 0: it has happened, or there is none */
    const char *message;         /* a sentence for people */
};

/* Has the pending key replace the active key: at once if every verifier knows it, otherwise as soon as they do (the
 * request is kept in the store and survives a restart). With `immediate`, at once in any case, and the message says
 * what that means. ERR_CONFLICT with a sentence when no key can follow (the signer has none, or too many are
 * published), or the keys changed in the meantime. */
MUST_USE struct err rotation_rotate(struct rotation *rotation, struct arena *arena, bool immediate, int64_t now_s,
                                    struct rotated *out);
/* Revokes a key at once; in the active one's place the standby signs, or a key that is made now. OK also when it was
 * revoked before. ERR_NOT_FOUND: there is no such key. ERR_CONFLICT: no key can take its place. */
MUST_USE struct err rotation_revoke(struct rotation *rotation, struct arena *arena, struct str kid, struct str reason,
                                    int64_t now_s, struct rotated *out);

#endif
