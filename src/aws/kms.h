/* aws/kms.h: the calls of AWS KMS that the service needs. Each may wait: bounded by the settings' time limits, retried
 * with full jitter where a retry can help, behind a circuit breaker, and counted against the account's quota. All are
 * thread-safe. Errors: ERR_UNAVAILABLE with a sentence for the caller (AWS's own code goes only to the log), unless a
 * comment names another. */
#ifndef AWS_KMS_H
#define AWS_KMS_H

#include "base/settings.h"
#include "jose/jwk.h"

struct kms;

/* The priority when the quota is short: a sign call with a lower number goes first. KMS's quota counts all keys of an
 * account and region together. */
enum kms_priority { KMS_TRIAL, KMS_INTERACTIVE, KMS_CLIENT_CREDENTIALS, KMS_BACKGROUND };

enum kms_key_state { KMS_ENABLED, KMS_DISABLED, KMS_PENDING_DELETION, KMS_OTHER_STATE };

struct kms_key {
    struct str arn;
    struct str spec; /* "RSA_2048", "ECC_NIST_P256", "ECC_NIST_EDWARDS25519", "SYMMETRIC_DEFAULT", … */
    bool is_signing; /* KeyUsage SIGN_VERIFY; else ENCRYPT_DECRYPT or another */
    enum kms_key_state state;
    struct str state_name; /* KMS's word: "Enabled", "PendingImport", … */
};

/* From settings: region, endpoint, FIPS, time limits, rate. Asks nothing yet. */
MUST_USE struct err kms_open(const struct settings *settings, struct kms **out);
void kms_close(struct kms *kms); /* NULL allowed */

/* `id`: key id, ARN, or alias (name or ARN). ERR_NOT_FOUND when KMS knows no such key. */
MUST_USE struct err kms_describe(struct kms *kms, struct arena *arena, struct str id, struct kms_key *out);
/* The public half as DER SubjectPublicKeyInfo. */
MUST_USE struct err kms_public_key(struct kms *kms, struct arena *arena, struct str id, struct str *spki);
/* Signs `input`: RS256, PS256 and ES256 as MessageType DIGEST, EdDSA as RAW (ERR_INVALID_REQUEST above 4,096 bytes).
 * *signature gets what JWS wants (ES256: raw r||s, made from KMS's DER), at most JWK_SIGNATURE_MAX bytes at `out`.
 */
MUST_USE struct err kms_sign(struct kms *kms, struct str id, enum jwa alg, enum kms_priority priority, struct str input,
                             char *out, size_t *len);
/* How many seconds a signature would wait for its turn behind those who wait now and `ahead` others, and until a KMS
 * that does not answer is asked again; 0: not at all. Never waits itself. */
int64_t kms_wait_s(struct kms *kms, size_t ahead);
/* Makes an asymmetric signing key of that spec, described and tagged; *arn in the arena. Not idempotent: a caller that
 * may have been cut off looks for its tag first (kms_find_tagged). */
MUST_USE struct err kms_create_key(struct kms *kms, struct arena *arena, struct str spec, struct str description,
                                   struct str tag_name, struct str tag_value, struct str *arn);
/* What is looked for among the enabled and creating keys that have a tag of that name: the first that `fits`. */
struct kms_search {
    struct str tag_name;
    bool (*fits)(const void *context, struct str tag_value, const struct kms_key *key);
    const void *context;
};
/* Its ARN; ERR_NOT_FOUND when there is none. To find what an interrupted call has left behind. Slow: it lists the
 * account's keys and asks for the tags of each. */
MUST_USE struct err kms_find_tagged(struct kms *kms, struct arena *arena, const struct kms_search *search,
                                    struct str *arn);
/* Moves an alias ("alias/…") to another key. Idempotent. */
MUST_USE struct err kms_update_alias(struct kms *kms, struct str alias, struct str key_id);
/* Disables a key. Idempotent. Never deletes. */
MUST_USE struct err kms_disable_key(struct kms *kms, struct str id);

struct kms_context {
    struct str issuer, kid;
}; /* the encryption context: {"iss": …, "kid": …}; not secret, logged by CloudTrail */

/* GenerateDataKeyPairWithoutPlaintext under the symmetric key `id`: the private half wrapped, the public as DER SPKI.
 */
MUST_USE struct err kms_generate_pair(struct kms *kms, struct arena *arena, struct str id, struct str pair_spec,
                                      struct kms_context context, struct str *wrapped, struct str *spki);
/* Unwraps a private half (DER PKCS#8) into locked memory; all other copies of it are wiped. */
MUST_USE struct err kms_decrypt(struct kms *kms, struct str id, struct str wrapped, struct kms_context context,
                                struct secret *out);

#endif
