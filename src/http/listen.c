/* http/listen.c: one socket a loop, all on one address (SO_REUSEPORT). That option would also let a second server,
 * started by mistake, share the port in silence; so the address is bound once without it before. */
#include "http/listen.h"
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

static struct err split_address(const char *address, char host[256], char service[16])
{
    struct str text = str_of(address), port;
    const char *colon = text.len ? memrchr(text.at, ':', text.len) : NULL;
    if (!colon)
        return failed(ERR_INVALID_REQUEST, "TOKEN_LISTEN has no port");
    port = (struct str){ colon + 1, text.len - (size_t)(colon + 1 - text.at) };
    text.len = (size_t)(colon - text.at);
    if (text.len >= 2 && text.at[0] == '[' && text.at[text.len - 1] == ']')
        text = (struct str){ text.at + 1, text.len - 2 };
    if (text.len >= 256 || port.len == 0 || port.len >= 16)
        return failed(ERR_INVALID_REQUEST, "TOKEN_LISTEN is no host:port");
    memcpy(host, text.at, text.len);
    host[text.len] = '\0';
    memcpy(service, port.at, port.len);
    service[port.len] = '\0';
    return OK;
}

static int bind_one(const struct sockaddr *address, socklen_t len, bool shared)
{
    const int yes = 1, no = 0;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes); /* a restart needn't wait for TIME_WAIT */
    if (shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
    if (address->sa_family == AF_INET6) /* [::] serves IPv4 as well */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (bind(fd, address, len) == 0 && (!shared || listen(fd, BACKLOG) == 0))
        return fd;
    close(fd);
    return -1;
}

static in_port_t *port_of(struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)address)->sin6_port
                                          : &((struct sockaddr_in *)address)->sin_port;
}

static struct err bind_all(struct sockaddr_storage *address, socklen_t len, size_t count, int *sockets)
{
    int alone = bind_one((struct sockaddr *)address, len, false);
    if (alone < 0)
        return failed(ERR_INVALID_REQUEST, "the address of TOKEN_LISTEN is in use, or may not be bound");
    getsockname(alone, (struct sockaddr *)address, &len);
    close(alone);
    for (size_t i = 0; i < count; i++) {
        sockets[i] = bind_one((struct sockaddr *)address, len, true);
        if (sockets[i] < 0) {
            while (i-- > 0)
                close(sockets[i]);
            return failed(ERR_INVALID_REQUEST, "the address of TOKEN_LISTEN can't be bound for every loop");
        }
    }
    return OK;
}

struct err listen_open(const char *address, size_t count, int *sockets, int *port)
{
    char host[256], service[16];
    TRY(split_address(address, host, service));
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    if (getaddrinfo(host[0] ? host : "::", service, &hints, &found) != 0 || !found)
        return failed(ERR_INVALID_REQUEST, "the host of TOKEN_LISTEN can't be resolved");
    struct sockaddr_storage bound = { 0 };
    memcpy(&bound, found->ai_addr, found->ai_addrlen);
    struct err err = bind_all(&bound, found->ai_addrlen, count, sockets);
    freeaddrinfo(found);
    if (!err.code)
        *port = ntohs(*port_of(&bound));
    return err;
}
