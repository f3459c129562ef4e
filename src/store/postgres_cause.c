/* store/postgres_cause.c: libpq's words (of its versions 15 and 17), a server's, and a pooler's. */
#include "store/postgres_cause.h"
#include <string.h>

enum { NAME_MAX_LEN = 40 };

const char *postgres_cause(const char *says)
{
    static const struct {
        const char *words, *and_words, *cause;
    } causes[] = {
        { "password authentication failed", "", "it refuses this user or its password" },
        { "SASL authentication failed", "", "it refuses this user or its password" },
        { "no password supplied", "", "it wants a password, and the URL has none" },
        { "Tenant or user not found", "", "it knows no such user" },
        { "database \"", "\" does not exist", "it has no database of that name" },
        { "no such database", "", "it has no database of that name" },
        { "role \"", "\" does not exist", "it knows no such user" },
        { "no pg_hba.conf entry", "", "its pg_hba.conf does not allow connections from here, or not without TLS" },
        { "could not translate host name", "", "the name of its host is not known" },
        { "server does not support SSL", "", "it does not speak TLS, which sslmode asks for" },
        { "root certificate file", "", "the file that sslrootcert names can't be read" },
        { "certificate verify failed", "", "its certificate is not trusted (sslrootcert)" },
        { "does not match host name", "", "its certificate is for another host" },
        { "SSL", "", "TLS with it failed" },
        { "Connection refused", "", "it refuses connections: nothing listens there" },
        { "timeout expired", "", "it did not answer in time" },
        { "timed out", "", "it did not answer in time" },
        { "unreachable", "", "there is no route to it" },
        { "No route to host", "", "there is no route to it" },
        { "No such file or directory", "", "its socket does not exist" },
        { "too many", "", "it has too many connections already" },
        { "connection slots", "", "it has too many connections already" },
        { "starting up", "", "it is starting" },
        { "shutting down", "", "it is stopping" },
        { "session is read-only", "", "it is a standby and does not accept writes" },
        { "closed the connection", "", "it closed the connection at once" },
    };
    for (size_t i = 0; i < sizeof causes / sizeof *causes; i++)
        if (strstr(says, causes[i].words) && strstr(says, causes[i].and_words))
            return causes[i].cause;
    return "the connection to it failed: the log has its message";
}

const char *postgres_unknown_parameter(const char *url, _Bool (*is_known)(const void *arg, const char *name),
                                       const void *arg)
{
    static _Thread_local char name[NAME_MAX_LEN + 1];
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz_";
    const char *at = strchr(url, '?');
    if (!at || strchr(at, '@')) /* a password with a ? in it */
        return "";
    for (at++; *at; at += strcspn(at, "&"), at += *at == '&') {
        const size_t len = strspn(at, letters);
        if (len == 0 || len > NAME_MAX_LEN || at[len] != '=')
            return "";
        memcpy(name, at, len);
        name[len] = '\0';
        if (!is_known(arg, name))
            return name;
    }
    return "";
}
