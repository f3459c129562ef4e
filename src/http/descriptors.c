/* http/descriptors.c: connections get what is not needed elsewhere. */
#include "http/descriptors.h"
#include "http/connections.h"
#include "observe/log.h"
#include <sys/resource.h>

enum {
    FILES_OF_ITS_OWN = 64, /* libraries, the database and its side files, key files while they are read, the feed */
    /* epoll, eventfd, a listening socket or two; and connections that are told 503 */
    FILES_A_LOOP = 4 + CONNECTIONS_REFUSED_MAX,
    LEAST_PART = 4, /* of all: connections get one in so many, however little there is */
};

/* A worker may hold a connection to KMS or to Redis. */
static size_t descriptors_kept_back(const struct settings *settings)
{
    return (size_t)(FILES_OF_ITS_OWN + FILES_A_LOOP * settings->loops + settings->workers +
                    settings->database_connections);
}

size_t descriptors_for_connections(const struct settings *settings)
{
    struct rlimit limit;
    const size_t wanted = (size_t)settings->connections, kept = descriptors_kept_back(settings);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted + kept)
        return wanted;
    const size_t all = (size_t)limit.rlim_cur, least = all / LEAST_PART;
    size_t allowed = all > kept + least ? all - kept : least;
    allowed = allowed < wanted ? allowed : wanted;
    LOG(LOG_WARN, "connections_limited", LOG_INT("allowed", (int64_t)allowed), LOG_INT("wanted", settings->connections),
        LOG_INT("open_files", (int64_t)all), LOG_TEXT_("why", "raise the limit of open files (ulimit -n)"));
    return allowed;
}
