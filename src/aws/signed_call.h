/* aws/signed_call.h: one try of a call of AWS's JSON protocol, signed: what the clients of AWS's services (kms_call.c,
 * put_events.c) have in common. Whether and when it is tried again, each of them decides. Thread-safe. */
#ifndef AWS_SIGNED_CALL_H
#define AWS_SIGNED_CALL_H

#include "aws/credentials.h"
#include "aws/sigv4.h"
#include "net/client.h"
#include <pthread.h>
#include <stdatomic.h>

enum { SIGNED_REGION_ROOM = 65 };

/* Where a service is called. NUL-terminated. */
struct aws_place {
    struct str region, url, host, path;
};

/* The service of that name in that region, in the arena. */
struct aws_place aws_place_in(const struct settings *settings, struct arena *arena, const char *service,
                              struct str region);

/* Who calls one service. */
struct signed_caller {
    const char *service; /* "kms", "events": its name in signatures */
    struct net_client *net;
    struct credentials *credentials;
    atomic_int_least64_t skew_s; /* what AWS's clock is ahead of ours */
    pthread_mutex_t lock;        /* of the signing key */
    struct {
        unsigned char key[SIGV4_KEY_LEN];
        char day[SIGV4_DATE_LEN], region[SIGNED_REGION_ROOM];
        uint64_t serial; /* of the credentials; 0: none yet */
    } signing;
};

/* Asks nothing yet. `service` must be static; the settings must outlive it. ERR_INVALID_REQUEST for AWS_CA_BUNDLE,
 * ERR_UNAVAILABLE without libcurl. */
MUST_USE struct err signed_caller_open(struct signed_caller *caller, const char *service,
                                       const struct settings *settings);
void signed_caller_close(struct signed_caller *caller);
/* Now, as AWS has it; Unix time. */
int64_t signed_caller_time_s(const struct signed_caller *caller);
/* AWS did not agree with the time in a signature: sets the clock by the time of its answer, if that differs by more
 * than a few seconds. */
void signed_caller_move_clock(struct signed_caller *caller, const struct net_answer *answer);

struct signed_call {
    const struct aws_place *place;
    const char *target; /* X-Amz-Target: "TrentService.Sign" */
    struct str body;    /* JSON */
    int64_t timeout_ms;
    size_t answer_max;
    bool is_secret, is_unique; /* net/client.h */
};

/* Any HTTP status is OK. ERR_UNAVAILABLE as net_send() has it. */
MUST_USE struct err signed_call_send(struct signed_caller *caller, struct arena *arena, const struct signed_call *call,
                                     const struct aws_credentials *credentials, struct net_answer *out);

#endif
