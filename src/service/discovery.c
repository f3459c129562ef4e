/* service/discovery.c: what anyone may read of the service: its public keys (RFC 7517 section 5), and where its
 * documents are. */
#include "base/settings.h"
#include "keys/keyring.h"
#include "service/call.h"
#include "service/operations.h"
#include "service/service.h"
#include "wire/fields.h"

/* application/json, unless the key set's own type (RFC 7517 section 8.5.2) is asked for by its name and no less than
 * the other. Where both are named alike, it stays with what everybody reads. */
static struct str discovery_type_asked_for(struct str accept)
{
    const struct preference own = field_preference(accept, STR("application/jwk-set+json"));
    const struct preference json = field_preference(accept, STR("application/json"));
    bool is_preferred = own.quality > json.quality || (own.quality == json.quality && json.specificity < 3);
    return own.specificity == 3 && own.quality > 0 && is_preferred ? STR("application/jwk-set+json")
                                                                   : STR("application/json");
}

struct err publish_jwks(struct call *call, struct response *response)
{
    AUTO(keyring_releasep) const struct keyring_view *view = keyring_acquire(call->service->keyring);
    const struct settings *settings = call->service->settings;
    response_may_be_kept(response, call->request->arena, settings->jwks_max_age_s,
                         settings->jwks_stale_while_revalidate_s, settings->jwks_stale_if_error_s);
    response_add_header(response, STR("Vary"), STR("Accept")); /* RFC 9110 section 12.5.5 */
    if (!response_unchanged(response, call->request, view->etag)) {
        response->content_type = discovery_type_asked_for(request_header(call->request, STR("Accept")));
        buf_add(&response->body, view->jwks);
    }
    return OK;
}

/* Paths as the caller can use them: behind the same prefix. */
struct err publish_index(struct call *call, struct response *response)
{
    static const struct {
        struct str name, path;
    } documents[] = { { STR_INIT("jwks"), STR_INIT("/.well-known/jwks.json") },
                      { STR_INIT("revocations"), STR_INIT("/revocations") },
                      { STR_INIT("live"), STR_INIT("/health/live") },
                      { STR_INIT("ready"), STR_INIT("/health/ready") } };
    const struct service *service = call->service;
    struct str base = call->request->path;
    struct buf *body = &response->body;
    if (base.len > 0 && base.at[base.len - 1] == '/')
        base.len--;
    buf_add(body, STR("{\"service\":\"token-service\",\"issuer\":"));
    json_write_str(body, str_of(service->settings->issuer));
    buf_add(body, STR(",\"documents\":{"));
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        json_write_text(body, documents[i].name,
                        arena_printf(call->request->arena, "%.*s%s", (int)base.len, base.at, documents[i].path.at));
    }
    buf_add(body, STR("},\"description\":\"docs/openapi.yaml, beside the source, describes every call\"}"));
    return OK;
}
