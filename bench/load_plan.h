/* bench/load_plan.h: what bench_load is told to ask: groups of clients, and the kinds of requests that they make. */
#ifndef BENCH_LOAD_PLAN_H
#define BENCH_LOAD_PLAN_H

#include "base/mem.h"
#include "bench/histogram.h"

enum { GROUPS_MAX = 4, KINDS_MAX = 8, CLIENTS_MAX = 16384 /* of all groups */ };

/* What a client does that was answered 503 or 429. */
enum when_refused {
    REFUSED_DROPS, /* nothing; its next request is another one */
    REFUSED_AGAIN, /* asks again at once */
    REFUSED_LATER, /* asks again after Retry-After */
};

struct kind {
    struct str name;
    double weight;
    struct str head; /* of the request, up to the length of the body */
    struct str *bodies;
    size_t body_count, next_body;
    uint64_t good; /* answers in the time that counts */
    struct histogram took;
};

struct group {
    double rate; /* requests that become due in a second; 0: each client asks as soon as it has its answer */
    size_t client_count;
    enum when_refused when_refused;
    struct kind kinds[KINDS_MAX];
    size_t kind_count;
    double weights; /* of all kinds */
};

struct plan {
    bool sleeps; /* between events; otherwise the load looks for the next one all the time */
    const char *port, *authorization;
    double warm_s, seconds; /* before it counts, and while it counts */
    struct group groups[GROUPS_MAX];
    size_t group_count, client_count;
};

/* From the command line; what it has lasts as long as the process. False, with a line on standard error: nothing can be
 * done with it. */
bool plan_read(struct plan *plan, int argc, char **argv);

#endif
