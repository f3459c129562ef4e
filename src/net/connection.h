/* net/connection.h: one connection of the client: libcurl finds the name, connects, speaks TLS and with a proxy
 * (CURLOPT_CONNECT_ONLY); what goes over it is for the caller. Blocking, up to a deadline. For net/client.c alone.
 *
 * libcurl could do all of a request, at 45 us of processor time: more than all else that a signature by AWS KMS costs
 * here. */
#ifndef NET_CONNECTION_H
#define NET_CONNECTION_H

#include "net/answer.h"
#include "net/curl.h"
#include "net/request.h"

/* What all connections of a client have in common. */
struct net_common {
    const struct curl_calls *calls;
    CURLSH *share;                 /* names and TLS sessions */
    struct x509_store_st *trusted; /* NULL: libcurl's own, from ca_file */
    char *ca_file;                 /* "": the system's */
};

struct net_connection {
    struct net_connection *next; /* client.c's, among the idle ones */
    const struct net_common *common;
    CURL *curl;
    int socket;
    bool is_plain, is_direct;
    int64_t opened_ms, used_ms;
    struct str origin; /* scheme://host:port; with a NUL, behind this struct */
    struct answer answer;
};

/* ERR_UNAVAILABLE, in words for the log, when it is not there by the deadline. */
MUST_USE struct err connection_open(const struct net_common *common, const struct net_url *url, bool is_direct,
                                    int64_t deadline_ms, struct net_connection **out);
/* Wipes what answers have left in it. */
void connection_close(struct net_connection *connection);

/* False when the peer has closed it, or has said what nobody asked for. Costs one system call. */
bool connection_is_alive(const struct net_connection *connection);

/* All of it, or ERR_UNAVAILABLE; ERR_TIMEOUT at the deadline. */
MUST_USE struct err connection_send(const struct net_connection *connection, struct str text, int64_t deadline_ms);
/* Some bytes, at least one; *got == 0: the peer has ended the connection in order. */
MUST_USE struct err connection_receive(const struct net_connection *connection, char *to, size_t room,
                                       int64_t deadline_ms, size_t *got);

#endif
