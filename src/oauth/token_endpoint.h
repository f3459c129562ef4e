/* oauth/token_endpoint.h: what the token endpoint hands to a grant, and gets from it. Each grant is a file and a row of
 * token_endpoint.c; what all of them share is done before and after. */
#ifndef OAUTH_TOKEN_ENDPOINT_H
#define OAUTH_TOKEN_ENDPOINT_H

#include "oauth/resource.h"
#include "service/client_metadata.h"
#include "service/issue.h"

struct call;
struct client;

struct token_request {
    struct call *call; /* its caller is the client, which has proved who it is as it is registered to */
    const struct client *client;
    const struct client_metadata *registered; /* what it has registered */
    struct str scope;                         /* as it was asked for; at == NULL: it was not */
    struct resources resource;                /* those that were named: RFC 8707 */
};

struct token_answer {
    struct issued access;
    struct str refresh_token, id_token; /* at == NULL: none */
    struct record *records;             /* what must be durable before the tokens go out */
    int64_t retry_after_s;              /* after ERR_UNAVAILABLE; 0: not known */
};

/* RFC 6749 section 4.1.3. */
MUST_USE struct err grant_authorization_code(const struct token_request *request, struct token_answer *answer);
/* RFC 6749 section 6. */
MUST_USE struct err grant_refresh_token(const struct token_request *request, struct token_answer *answer);
/* RFC 6749 section 4.4. */
MUST_USE struct err grant_client_credentials(const struct token_request *request, struct token_answer *answer);

#endif
