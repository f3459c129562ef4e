/* service/state.h: what /health/ready and /metrics say about this process, besides what parts of the service report
 * themselves (revocations.h). Each member names its writer; any thread may read, without a lock. */
#ifndef SERVICE_STATE_H
#define SERVICE_STATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct service_state {
    /* housekeeping */
    atomic_bool store_ok, keys_ok;
    _Atomic(const char *) store_why;  /* the store's fault, static; NULL when store_ok */
    _Atomic(const char *) keys_why;   /* the signer's fault, static; NULL when keys_ok */
    atomic_llong clock_ahead_s;       /* how far the time of day is ahead of what is believed (wall_clock.h) */
    atomic_llong clock_difference_ms; /* ahead of the clock of a store that instances share */
    atomic_llong clock_step_s;        /* the last step of the time of day; 0: it has not stepped */

    /* who tells clients of logouts (oauth/backchannel.c) */
    atomic_size_t logouts_waiting; /* calls that are still to be made; of those that a round looks at */

    /* the front that serves */
    atomic_bool draining;        /* it is about to stop */
    atomic_size_t connections;   /* open */
    atomic_llong tls_expires_at; /* s; the certificate that is served; 0: plain HTTP */
    atomic_size_t jobs_waiting;  /* in the workers' queue; service_retry_after_s() goes by it */
    atomic_size_t request_bytes; /* memory of the requests in progress */
};

#endif
