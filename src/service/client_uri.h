/* service/client_uri.h: what the URIs that a client registers may be. Pure functions on bytes, fuzzed:
 * tests/fuzz/client_metadata.c. */
#ifndef SERVICE_CLIENT_URI_H
#define SERVICE_CLIENT_URI_H

#include "base/mem.h"

enum { CLIENT_URI_MAX = 2048 };

enum client_uri {
    CLIENT_URI_REDIRECT, /* where a browser is sent with a response: https, or http to this machine's own loopback */
    CLIENT_URI_NATIVE,   /* the same for an application on a device, or a private-use scheme (RFC 8252 section 7) */
    CLIENT_URI_PAGE,     /* what a browser is shown or sent to without a response: as the first one, any query */
    CLIENT_URI_FETCHED,  /* what this service calls itself: https */
    CLIENT_URI_RESOURCE, /* RFC 8707 section 2: any absolute URI */
};

/* NULL, or what is wrong with it (static). All are absolute URIs of RFC 3986, written without characters that a reader
 * could take otherwise, without a fragment, and without user information. The query of where a response goes must not
 * have a parameter that a response has (RFC 6749, RFC 9207, OpenID Connect): its reader could not tell who wrote it. */
const char *client_uri_fault(struct str uri, enum client_uri kind);

/* Whether a query of a URI (wire/uri.h) has one of these parameters, by its name or encoded. */
bool client_uri_has_response_parameter(struct str query);

/* The host of a URI with an authority, with the brackets of an IPv6 address and without the port; "" if none. */
struct str client_uri_host(struct str uri);

#endif
