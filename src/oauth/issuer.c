/* oauth/issuer.c: reads TOKEN_ISSUER. */
#include "oauth/issuer.h"
#include "base/settings.h"

static struct str issuer_without_slash(const struct settings *settings)
{
    struct str issuer = str_of(settings->issuer);
    while (issuer.len > 0 && issuer.at[issuer.len - 1] == '/')
        issuer.len--;
    return issuer;
}

struct str issuer_url(struct arena *arena, const struct settings *settings, struct str path)
{
    struct str issuer = issuer_without_slash(settings);
    char *url = arena_alloc(arena, issuer.len + path.len);
    memcpy(url, issuer.at, issuer.len);
    memcpy(url + issuer.len, path.at, path.len);
    return (struct str){ url, issuer.len + path.len };
}

struct str issuer_path(const struct settings *settings)
{
    struct str rest = issuer_without_slash(settings), part;
    for (int slashes = 0; slashes < 3; slashes++)
        if (!str_cut(&rest, '/', &part))
            return STR("");
    return rest;
}
