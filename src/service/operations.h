/* service/operations.h: the operations, a file each. They return an error to be rendered, or OK with *response filled;
 * routes.c says who may call which. */
#ifndef SERVICE_OPERATIONS_H
#define SERVICE_OPERATIONS_H

#include "base/err.h"
#include <stdbool.h>

struct call;
struct response;

MUST_USE struct err issue_token(struct call *call, struct response *response);
bool issue_only_signs(const struct call *call); /* route.h */
MUST_USE struct err verify_token(struct call *call, struct response *response);
MUST_USE struct err introspect_token(struct call *call, struct response *response);
MUST_USE struct err revoke_token(struct call *call, struct response *response);
MUST_USE struct err revoke_by_rule(struct call *call, struct response *response);
MUST_USE struct err rotate_keys(struct call *call, struct response *response);
MUST_USE struct err list_clients(struct call *call, struct response *response);
MUST_USE struct err add_client(struct call *call, struct response *response);
/* Of the client that call->path_value names: */
MUST_USE struct err show_client(struct call *call, struct response *response);
MUST_USE struct err change_client(struct call *call, struct response *response);
MUST_USE struct err delete_client(struct call *call, struct response *response);
MUST_USE struct err renew_client_secret(struct call *call, struct response *response);
MUST_USE struct err publish_index(struct call *call, struct response *response);
MUST_USE struct err publish_jwks(struct call *call, struct response *response);
MUST_USE struct err publish_revocations(struct call *call, struct response *response);
MUST_USE struct err health_live(struct call *call, struct response *response);
/* Whether this caller may see /metrics, and the inside of what fails: names of hosts and files (TOKEN_METRICS). */
bool may_see_inside(const struct call *call);
MUST_USE struct err health_ready(struct call *call, struct response *response);
MUST_USE struct err publish_metrics(struct call *call, struct response *response);

#endif
