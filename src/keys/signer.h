/* keys/signer.h: who holds the private keys. One interface, a file a kind (local, kms, envelope). Operations
 * are thread-safe; create, adopt, load and sign may wait, so they run on workers. An error's sentence may lie in the
 * arena given. */
#ifndef KEYS_SIGNER_H
#define KEYS_SIGNER_H

#include "jose/jws.h"
#include "store/store.h"

/* Who goes first when signatures are scarce (KMS's quota): the trial of a key, since an operator waits for it, and
 * tokens of that key do; there is one for each that a rotation or a load brings. Then users, then programs. */
enum sign_priority { SIGN_TRIAL, SIGN_INTERACTIVE, SIGN_CLIENT_CREDENTIALS, SIGN_BACKGROUND };

struct kms;
struct signer;
struct signer_ops {
    const char *name; /* "local", "kms", "envelope" */
    /* Makes a key pair, durably kept by the signer, and fills kid, alg, public_jwk, private_ref of *out (in the arena).
     * The key's state is the store's business. ERR_NOT_FOUND, with a sentence: this signer has no further key (a fixed
     * list that is used up). */
    struct err (*create)(struct signer *, struct arena *, enum jwa alg, struct key *out);
    /* Finds a key pair of that algorithm that create made and that is not in `known`: its maker was interrupted, or
     * another instance was faster. It is used instead of being forgotten; fills *out as create does. ERR_NOT_FOUND when
     * there is none. NULL: this kind leaves none. Called by signer_adopt(). */
    struct err (*adopt)(struct signer *, struct arena *, enum jwa alg, const struct key *known, size_t count,
                        struct key *out);
    /* Makes a key of the store ready to sign: reads the file, asks KMS. Checks that the private half belongs to
     * key->public_jwk by signing and verifying a test message. Idempotent. ERR_NOT_FOUND when the key is of another
     * kind of signer that isn't open: it verifies, but can't sign. A key is loaded again when it becomes active:
     * then kms moves the alias KMS_KEY_ID to it. */
    struct err (*load)(struct signer *, struct arena *, const struct key *key);
    /* Signs with a loaded key: raw JWS signature bytes into `out` of JWK_SIGNATURE_MAX bytes. */
    struct err (*sign)(struct signer *, struct str kid, enum jwa alg, enum sign_priority, struct str input, char *out,
                       size_t *len);
    /* Forgets a key and wipes what is held of it in memory. */
    void (*unload)(struct signer *, struct str kid);
    /* Disposes of a key that is recorded as retired or revoked, and so never signs again. local deletes its file, kms
     * disables the key (never deletes it), envelope has nothing to do. A key of another signer is not touched, which is
     * logged. Idempotent. */
    struct err (*dispose)(struct signer *, struct arena *, const struct key *key);
    /* Readiness and `doctor`; its sentence is static. */
    struct err (*check)(struct signer *);
    /* How many seconds a signature would wait for its turn now, behind `ahead` others that are still to ask; 0: not at
     * all. Never waits itself. */
    int64_t (*wait_s)(struct signer *, size_t ahead);
    void (*close)(struct signer *); /* wipes what it holds */
};
struct loaded;
struct signer {
    const struct signer_ops *ops;
    struct loaded *keys; /* what it has ready */
};

/* adopt() of a signer of any kind: ERR_NOT_FOUND also where there is nothing to adopt ever. */
MUST_USE struct err signer_adopt(struct signer *signer, struct arena *arena, enum jwa alg, const struct key *known,
                                 size_t count, struct key *out);

/* The signer that the settings ask for: TOKEN_SIGNER, or what KMS_KEY_ID is; *kind says which. With `kms` (NULL without
 * KMS_KEY_ID) it also loads, signs with and disposes of the keys that the others made, so that after a change of
 * signers the old key signs until verifiers know the new one. `kms`, `store` and settings must outlive it. It asks KMS
 * for the key; ERR_INVALID_REQUEST when that is not of the kind that TOKEN_SIGNER or TOKEN_SIGNING_ALG needs. */
MUST_USE struct err signer_open(const struct settings *settings, struct kms *kms, struct store *store,
                                struct arena *arena, struct signer **out, enum signer_kind *kind);

/* Key files in settings->data_dir: signing-key-<kid>.pem, PKCS#8, mode 0600; a file that group or others can read, or
 * that is not the process's user's (or root's), is refused with a sentence that names it. Written to a temporary name,
 * flushed, renamed, and the directory flushed, before create returns. */
MUST_USE struct err signer_local_open(const struct settings *settings, struct signer **out);
/* Asymmetric keys in KMS, "kms:<ARN>". The first key is the one behind KMS_KEY_ID (the first of a list, an alias's
 * target). Another is the next of the list that the store does not know, or when KMS_KEY_ID is one id or alias, a new
 * KMS key of the same spec; one that an interrupted `create` made is found by its tag and taken. ERR_NOT_FOUND when the
 * list is used up. A key that the store knows as past is never taken again. */
MUST_USE struct err signer_kms_open(const struct settings *settings, struct kms *kms, struct store *store,
                                    struct signer **out);
/* Key pairs made by KMS and wrapped by the symmetric key KMS_KEY_ID, "envelope:<ARN>:<wrapped, base64url>"; unwrapped
 * when loaded. */
MUST_USE struct err signer_envelope_open(const struct settings *settings, struct kms *kms, struct signer **out);

#endif
