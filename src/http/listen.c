/* http/listen.c: one socket a loop and address (SO_REUSEPORT). That option would also let a second server, started by
 * mistake, share the port in silence; so each address is bound once without it before. */
#include "http/listen.h"
#include "base/sentence.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 1024, FREE_PORT_TRIES = 16 };

struct address {
    struct sockaddr_storage at;
    socklen_t len;
};

struct addresses {
    struct address each[LISTEN_ADDRESSES_MAX];
    size_t count;
};

static struct err listen_refused(const char *address, const char *why)
{
    return failed(ERR_INVALID_REQUEST,
                  sentence_keep("the service can't listen on TOKEN_LISTEN", "TOKEN_LISTEN %s: %s", address, why));
}

static struct err listen_split_address(const char *address, char host[256], char service[16])
{
    struct str text = str_of(address), port;
    const char *colon = text.len ? memrchr(text.at, ':', text.len) : NULL;
    if (!colon)
        return listen_refused(address, "it has no port");
    port = (struct str){ colon + 1, text.len - (size_t)(colon + 1 - text.at) };
    text.len = (size_t)(colon - text.at);
    if (text.len >= 2 && text.at[0] == '[' && text.at[text.len - 1] == ']')
        text = (struct str){ text.at + 1, text.len - 2 };
    if (text.len >= 256 || port.len == 0 || port.len >= 16)
        return listen_refused(address, "it is not host:port");
    memcpy(host, text.at, text.len);
    host[text.len] = '\0';
    memcpy(service, port.at, port.len);
    service[port.len] = '\0';
    return OK;
}

/* --- addresses --------------------------------------------------------------------------------------------------- */

static void listen_add_address(struct addresses *all, const struct sockaddr *at, socklen_t len)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->each[i].len == len && memcmp(&all->each[i].at, at, len) == 0)
            return; /* a name may stand twice in /etc/hosts */
    if (all->count == LISTEN_ADDRESSES_MAX)
        return;
    all->each[all->count] = (struct address){ .len = len };
    memcpy(&all->each[all->count++].at, at, len);
}

static struct err listen_resolve(const char *address, const char *host, const char *service, struct addresses *out)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    int code = getaddrinfo(host, service, &hints, &found);
    if (code != 0)
        return listen_refused(address, code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
    *out = (struct addresses){ 0 };
    for (const struct addrinfo *each = found; each; each = each->ai_next)
        listen_add_address(out, each->ai_addr, each->ai_addrlen);
    freeaddrinfo(found);
    return OK;
}

static in_port_t *listen_port_of(struct address *address)
{
    return address->at.ss_family == AF_INET6 ? &((struct sockaddr_in6 *)&address->at)->sin6_port
                                             : &((struct sockaddr_in *)&address->at)->sin_port;
}

/* --- sockets ----------------------------------------------------------------------------------------------------- */

/* -1, with errno, when it can't be had. */
static int listen_bind_one(const struct address *address, bool shared)
{
    const int yes = 1, no = 0;
    int fd = socket(address->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes); /* a restart needn't wait for TIME_WAIT */
    if (shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
    if (address->at.ss_family == AF_INET6) /* [::] serves IPv4 as well */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (bind(fd, (const struct sockaddr *)&address->at, address->len) == 0 && (!shared || listen(fd, BACKLOG) == 0))
        return fd;
    const int kept_errno = errno;
    close(fd);
    errno = kept_errno;
    return -1;
}

/* Whether the kernel lacks a whole family of addresses, or this machine has none of it. */
static bool listen_is_absent(int error)
{
    return error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
}

/* Whether the address is free, with no other program at it; a port of 0 becomes the one that the kernel chose. */
static bool listen_try_alone(struct address *address)
{
    int alone = listen_bind_one(address, false);
    if (alone < 0)
        return false;
    getsockname(alone, (struct sockaddr *)&address->at, &address->len);
    close(alone);
    return true;
}

/* Tries each address, all of them at one port; drops those that this machine lacks when it has others. False, with
 * errno, when one is not to be had, or all are absent. */
static bool listen_try_all(struct addresses *all)
{
    in_port_t port = 0;
    size_t kept = 0;
    for (size_t i = 0; i < all->count; i++) {
        if (port != 0)
            *listen_port_of(&all->each[i]) = port;
        if (!listen_try_alone(&all->each[i])) {
            if (!listen_is_absent(errno))
                return false;
            continue;
        }
        port = *listen_port_of(&all->each[i]);
        all->each[kept++] = all->each[i];
    }
    all->count = kept;
    return kept > 0;
}

/* A free port of the first address may be taken at the second: then another one is tried. */
static bool listen_find_free(struct addresses *all)
{
    const struct addresses asked = *all;
    const bool is_any = all->count > 1 && *listen_port_of(&all->each[0]) == 0;
    for (int i = 0; i < (is_any ? FREE_PORT_TRIES : 1); i++) {
        *all = asked;
        if (listen_try_all(all))
            return true;
        if (errno != EADDRINUSE)
            break;
    }
    return false;
}

static const char *listen_why_not_bound(int error)
{
    return error == EADDRINUSE      ? "it is in use: another program listens there"
           : error == EACCES        ? "this user may not listen there (ports below 1024 need CAP_NET_BIND_SERVICE)"
           : error == EADDRNOTAVAIL ? "this machine has no such address"
                                    : strerror(error);
}

static bool listen_open_for_loop(const struct addresses *addresses, struct listeners *out)
{
    for (out->count = 0; out->count < addresses->count; out->count++) {
        out->fds[out->count] = listen_bind_one(&addresses->each[out->count], true);
        if (out->fds[out->count] < 0)
            return false;
    }
    return true;
}

static struct err listen_open_all(const char *address, const struct addresses *addresses, size_t loops,
                                  struct listeners *all)
{
    for (size_t i = 0; i < loops; i++) {
        if (listen_open_for_loop(addresses, &all[i]))
            continue;
        const int kept_errno = errno;
        for (size_t j = 0; j <= i; j++)
            listen_close(&all[j]);
        return listen_refused(address, listen_why_not_bound(kept_errno));
    }
    return OK;
}

struct err listen_open(const char *address, size_t loops, struct listeners *all, int *port)
{
    char host[256], service[16];
    struct addresses addresses;
    TRY(listen_split_address(address, host, service));
    TRY(listen_resolve(address, host[0] ? host : "::", service, &addresses));
    bool is_free = listen_find_free(&addresses);
    if (!is_free && !host[0] && listen_is_absent(errno)) {
        TRY(listen_resolve(address, "0.0.0.0", service, &addresses));
        is_free = listen_find_free(&addresses);
    }
    if (!is_free)
        return listen_refused(address, listen_why_not_bound(errno));
    TRY(listen_open_all(address, &addresses, loops, all));
    *port = ntohs(*listen_port_of(&addresses.each[0]));
    return OK;
}

void listen_close(struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++)
        close(listeners->fds[i]);
    listeners->count = 0;
}
