/* oauth/issuer.h: the issuer identifier (TOKEN_ISSUER), and the URLs that begin with it. */
#ifndef OAUTH_ISSUER_H
#define OAUTH_ISSUER_H

#include "base/mem.h"

struct settings;

/* The URL of one of our paths, which begins with a slash: behind the issuer. In the arena. */
struct str issuer_url(struct arena *arena, const struct settings *settings, struct str path);
/* The issuer's own path without slashes at its ends: "tenant" of https://auth.example/tenant; "" when it has none. */
struct str issuer_path(const struct settings *settings);

#endif
