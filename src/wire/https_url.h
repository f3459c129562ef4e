/* wire/https_url.h: a URL that a stranger names for us to call. It is held to a form that no two parsers read
 * differently (RFC 3986, and of that only what such a URL needs), since what is judged here is called by libcurl. Pure;
 * fuzzed, with libcurl's own parser as the second opinion: tests/fuzz/https_url.c. */
#ifndef WIRE_HTTPS_URL_H
#define WIRE_HTTPS_URL_H

#include "base/address.h"

enum { HTTPS_URL_MAX = 2048, HTTPS_PORT = 443 };

/* Views into the text. */
struct https_url {
    struct str host;   /* a name, or an address; an IPv6 address without its brackets */
    int port;          /* 443 unless it names another. Any: what is spoken there is TLS, or nothing */
    struct str target; /* path and query as they stand; may be empty */
    bool is_address;
    struct address address; /* when it is one */
};

/* NULL, or what is wrong with it (static). Taken is "https://" (in any case), a host, and then optionally a port, a
 * path and a query. The host is a name of letters, digits and hyphens in labels that are not empty, an IPv4 address as
 * four decimal numbers, or an IPv6 address in brackets. So these are refused: a user or a password, a fragment, every
 * other spelling of an IPv4 address (2130706433, 0x7f.1, 0177.0.0.1, 127.1), a percent code or a zone in the host, a
 * dot at its end, an empty port, a backslash, a space, a control character, and whatever is not ASCII. */
const char *https_url_read(struct str text, struct https_url *out);

#endif
