/* oauth/see_other.h: sends a browser on. */
#ifndef OAUTH_SEE_OTHER_H
#define OAUTH_SEE_OTHER_H

#include "base/mem.h"

struct response;

/* 303: by a GET, and never by 307, since a password may have been posted here (RFC 9700 section 4.12). Without a
 * Referer: our addresses hold challenges, and id tokens as hints (section 4.2). `url` must outlive the response. */
void see_other(struct response *response, struct str url);

#endif
