/* service/discovery.c: what anyone may read of the service: its public keys (RFC 7517 section 5). */
#include "service/service.h"

struct err publish_jwks(struct call *call, struct response *response)
{
    AUTO(keyring_releasep) const struct keyring_view *view = keyring_acquire(call->service->keyring);
    const struct settings *settings = call->service->settings;
    response->max_age_s = settings->jwks_max_age_s;
    response->stale_while_revalidate_s = settings->jwks_stale_while_revalidate_s;
    response->stale_if_error_s = settings->jwks_stale_if_error_s;
    if (!response_unchanged(response, call->request, view->etag)) {
        response->content = CONTENT_JWKS;
        buf_add(&response->body, view->jwks);
    }
    return OK;
}
