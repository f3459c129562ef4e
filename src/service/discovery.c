/* service/discovery.c: what anyone may read of the service: its public keys (RFC 7517 section 5). */
#include "service/service.h"

/* RFC 9110 section 13.1.2: a list of entity tags, compared weakly, or "*". */
static bool etag_matches(struct str if_none_match, struct str etag)
{
    struct str one;
    while (str_next_item(&if_none_match, ',', &one)) {
        one = str_trim(one);
        if (str_has_prefix(one, STR("W/")))
            one = (struct str){ one.at + 2, one.len - 2 };
        if (str_eq(one, STR("*")) || str_eq(one, etag))
            return true;
    }
    return false;
}

struct err publish_jwks(struct call *call, struct response *response)
{
    AUTO(keyring_releasep) const struct keyring_view *view = keyring_acquire(call->service->keyring);
    const struct settings *settings = call->service->settings;
    response->max_age_s = settings->jwks_max_age_s;
    response->stale_while_revalidate_s = settings->jwks_stale_while_revalidate_s;
    response->stale_if_error_s = settings->jwks_stale_if_error_s;
    response->etag = arena_copy(call->request->arena, view->etag);
    if (etag_matches(call->request->if_none_match, view->etag)) {
        response->status = 304;
        response->content = CONTENT_NONE;
        return OK;
    }
    response->content = CONTENT_JWKS;
    buf_add(&response->body, view->jwks);
    return OK;
}
