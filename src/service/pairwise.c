/* service/pairwise.c: the sector of a client, and the identifiers in it. A host has no line feed, so no two pairs of
 * host and subject make the same message. */
#include "service/pairwise.h"
#include "base/settings.h"
#include "jose/b64.h"
#include "jose/hmac.h"
#include "service/client_uri.h"
#include <ctype.h>

enum { MESSAGE_MAX = 64 * 1024 };

bool pairwise_is_offered(const struct settings *settings)
{
    return settings->pairwise_salt[0] != '\0';
}

/* Whose redirect URIs have several hosts needs a name for all of them. */
const char *pairwise_find_sector(const struct client_metadata *registered, struct str *host)
{
    const bool has_uri = registered->sector_identifier_uri.len > 0;
    const struct client_texts *uris = &registered->redirect_uris;
    if (!has_uri && uris->count == 0)
        return "pairwise needs a redirect URI or sector_identifier_uri";
    const struct str found = client_uri_host(has_uri ? registered->sector_identifier_uri : uris->at[0]);
    for (size_t i = 1; !has_uri && i < uris->count; i++)
        if (!str_eq_nocase(client_uri_host(uris->at[i]), found))
            return "pairwise needs sector_identifier_uri where redirect_uris have several hosts";
    if (found.len == 0)
        return "pairwise needs sector_identifier_uri where there is no host";
    *host = found;
    return NULL;
}

struct err pairwise_check(const struct settings *settings, const struct client_metadata *registered)
{
    struct str host;
    if (registered->subject == SUBJECT_PUBLIC)
        return OK;
    if (registered->subject == SUBJECT_PAIRWISE && pairwise_is_offered(settings) &&
        !pairwise_find_sector(registered, &host))
        return OK;
    return failed(ERR_UNAUTHORIZED_CLIENT, "the client is registered for a type of subject that it can't have here");
}

struct err pairwise_sector(const struct settings *settings, struct arena *arena,
                           const struct client_metadata *registered, struct str *out)
{
    struct str host = STR("");
    TRY(pairwise_check(settings, registered));
    if (registered->subject == SUBJECT_PAIRWISE)
        (void)pairwise_find_sector(registered, &host); /* there is one, as has just been seen */
    char *lower = arena_alloc(arena, host.len + 1);
    for (size_t i = 0; i < host.len; i++)
        lower[i] = (char)tolower((unsigned char)host.at[i]);
    *out = (struct str){ lower, host.len };
    return OK;
}

static struct err pairwise_write_message(struct arena *arena, const char *kind, struct str sector, struct str text,
                                         struct str *out)
{
    const struct str parts[] = { str_of(kind), STR("\n"), sector, STR("\n"), text };
    struct buf message;
    buf_init(&message, arena, sector.len + text.len + 8, MESSAGE_MAX);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        buf_add(&message, parts[i]);
    *out = buf_str(&message);
    return message.overflowed ? failed(ERR_INTERNAL, "a subject is too long") : OK;
}

static struct err pairwise_compute(const struct settings *settings, struct arena *arena,
                                   const struct client_metadata *registered, const char *kind, struct str text,
                                   struct str *out)
{
    unsigned char mac[HMAC_LEN];
    struct str sector, message;
    if (registered->subject == SUBJECT_PUBLIC) {
        *out = text;
        return OK;
    }
    TRY(pairwise_sector(settings, arena, registered, &sector));
    TRY(pairwise_write_message(arena, kind, sector, text, &message));
    if (!hmac_sha256(str_of(settings->pairwise_salt), message, mac))
        return failed(ERR_INTERNAL, "a pairwise identifier could not be computed");
    char *known = arena_alloc(arena, PAIRWISE_LEN);
    b64url_encode((struct str){ (const char *)mac, sizeof mac }, known);
    *out = (struct str){ known, PAIRWISE_LEN };
    return OK;
}
_Static_assert((HMAC_LEN * 8 + 5) / 6 == PAIRWISE_LEN, "base64url without padding");

struct err pairwise_subject(const struct settings *settings, struct arena *arena,
                            const struct client_metadata *registered, struct str subject, struct str *out)
{
    return pairwise_compute(settings, arena, registered, "sub", subject, out);
}

struct err pairwise_session(const struct settings *settings, struct arena *arena,
                            const struct client_metadata *registered, struct str sid, struct str *out)
{
    return pairwise_compute(settings, arena, registered, "sid", sid, out);
}

static bool pairwise_is(const struct settings *settings, struct arena *arena, const struct client_metadata *registered,
                        const char *kind, struct str known, struct str text)
{
    struct str computed;
    return !pairwise_compute(settings, arena, registered, kind, text, &computed).code && str_eq(known, computed);
}

bool pairwise_is_subject(const struct settings *settings, struct arena *arena, const struct client_metadata *registered,
                         struct str known, struct str subject)
{
    return pairwise_is(settings, arena, registered, "sub", known, subject);
}

bool pairwise_is_session(const struct settings *settings, struct arena *arena, const struct client_metadata *registered,
                         struct str known, struct str sid)
{
    return pairwise_is(settings, arena, registered, "sid", known, sid);
}
