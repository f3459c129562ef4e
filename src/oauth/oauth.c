/* oauth/oauth.c: opens and closes the room's parts. */
#include "oauth/oauth.h"
#include "base/settings.h"
#include "net/fetch.h"
#include "oauth/backchannel.h"
#include "oauth/client_assertions.h"
#include "oauth/client_keys.h"
#include "oauth/messenger.h"
#include "oauth/password_login.h"
#include "service/failures.h"
#include "service/events.h"
#include "service/service.h"
#include <stdlib.h>

enum { FETCHES_MAX = 4 }; /* at once, for clients' keys: the workers are for others too */

struct err oauth_open(struct service *service, struct oauth **out)
{
    const struct settings *settings = service->settings;
    struct oauth *oauth = mem_alloc(sizeof *oauth);
    *oauth = (struct oauth){ .fetch = NULL };
    *out = oauth;
    TRY(fetch_open(settings, &oauth->fetch));
    oauth->client_keys = client_keys_new((struct client_keys_way){ fetch_jwks, oauth->fetch }, FETCHES_MAX);
    if (settings->login == LOGIN_BUILTIN)
        oauth->password_login = password_login_new(settings);
    oauth->login_requests = failures_new(settings->login_request_limit);
    service->oauth = oauth;
    service->client_assertions = &oauth_client_assertions;
    return OK;
}

struct err oauth_try_fetch(const struct settings *settings)
{
    struct fetch *fetch = NULL;
    const struct err err = fetch_open(settings, &fetch);
    fetch_close(fetch);
    return err;
}

struct err oauth_start(struct service *service)
{
    return messenger_start(service, &service->oauth->messenger);
}

bool oauth_round_now(struct service *service, int64_t until_ns)
{
    const bool has_more = backchannel_round(service, until_ns);
    const struct err err = events_round_now(service->events, until_ns); /* it counts and logs what fails */
    return has_more || err.code == ERR_TIMEOUT;
}

void oauth_close(struct oauth *oauth)
{
    if (!oauth)
        return;
    messenger_stop(oauth->messenger);
    failures_free(oauth->login_requests);
    password_login_free(oauth->password_login);
    client_keys_free(oauth->client_keys);
    fetch_close(oauth->fetch);
    free(oauth);
}
