/* oauth/client_assertions.c: private_key_jwt for the service's authentication (struct client_assertions): puts together
 * the assertion, the client's registration and keys, and that each one is good once. */
#include "oauth/client_assertions.h"
#include "base/clock.h"
#include "base/settings.h"
#include "oauth/assertion.h"
#include "oauth/client_keys.h"
#include "oauth/issuer.h"
#include "oauth/oauth.h"
#include "service/call.h"
#include "service/client_metadata.h"
#include "service/service.h"
#include "store/store.h"

static struct err client_assertions_issuer(struct arena *arena, struct str text, struct str *client_id)
{
    struct assertion assertion;
    TRY(assertion_read(arena, text, &assertion));
    *client_id = assertion.client_id;
    return OK;
}

/* The store decides, over all instances: the item that this makes must be new. */
static struct err client_assertions_use(struct call *call, const struct assertion *assertion)
{
    const struct assertion_once once = assertion_once(assertion);
    struct store *store = call->service->store;
    struct item item = { .kind = ITEM_ONCE,
                         .expires_at = once.expires_at,
                         .client_id = assertion->client_id,
                         .subject = STR(""),
                         .sid = STR(""),
                         .body = STR("{}") };
    struct item used;
    memcpy(item.id, once.id, sizeof item.id);
    const struct err err = store->ops->find_item(store, call->request->arena, ITEM_ONCE, once.id, &used);
    if (!err.code)
        return failed(ERR_INVALID_CLIENT, "the client_assertion has been used before");
    if (err.code != ERR_NOT_FOUND)
        return err;
    call_record_always(call, item_put(call->request->arena, &item, 0, NULL));
    return OK;
}

static struct err client_assertions_check(struct call *call, const struct client *client, struct str text)
{
    const struct settings *settings = call->service->settings;
    struct arena *arena = call->request->arena;
    const struct client_metadata *registered = client_metadata_of(arena, client);
    struct assertion assertion;
    if (registered->auth != CLIENT_AUTH_KEY)
        return failed(ERR_INVALID_CLIENT, "the client is not registered to authenticate by private_key_jwt");
    TRY(assertion_read(arena, text, &assertion));
    const struct assertion_expect expect = {
        .client_id = client->id,
        .issuer = str_of(settings->issuer),
        .token_endpoint = registered->assertion_audience == AUDIENCE_TOKEN_ENDPOINT
                              ? issuer_url(arena, settings, STR("/token"))
                              : (struct str){ 0, 0 },
        .signing_alg = registered->auth_alg ? str_of(jwa_name(registered->auth_alg)) : (struct str){ 0, 0 },
        .ahead_max_s = ASSERTION_AHEAD_S,
    };
    const struct client_keys_source source = { client->id, registered->jwks, registered->jwks_uri };
    TRY(assertion_check(&assertion, &expect, call->request->now_s));
    TRY(assertion_verify(&assertion, call->service->oauth->client_keys, arena, &source, clock_coarse_ms()));
    return client_assertions_use(call, &assertion);
}

const struct client_assertions oauth_client_assertions = { client_assertions_issuer, client_assertions_check };
