/* service/gauges.h: what is measured when somebody looks, rather than counted when it happens: for /metrics and for
 * CloudWatch (emf_flush.h). */
#ifndef SERVICE_GAUGES_H
#define SERVICE_GAUGES_H

#include "keys/keyring.h"
#include "observe/metrics.h"

struct service;

struct gauges {
    struct gauge list[KEYRING_MAX + 48]; /* a row for each published key, and the others */
    size_t count;
};

/* All of them, at `now_s`; asks no dependency and never waits. Labels lie in `arena`. */
void gauges_read(struct service *service, struct arena *arena, int64_t now_s, struct gauges *out);

#endif
