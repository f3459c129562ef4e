/* service/route.h: a row of a table of routes. Each room that answers requests has a table; the service searches all of
 * them in their order (service->routes), so a row of a room above comes before one of the service's own. */
#ifndef SERVICE_ROUTE_H
#define SERVICE_ROUTE_H

#include "service/message.h"

struct call;

/* Who may call. */
enum access {
    OPEN,
    METRICS,
    CALLER,
    ANY_CLIENT /* a CALLER, or a public client: it has no secret, and names itself */
};

/* Which origins a browser may call from: none, all, or those of the settings. */
enum cors { CORS_NONE, CORS_ANY, CORS_SETTING };

struct route {
    struct str path;  /* of an open one, "{}" is for any segment, or "*" at its end for any path: call->path_value */
    unsigned methods; /* enum method, together */
    enum operation operation;
    enum access access;
    const char *scope; /* that a CALLER needs; NULL: the operation decides */
    enum cors cors;
    bool waits;     /* runs on a worker; its caller is judged before, and again when its turn has come */
    bool is_open;   /* see path */
    bool form_only; /* the row is for bodies that are forms; a later one may have the same path for others */
    struct err (*run)(struct call *, struct response *);
    /* Of a row that waits: whether this call needs no more than memory and a signature with a key in it. Then `run` may
     * be called without call->may_wait, and still find that it has to wait: ERR_NEEDS_WORKER, with nothing done. NULL:
     * none does. */
    bool (*only_signs)(const struct call *);
};

struct routes {
    const struct route *rows;
    size_t count;
    const struct routes *next; /* searched after it; NULL: the last one */
};

/* The service's own (routes.c). */
extern const struct routes service_routes;

#endif
