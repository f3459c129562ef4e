/* http/server.c: the loops, the workers and the listening sockets, begun and ended together. */
#include "http/server.h"
#include "base/address.h"
#include "base/clock.h"
#include "base/settings.h"
#include "http/descriptors.h"
#include "http/listen.h"
#include "http/loop.h"
#include "http/tls.h"
#include "http/workers.h"
#include "observe/log.h"
#include "service/service.h"
#include <stdlib.h>
#include <time.h>

enum { LOOPS_MAX = 64, DAY_MS = 24 * 3600 * 1000 };

struct server {
    struct service *service;
    struct workers *workers;
    struct tls *tls;
    const char *complained; /* of the certificate, last; NULL: nothing */
    int64_t complained_ms;  /* when, on clock_ms() */
    struct networks trusted_proxies;
    atomic_bool stopping;
    size_t count, started;
    struct loop *loops[];
};

static struct err server_start_loops(struct server *server, struct listeners *listeners)
{
    size_t each = descriptors_for_connections(server->service->settings) / server->count;
    const struct loop_options options = { .service = server->service,
                                          .workers = server->workers,
                                          .stopping = &server->stopping,
                                          .tls = server->tls,
                                          .trusted_proxies = &server->trusted_proxies,
                                          .connections_max = each > 0 ? each : 1,
                                          .memory_max = (size_t)server->service->settings->request_memory_bytes /
                                                        server->count };
    struct err err = OK;
    for (size_t i = 0; i < server->count; i++) {
        if (err.code)
            listen_close(&listeners[i]);
        else if (!(err = loop_start(&options, &listeners[i], &server->loops[i])).code)
            server->started++;
    }
    return err;
}

static struct err server_start_all(struct server *server, int *port)
{
    const struct settings *settings = server->service->settings;
    struct listeners listeners[LOOPS_MAX];
    const char *fault = networks_read(str_of(settings->trusted_proxies), &server->trusted_proxies);
    if (fault) /* the settings were checked */
        return failed(ERR_INTERNAL, fault);
    TRY(tls_open(settings->tls_cert, settings->tls_key, &server->tls));
    TRY(workers_open((size_t)settings->workers, (size_t)settings->queue, &server->service->state.jobs_waiting,
                     &server->workers));
    TRY(listen_open(settings->listen, server->count, listeners, port));
    return server_start_loops(server, listeners);
}

struct err server_open(struct service *service, struct server **out, int *port)
{
    size_t count = (size_t)service->settings->loops;
    if (count > LOOPS_MAX)
        count = LOOPS_MAX;
    struct server *server = mem_alloc(sizeof *server + count * sizeof *server->loops);
    *server = (struct server){ .service = service, .count = count };
    struct err err = server_start_all(server, port);
    if (err.code) {
        server_close(server);
        return err;
    }
    server_look(server);
    *out = server;
    return OK;
}

void server_look(struct server *server)
{
    if (!server->tls)
        return;
    const int64_t now_s = (int64_t)time(NULL);
    const struct tls_validity validity = tls_validity(server->tls);
    const char *complaint = tls_complaint(validity, now_s);
    const bool is_new = complaint != server->complained || clock_ms() - server->complained_ms >= DAY_MS;
    atomic_store(&server->service->state.tls_expires_at, validity.until);
    if (complaint && is_new) {
        LOG(LOG_WARN, "tls_certificate", LOG_TEXT_("why", complaint), LOG_INT("valid_from", validity.from),
            LOG_INT("valid_until", validity.until), LOG_TEXT_("file", server->service->settings->tls_cert));
        server->complained_ms = clock_ms();
    }
    server->complained = complaint;
    tls_look(server->tls, now_s);
}

void server_reload(struct server *server)
{
    struct err err = server->tls ? tls_reload(server->tls) : OK;
    if (err.code)
        LOG(LOG_ERROR, "tls_not_reread", LOG_TEXT_("why", err.why));
    server->complained = NULL; /* said again of the files of now */
    server_look(server);
}

void server_close(struct server *server)
{
    if (!server)
        return;
    atomic_store(&server->service->state.draining, true);
    atomic_store(&server->stopping, true);
    for (size_t i = 0; i < server->started; i++)
        loop_join(server->loops[i]);
    workers_close(server->workers); /* last: the loops wait for what the workers have */
    tls_close(server->tls);
    free(server);
}
