/* aws/kms_call.h: one call to KMS, for any operation: signed, retried, bounded in time. Only for aws/kms*.c. */
#ifndef AWS_KMS_CALL_H
#define AWS_KMS_CALL_H

#include "aws/budget.h"
#include "aws/breaker.h"
#include "aws/credentials.h"
#include "aws/kms.h"
#include "aws/kms_metrics.h"
#include "aws/sigv4.h"
#include "net/client.h"
#include <stdatomic.h>

enum { KMS_REGION_ROOM = 65 };

/* NUL-terminated. */
struct kms_place {
    struct str region, url, host, path;
};

struct kms {
    const struct settings *settings;
    struct net_client *net;
    struct credentials *credentials;
    struct budget *budget;
    struct breaker breaker;
    _Atomic(const char *) fault; /* of the last call that the breaker counts as failed: static; NULL: none yet */
    atomic_int_least64_t skew_s; /* what AWS's clock is ahead of ours */
    struct arena arena;          /* of the place */
    struct kms_place place;      /* where it is asked, unless a key's ARN names another region */
    pthread_mutex_t lock;        /* of the signing key */
    struct {
        unsigned char key[SIGV4_KEY_LEN];
        char day[SIGV4_DATE_LEN], region[KMS_REGION_ROOM];
        uint64_t serial; /* of the credentials; 0: none yet */
    } signing;
};

struct kms_call {
    enum kms_operation operation;
    struct str body;            /* JSON */
    struct str key;             /* its id, ARN or alias: an ARN says the region. May be empty */
    bool draws_on_quota;        /* a signature */
    enum kms_priority priority; /* of it */
    bool is_secret;             /* its response holds a private key */
    bool is_unique;             /* done twice, it would do harm: not tried again unless KMS surely did nothing */
};

/* KMS in that region, in the arena. */
struct kms_place kms_place_in(const struct settings *settings, struct arena *arena, struct str region);

/* *answer: the body of a response 200, in the arena. ERR_NOT_FOUND when KMS says that there is no such key,
 * ERR_INSUFFICIENT_SCOPE when it denies access, else ERR_UNAVAILABLE. */
MUST_USE struct err kms_call(struct kms *kms, struct arena *arena, const struct kms_call *call, struct str *answer);

#endif
