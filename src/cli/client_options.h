/* cli/client_options.h: what the options of `clients` say of a client. */
#ifndef CLI_CLIENT_OPTIONS_H
#define CLI_CLIENT_OPTIONS_H

#include "base/json.h"
#include "cli/cli.h"

/* NULL, 0 and false: not given. */
struct client_options {
    const char *id, *name, *scope, *auth_method, *jwks_uri, *metadata;
    struct option_texts grants, redirect_uris, post_logout_redirect_uris;
    int64_t access_ttl_s, refresh_ttl_s, id_ttl_s, overlap_s;
    bool is_public, drops_old_secret, json;
    const struct json *body; /* what all of them say of the client */
};

/* All of it as a JSON object (service/client_body.h): the flags, and what stands in the file that --metadata names; a
 * flag comes first. Opens no store. ERR_INVALID_REQUEST, by the flags' names. */
MUST_USE struct err client_options_read(const struct client_options *options, struct arena *arena,
                                        const struct json **out);

#endif
