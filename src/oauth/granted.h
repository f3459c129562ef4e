/* oauth/granted.h: what a user has granted a client, and how the user was authenticated for it. It goes the same way
 * from a login by way of a code to the grant and its tokens, and lies in the body of each of these items by the same
 * names. Pure functions on JSON. */
#ifndef OAUTH_GRANTED_H
#define OAUTH_GRANTED_H

#include "base/json.h"
#include "oauth/resource.h"

enum { GRANTED_TEXT_MAX = 2048, GRANTED_AMR_MAX = 16 };

/* Empty: none; auth_time -1: not known. Views. */
struct granted {
    struct str scope, sub, sid, acr;
    struct str sector; /* in which the client knows the user (service/pairwise.h); empty: as sub */
    int64_t auth_time; /* s */
    struct resources resource;
    struct str amr[GRANTED_AMR_MAX];
    size_t amr_count;
    const struct json *claims; /* what the request's `claims` asked for: an object, or NULL */
    const struct json *user;   /* what the login has said of the user, as standard claims: an object, or NULL */
};

/* Reads the members of a body, an object. False when one is not as granted_write() writes it: then nothing counts. */
MUST_USE bool granted_read(const struct json *body, struct granted *out);
/* Appends the members to an object that the caller has begun. */
void granted_write(struct buf *body, const struct granted *granted);
/* Whether a member of a body is one of these. */
bool granted_has_member(struct str name);

#endif
