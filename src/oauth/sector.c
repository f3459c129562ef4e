/* oauth/sector.c: fetches a client's list of redirect URIs, and reads it. */
#include "oauth/sector.h"
#include "net/fetch.h"
#include "oauth/oauth.h"
#include "service/service.h"

static bool sector_has(const struct json *list, struct str uri)
{
    for (const struct json *each = list->child; each; each = each->next)
        if (str_eq(each->text, uri))
            return true;
    return false;
}

const char *sector_fault_of(struct arena *arena, struct str text, const struct client_texts *redirect_uris)
{
    const struct json *list = NULL;
    if (json_parse(arena, text, &list).code || list->kind != JSON_ARRAY)
        return "what it names is not a JSON array";
    for (const struct json *each = list->child; each; each = each->next)
        if (each->kind != JSON_STRING)
            return "what it names is not an array of strings";
    for (size_t i = 0; i < redirect_uris->count; i++)
        if (!sector_has(list, redirect_uris->at[i]))
            return "what it names lacks one of the redirect URIs";
    return NULL;
}

static struct err sector_refuse(struct arena *arena, const char *why)
{
    return failed(ERR_CLIENT_METADATA,
                  arena_printf(arena, "the member \"sector_identifier_uri\" is refused: %s", why).at);
}

/* Whatever is the matter, it is with what the client says of itself. */
static struct err sector_check_by(struct fetch *fetch, struct arena *arena, const struct client_metadata *registered)
{
    struct fetched fetched;
    const struct err err = fetch_json(fetch, arena, registered->sector_identifier_uri, &fetched);
    const char *fault = err.code ? err.why : sector_fault_of(arena, fetched.body, &registered->redirect_uris);
    return fault ? sector_refuse(arena, fault) : OK;
}

static void sector_close(struct fetch **fetch)
{
    fetch_close(*fetch);
}

/* A command has nothing of this room open. */
static struct err sector_check_alone(const struct service *service, struct arena *arena,
                                     const struct client_metadata *registered)
{
    AUTO(sector_close) struct fetch *fetch = NULL;
    TRY(fetch_open(service->settings, &fetch));
    return sector_check_by(fetch, arena, registered);
}

struct err sector_check(const struct service *service, struct arena *arena, const struct client_metadata *registered)
{
    struct oauth *oauth = service->oauth;
    struct err err = { ERR_UNAVAILABLE, "too many clients are being registered by a sector_identifier_uri: try again" };
    if (!oauth)
        return sector_check_alone(service, arena, registered);
    if (atomic_fetch_add(&oauth->sectors, 1) < SECTORS_MAX)
        err = sector_check_by(oauth->fetch, arena, registered);
    (void)atomic_fetch_sub(&oauth->sectors, 1);
    return err;
}
